package natsbroker

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/internal/natsrules"
)

// Start is an option of [JetStream.Subscribe] without a Group: with which
// message of the stream to begin. The zero Start, like none, begins with what is
// published from now on. Make others with FromFirst, FromNew, FromSequence,
// FromTime and FromLastPerSubject. It is the same type as memory's.
type Start = natsrules.Start

// FromFirst begins with the oldest message that the stream has.
func FromFirst() Start { return natsrules.FromFirst() }

// FromNew begins with what is published from now on.
func FromNew() Start { return natsrules.FromNew() }

// FromSequence begins with the message of that sequence number, or the next one
// that there is.
func FromSequence(n uint64) Start { return natsrules.FromSequence(n) }

// FromTime begins with the first message that was stored at t or later.
func FromTime(t time.Time) Start { return natsrules.FromTime(t) }

// FromLastPerSubject begins with the latest message of each subject.
func FromLastPerSubject() Start { return natsrules.FromLastPerSubject() }

// begin has a consumer begin where s says.
func begin(c *jetstream.ConsumerConfig, s Start) {
	policy, sequence, at := s.Position()
	switch policy {
	case natsrules.StartUnsaid, natsrules.StartNew:
		c.DeliverPolicy = jetstream.DeliverNewPolicy
	case natsrules.StartFirst:
		c.DeliverPolicy = jetstream.DeliverAllPolicy
	case natsrules.StartSequence:
		c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, sequence
	case natsrules.StartTime:
		c.DeliverPolicy, c.OptStartTime = jetstream.DeliverByStartTimePolicy, &at
	case natsrules.StartLastPerSubject:
		c.DeliverPolicy = jetstream.DeliverLastPerSubjectPolicy
	}
}
