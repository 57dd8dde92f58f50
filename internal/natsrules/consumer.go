package natsrules

import (
	"strings"
	"time"
)

// What names of streams and consumers, and both together, must be.
const (
	NameLimit     = "not empty, without dots, slashes, wildcards, spaces and control characters"
	ConsumerLimit = "stream/consumer, both names " + NameLimit
)

// ValidName reports whether JetStream takes a name for a stream or consumer.
func ValidName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`.*>/\`, r)
	})
}

// Consumer is a consumer's address.
type Consumer struct{ Stream, Name string }

// String is "stream/consumer".
func (c Consumer) String() string { return c.Stream + "/" + c.Name }

// ParseConsumer reads "stream/consumer".
func ParseConsumer(s string) (c Consumer, ok bool) {
	stream, name, _ := strings.Cut(s, "/")
	return Consumer{stream, name}, ValidName(stream) && ValidName(name)
}

// StartPolicy is the kind of a [Start].
type StartPolicy uint8

// The policies of a Start; the zero one is nobody's choice.
const (
	StartUnsaid StartPolicy = iota
	StartNew
	StartFirst
	StartSequence
	StartTime
	StartLastPerSubject
)

// Start is with which message of a stream to begin. It is an option of Subscribe
// without a Group; the zero Start, like none, begins there with what is published
// from now on. Make one with FromFirst, FromNew, FromSequence, FromTime or
// FromLastPerSubject.
type Start struct {
	policy   StartPolicy
	sequence uint64
	time     time.Time
}

// FromFirst begins with the oldest message that the stream has.
func FromFirst() Start { return Start{policy: StartFirst} }

// FromNew begins with what is published from now on.
func FromNew() Start { return Start{policy: StartNew} }

// FromSequence begins with the message of that sequence number, or the next one
// that there is.
func FromSequence(n uint64) Start { return Start{policy: StartSequence, sequence: n} }

// FromTime begins with the first message that was stored at t or later.
func FromTime(t time.Time) Start { return Start{policy: StartTime, time: t} }

// FromLastPerSubject begins with the latest message of each subject.
func FromLastPerSubject() Start { return Start{policy: StartLastPerSubject} }

// SubscribeOption marks Start as an option of Subscribe calls.
func (Start) SubscribeOption() {}

// Position tells what was chosen, for a backend.
func (s Start) Position() (policy StartPolicy, sequence uint64, at time.Time) {
	return s.policy, s.sequence, s.time
}

// Ordered is an option of Subscribe without a Group, for reading a stream with
// limits retention strictly in its order: the handler is called for one message
// after the other, and for each at most once, whatever it returns.
type Ordered struct{}

// SubscribeOption marks Ordered as an option of Subscribe calls.
func (Ordered) SubscribeOption() {}
