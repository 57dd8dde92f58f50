package natsbroker

import (
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
)

// begin makes a consumer start where s says.
func begin(c *jetstream.ConsumerConfig, s broker.Start) {
	policy, sequence, at := s.Position()
	switch policy {
	case broker.StartUnsaid, broker.StartNew:
		c.DeliverPolicy = jetstream.DeliverNewPolicy
	case broker.StartFirst:
		c.DeliverPolicy = jetstream.DeliverAllPolicy
	case broker.StartSequence:
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, sequence
	case broker.StartTime:
		c.DeliverPolicy, c.OptStartTime = jetstream.DeliverByStartTimePolicy, &at
	case broker.StartLastPerSubject:
		c.DeliverPolicy = jetstream.DeliverLastPerSubjectPolicy
	}
}
