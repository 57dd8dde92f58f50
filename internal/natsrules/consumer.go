package natsrules

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/candidmq/candidmq/broker"
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

// LeaseFixed is the error of a lease that is not the consumer's.
func LeaseFixed(lease time.Duration, c Consumer) error {
	return &broker.UnsupportedError{
		Backend: JetStream, What: "a lease of " + lease.String(),
		Why:     "the lease of consumer " + c.String() + " is its ack_wait or backoff, the same for every delivery",
		Instead: "a consumer with that ack_wait; broker.Consume renews leases as long as handlers run",
	}
}

// Unleased is the error of an operation on what a consumer with ack_policy none
// delivered.
func Unleased(op string, c Consumer) error {
	return &broker.UnsupportedError{
		Backend: JetStream, What: op, Why: "consumer " + c.String() + " has ack_policy none: what was delivered is gone",
		Instead: "a consumer with ack_policy explicit",
	}
}

// ParseReceive reads what a Receive is called with. A lease of 0 is the consumer's.
func ParseReceive(limit int, opts []broker.ReceiveOption, defaultWait time.Duration) (wait, lease time.Duration, err error) {
	wait = defaultWait
	var errs []error
	if limit < 1 {
		errs = append(errs, &broker.FieldError{Field: "max", Value: fmt.Sprint(limit), Limit: "at least 1"})
	}
	for _, opt := range opts {
		switch o := opt.(type) {
		case broker.Wait:
			wait = time.Duration(o)
			if o < 0 {
				errs = append(errs, &broker.FieldError{Field: "Wait", Value: wait.String(), Limit: "0 or above"})
			}
		case broker.Lease:
			lease = time.Duration(o)
			if o <= 0 {
				errs = append(errs, &broker.FieldError{Field: "Lease", Value: lease.String(), Limit: "above 0"})
			}
		default:
			errs = append(errs, &broker.UnsupportedError{
				Backend: JetStream, What: fmt.Sprintf("option %T", opt), Why: "it has no meaning for Receive",
			})
		}
	}
	return wait, lease, errors.Join(errs...)
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

// String is the policy as JetStream's API names it.
func (p StartPolicy) String() string {
	switch p {
	case StartNew:
		return "new"
	case StartSequence:
		return "by_start_sequence"
	case StartTime:
		return "by_start_time"
	case StartLastPerSubject:
		return "last_per_subject"
	case StartUnsaid, StartFirst:
	}
	return "all"
}

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
