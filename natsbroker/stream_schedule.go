package natsbroker

import (
	"context"
	"crypto/rand"
	"maps"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/internal/natsrules"
)

// ScheduleSubject returns the subject that a stream must capture, besides its
// own subjects, to accept messages with a Delay. Each delayed message waits in
// the stream on its own subject matching it, since the server keeps one
// schedule per subject (ADR-51), and is stored again under its real subject
// when it is due. A consumer of such a stream should have a filter, or it is
// delivered the waiting messages too.
func ScheduleSubject(stream string) string { return natsrules.ScheduleSubject(stream) }

// schedule makes a message wait in its stream. The time is written with
// nanoseconds: nats.go's own option truncates it to whole seconds, and fires
// early.
func (j *JetStream) schedule(ctx context.Context, p *jsMessage, delay time.Duration) error {
	info, err := j.streamOf(ctx, p.native)
	if err != nil {
		return j.failure("publish", p.name, err)
	}
	if info == nil {
		return j.failure("publish", p.name, errNoStream)
	}
	if err := checkSchedules(&info.Config); err != nil {
		return err
	}
	header := maps.Clone(p.header)
	if header == nil {
		header = nats.Header{}
	}
	header[jetstream.ScheduleHeader] = []string{"@at " + time.Now().Add(delay).UTC().Format(time.RFC3339Nano)}
	header[jetstream.ScheduleTargetHeader] = []string{p.native}
	if ttl := header[jetstream.MsgTTLHeader]; ttl != nil { // it applies to the message, not to the schedule
		header[jetstream.ScheduleTTLHeader] = ttl
		delete(header, jetstream.MsgTTLHeader)
	}
	p.header = header
	p.native = natsrules.SchedulePrefix(info.Config.Name) + rand.Text()
	return nil
}

func checkSchedules(c *jetstream.StreamConfig) error {
	return natsrules.CheckSchedules(c.Name, c.Subjects, c.AllowMsgSchedules, c.Retention == jetstream.InterestPolicy)
}

// streamOf returns the stream that captures a literal subject, or nil. Two
// would be a server error (10065).
func (j *JetStream) streamOf(ctx context.Context, native string) (*jetstream.StreamInfo, error) {
	ctx, cancel := j.withDeadline(ctx)
	defer cancel()
	return findStream(ctx, j.api, native)
}

// findStream asks for the streams of a subject and matches again: in a cluster
// the server's filter also returns a mirror that has the subject as its name.
func findStream(ctx context.Context, api jetstream.JetStream, native string) (*jetstream.StreamInfo, error) {
	list := api.ListStreams(ctx, jetstream.WithStreamListSubject(native))
	var found *jetstream.StreamInfo
	for info := range list.Info() {
		if found == nil && natsrules.Captures(info.Config.Subjects, native) {
			found = info
		}
	}
	return found, list.Err()
}
