package natsrules

import (
	"errors"
	"fmt"

	"github.com/candidmq/candidmq/broker"
)

// Subscribing holds the arguments of a Subscribe on streams.
type Subscribing struct {
	Handler broker.Handler
	Group   string
	From    broker.Start
	Ordered bool
	Others  []broker.SubscribeOption // for [broker.Consume]
}

// ParseSubscribe parses the handler and the options of a Subscribe on streams.
func ParseSubscribe(h broker.Handler, opts []broker.SubscribeOption) (Subscribing, error) {
	s := Subscribing{Handler: h}
	var errs []error
	var concurrency broker.Concurrency
	started := false
	if h == nil {
		errs = append(errs, &broker.FieldError{Field: "Handler", Value: "nil", Limit: "a function"})
	}
	for _, opt := range opts {
		switch o := opt.(type) {
		case broker.Group:
			s.Group = string(o)
			if !ValidName(s.Group) {
				errs = append(errs, &broker.FieldError{Field: "Group", Value: s.Group, Limit: NameLimit})
			}
		case broker.Start:
			s.From, started = o, true
		case broker.Ordered:
			s.Ordered = true
		case broker.Concurrency:
			concurrency = o
			s.Others = append(s.Others, opt)
		default:
			s.Others = append(s.Others, opt)
		}
	}
	if s.Group != "" && started {
		errs = append(errs, noSubscription("Start with Group", "the start of a durable consumer is fixed when it is created",
			"deliver_policy of the consumer, or a subscription without Group"))
	}
	if s.Ordered {
		errs = append(errs, s.checkOrdered(concurrency))
	}
	return s, errors.Join(errs...)
}

// checkOrdered refuses options that break the order.
func (s *Subscribing) checkOrdered(concurrency broker.Concurrency) error {
	switch {
	case s.Group != "":
		return noSubscription("Ordered with Group", "a shared consumer keeps no order",
			"a consumer with max_ack_pending 1, or Ordered without Group")
	case concurrency > 1:
		return noSubscription("Ordered with Concurrency", "messages that are handled at once have no order",
			"Concurrency 1, or a subscription to each part of the subjects")
	}
	return nil
}

func noSubscription(what, why, instead string) error {
	return &broker.UnsupportedError{Backend: JetStream, What: what, Why: why, Instead: instead}
}

// NotCovered returns the error for a pattern that no stream covers completely.
func NotCovered(pattern string) error {
	return noSubscription("Subscribe to "+pattern, "no single stream has all subjects that this matches",
		"a pattern within the subjects of one stream, or core NATS")
}

// NoGroup returns the error for a subscription to a consumer without a Group.
func NoGroup(c Consumer) error {
	return noSubscription("Subscribe to consumer "+c.String()+" without Group",
		"a consumer gives each message to only one of its readers: it cannot fan out",
		fmt.Sprintf("broker.Group(%q), or the subject in place of the consumer", c.Name))
}

// OtherGroup is the error of a group on a consumer that another one reads.
func OtherGroup(group string, c Consumer, other string) error {
	return noSubscription("group "+group+" on consumer "+c.String(),
		"all readers of a consumer are one group, and the readers of this one are group "+other,
		fmt.Sprintf("broker.Group(%q), or a consumer for each group", other))
}

// OtherFilter returns the error for a group whose consumer does not deliver
// exactly a pattern.
func OtherFilter(pattern, group string, c Consumer, delivers []string) error {
	return noSubscription("Subscribe to "+pattern+" in group "+group, fmt.Sprintf("consumer %s delivers %q", c, delivers),
		"a consumer with that filter_subject, or "+c.String()+" in place of the subject")
}

// NoFanOut returns the error for a subscription without Group to a work queue.
func NoFanOut(stream, pattern string) error {
	return noSubscription("Subscribe to "+pattern+" without Group",
		"stream "+stream+" is a work queue, which gives each message to one consumer: it cannot fan out",
		"broker.Group with the name of its consumer, or a stream with limits or interest retention")
}

// NoOrder returns the error for an Ordered subscription to a stream without
// limits retention.
func NoOrder(stream, retention, pattern string) error {
	return noSubscription("Subscribe to "+pattern+" with Ordered",
		"stream "+stream+" has "+retention+" retention: messages lost in transit could not be read again",
		"a stream with limits retention, or a consumer with max_ack_pending 1 and its Group")
}

// NoDeadLetters returns the error for a Reject on a consumer without a
// dead-letter subject.
func NoDeadLetters(c Consumer, instead string) error {
	return &broker.UnsupportedError{
		Backend: JetStream, What: "Reject", Why: "consumer " + c.String() + " has no dead-letter subject", Instead: instead,
	}
}
