package natsbroker

import (
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/internal/natsrules"
)

// deadFilter returns a filter of a consumer that delivers nothing from its
// stream, or "": the server accepts such filters. Messages from a mirror or a
// source may have any subject.
func deadFilter(stream *jetstream.StreamConfig, c *jetstream.ConsumerConfig) string {
	if stream.Mirror != nil || len(stream.Sources) > 0 || stream.SubjectTransform != nil {
		return ""
	}
	return natsrules.DeadFilter(stream.Subjects, filters(c))
}
