package natsbroker

import (
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/internal/natsrules"
)

// deadFilter is a filter of a consumer by which nothing of its stream is
// delivered, "" if there is none: the server takes such filters. What a mirror or
// a source brings may have any subject.
func deadFilter(stream *jetstream.StreamConfig, c *jetstream.ConsumerConfig) string {
	if stream.Mirror != nil || len(stream.Sources) > 0 || stream.SubjectTransform != nil {
		return ""
	}
	return natsrules.DeadFilter(stream.Subjects, filters(c))
}
