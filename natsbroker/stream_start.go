package natsbroker

import (
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Start is an option of [JetStream.Subscribe] without a Group: with which
// message of the stream to begin. The zero Start, like none, begins with what is
// published from now on. Make others with FromFirst, FromSequence, FromTime and
// FromLastPerSubject.
type Start struct {
	policy   jetstream.DeliverPolicy
	explicit bool
	sequence uint64
	time     time.Time
}

// FromFirst begins with the oldest message that the stream has.
func FromFirst() Start { return Start{policy: jetstream.DeliverAllPolicy, explicit: true} }

// FromSequence begins with the message of that sequence number, or the next one
// that there is.
func FromSequence(n uint64) Start {
	return Start{policy: jetstream.DeliverByStartSequencePolicy, explicit: true, sequence: n}
}

// FromTime begins with the first message that was stored at t or later.
func FromTime(t time.Time) Start {
	return Start{policy: jetstream.DeliverByStartTimePolicy, explicit: true, time: t}
}

// FromLastPerSubject begins with the latest message of each subject.
func FromLastPerSubject() Start {
	return Start{policy: jetstream.DeliverLastPerSubjectPolicy, explicit: true}
}

// SubscribeOption marks Start as an option of Subscribe calls.
func (Start) SubscribeOption() {}

func (s *Start) set(c *jetstream.ConsumerConfig) {
	if !s.explicit {
		return
	}
	c.DeliverPolicy = s.policy
	c.OptStartSeq = s.sequence
	if !s.time.IsZero() {
		c.OptStartTime = &s.time
	}
}

// widens reports whether pattern, which p matches token by token, matches more
// than p: > stands for any number of tokens and * for any one.
func widens(p, pattern string) bool {
	for {
		outer, outerRest, outerMore := strings.Cut(p, ".")
		inner, innerRest, innerMore := strings.Cut(pattern, ".")
		switch {
		case outer == ">":
			return false
		case inner == ">", inner == "*" && outer != "*":
			return true
		case !outerMore || !innerMore:
			return false
		}
		p, pattern = outerRest, innerRest
	}
}
