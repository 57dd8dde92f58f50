package natsrules

import "github.com/candidmq/candidmq/broker"

// ScheduleSubject returns the subject that a stream must capture, besides its
// own subjects, to accept messages with a delay: each waits on its own subject
// matching it, since the server keeps one schedule per subject (ADR-51).
func ScheduleSubject(stream string) string { return SchedulePrefix(stream) + "*" }

// SchedulePrefix returns the prefix of those subjects.
func SchedulePrefix(stream string) string { return "schedule." + stream + "." }

// CheckSchedules returns why a stream does not accept messages with a delay.
func CheckSchedules(stream string, subjects []string, allowed, interest bool) error {
	switch {
	case !allowed:
		return NoSchedules("stream " + stream + " has no allow_msg_schedules")
	case !Captures(subjects, SchedulePrefix(stream)+"x"):
		return NoSchedules("stream " + stream + " does not capture " + ScheduleSubject(stream) + ", where delayed messages wait")
	case interest:
		return NoSchedules("stream " + stream + " has interest retention, which discards a schedule that no consumer reads")
	}
	return nil
}

// NoSchedules returns the error for a delay that a stream does not accept.
func NoSchedules(why string) error {
	return &broker.UnsupportedError{
		Backend: JetStream, What: "Message.Delay", Why: why,
		Instead: "a stream with allow_msg_schedules (nats-server 2.12) and the subject schedule.<stream>.*, or SQS Standard",
	}
}
