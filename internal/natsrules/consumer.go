package natsrules

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// Descriptions, for errors, of valid names of streams and consumers, and of
// both together.
const (
	NameLimit     = "not empty, without dots, slashes, wildcards, spaces and control characters"
	ConsumerLimit = "stream/consumer, both names " + NameLimit
)

// ValidName reports whether JetStream accepts a name for a stream or consumer.
func ValidName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r == 0x7f || strings.ContainsRune(`.*>/\`, r)
	})
}

// Consumer is a consumer's address.
type Consumer struct{ Stream, Name string }

// String returns "stream/consumer".
func (c Consumer) String() string { return c.Stream + "/" + c.Name }

// ParseConsumer parses "stream/consumer".
func ParseConsumer(s string) (c Consumer, ok bool) {
	stream, name, _ := strings.Cut(s, "/")
	return Consumer{stream, name}, ValidName(stream) && ValidName(name)
}

// LeaseFixed returns the error for a lease that is not the consumer's.
func LeaseFixed(lease time.Duration, c Consumer) error {
	return &broker.UnsupportedError{
		Backend: JetStream, What: "a lease of " + lease.String(),
		Why:     "the lease of consumer " + c.String() + " is its ack_wait or backoff, the same for every delivery",
		Instead: "a consumer with that ack_wait; broker.Consume renews leases as long as handlers run",
	}
}

// Unleased returns the error for an operation on a delivery of a consumer with
// ack_policy none.
func Unleased(op string, c Consumer) error {
	return &broker.UnsupportedError{
		Backend: JetStream, What: op, Why: "consumer " + c.String() + " has ack_policy none: delivered messages are already settled",
		Instead: "a consumer with ack_policy explicit",
	}
}

// ParseReceive parses the arguments of a Receive. A lease of 0 is the
// consumer's.
func ParseReceive(limit int, opts []broker.ReceiveOption, defaultWait time.Duration) (wait, lease time.Duration, err error) {
	wait = defaultWait
	var errs []error
	if limit < 1 {
		errs = append(errs, &broker.FieldError{Field: "limit", Value: fmt.Sprint(limit), Limit: "at least 1"})
	}
	for _, opt := range opts {
		switch o := opt.(type) {
		case broker.Wait:
			wait = time.Duration(o)
			errs = append(errs, o.Check())
		case broker.Lease:
			lease = time.Duration(o)
			errs = append(errs, o.Check())
		default:
			errs = append(errs, &broker.UnsupportedError{
				Backend: JetStream, What: fmt.Sprintf("option %T", opt), Why: "it has no meaning for Receive",
			})
		}
	}
	return wait, lease, errors.Join(errs...)
}

// DeliverPolicy is a start as JetStream's API names it.
type DeliverPolicy broker.StartPolicy

// String returns the policy's name in JetStream's API.
func (p DeliverPolicy) String() string {
	switch broker.StartPolicy(p) {
	case broker.StartNew:
		return "new"
	case broker.StartSequence:
		return "by_start_sequence"
	case broker.StartTime:
		return "by_start_time"
	case broker.StartLastPerSubject:
		return "last_per_subject"
	case broker.StartUnsaid, broker.StartFirst:
	}
	return "all"
}
