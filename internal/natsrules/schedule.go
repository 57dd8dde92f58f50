package natsrules

import "github.com/candidmq/candidmq/broker"

// ScheduleSubject is the subject that a stream must capture, beside its own, for
// messages with a delay to be published to it: each waits there on a subject of
// its own, since the server keeps one schedule for each subject (ADR-51).
func ScheduleSubject(stream string) string { return SchedulePrefix(stream) + "*" }

// SchedulePrefix is what those subjects begin with.
func SchedulePrefix(stream string) string { return "schedule." + stream + "." }

// CheckSchedules is why a stream takes no messages with a delay.
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

// NoSchedules is the error of a delay that a stream does not take.
func NoSchedules(why string) error {
	return &broker.UnsupportedError{
		Backend: JetStream, What: "Message.Delay", Why: why,
		Instead: "a stream with allow_msg_schedules (nats-server 2.12) and the subject schedule.<stream>.*, or SQS Standard",
	}
}
