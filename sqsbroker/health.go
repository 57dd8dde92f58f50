package sqsbroker

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
)

var _ broker.HealthReporter = (*Broker)(nil)

// noAge is why ages are unknown: looking at a message is a receive.
const noAge = "SQS tells no age; CloudWatch does, as ApproximateAgeOfOldestMessage"

// Health reads a queue's counts from its attributes, and those of its
// dead-letter queue: one GetQueueAttributes call each. The counts are
// approximate, and lag by a minute or more.
func (b *Broker) Health(ctx context.Context, destination string) (broker.Health, error) {
	const op = "health"
	h := broker.Health{Destination: destination}
	if err := b.ready(ctx, op, destination); err != nil {
		return h, err
	}
	q, err := b.find(destination)
	if err != nil {
		return h, err
	}
	a, why, err := q.tryAttributes(ctx)
	if err != nil {
		return h, failure(ctx, op, destination, err)
	}
	h.OldestAge = broker.Unknown[time.Duration](noAge)
	h.Dropped = broker.None[int64]("a queue drops nothing")
	h.Ready = a.count(types.QueueAttributeNameApproximateNumberOfMessages, why)
	h.InFlight = a.count(types.QueueAttributeNameApproximateNumberOfMessagesNotVisible, why)
	h.Delayed = a.count(types.QueueAttributeNameApproximateNumberOfMessagesDelayed, why)
	h.Unchanged = a.unchanged(why)
	if err := q.deadLetterHealth(ctx, &h, a, why); err != nil {
		return h, failure(ctx, op, destination, err)
	}
	return h, nil
}

// count is a number among the attributes; a is nil if they may not be read.
func (a *attributes) count(name types.QueueAttributeName, why string) broker.Fact[int64] {
	if a == nil {
		return broker.Unknown[int64](why)
	}
	if n, ok := a.number(name); ok {
		return broker.Known(int64(n), string(name))
	}
	return absent[int64](name)
}

func (a *attributes) unchanged(why string) broker.Fact[time.Duration] {
	const name = types.QueueAttributeNameLastModifiedTimestamp
	if a == nil {
		return broker.Unknown[time.Duration](why)
	}
	s, err := strconv.ParseInt(a.get(name), 10, 64)
	if err != nil {
		return absent[time.Duration](name)
	}
	return broker.Known(time.Since(time.Unix(s, 0)), string(name))
}

// deadLetterHealth fills in what concerns the dead-letter queue.
func (q *queue) deadLetterHealth(ctx context.Context, h *broker.Health, own *attributes, why string) error {
	const policy = string(types.QueueAttributeNameRedrivePolicy)
	set := func(exists broker.Fact[bool], why string) {
		h.DeadLetterExists = exists
		h.DeadLetterReady = broker.Unknown[int64](why)
		h.DeadLetterOldest = broker.Unknown[time.Duration](why)
		h.DeadLetterRetention = broker.Unknown[time.Duration](why)
		h.DeadLetterKeepsAge = broker.Unknown[bool](why)
	}
	if own == nil {
		set(broker.Unknown[bool](why), why)
		return nil
	}
	if own.redrive.Target == "" {
		set(broker.None[bool](policy+" is absent"), policy+" is absent")
		return nil
	}
	at, err := parseAddress(own.redrive.Target, "")
	if err != nil {
		why := policy + " is not understood"
		set(broker.Unknown[bool](why), why)
		return nil //nolint:nilerr // a policy that is not understood is a fact
	}
	a, why, err := q.broker.at(at).tryAttributes(ctx)
	switch {
	case errors.Is(err, broker.ErrNotFound):
		why := policy + " names " + own.redrive.Target + ", which does not exist"
		set(broker.Known(false, why), why)
	case err != nil:
		return err
	case a == nil:
		set(broker.Unknown[bool](why), why)
	default:
		from := "of " + at.name
		h.DeadLetterExists = broker.Known(true, policy)
		h.DeadLetterReady = a.count(types.QueueAttributeNameApproximateNumberOfMessages, "")
		h.DeadLetterOldest = broker.Unknown[time.Duration](noAge)
		h.DeadLetterRetention = a.duration(types.QueueAttributeNameMessageRetentionPeriod)
		h.DeadLetterKeepsAge = broker.Known(!q.fifo, "DG setting-up-dead-letter-queue-retention, "+from)
	}
	return nil
}
