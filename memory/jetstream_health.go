package memory

import (
	"context"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
	"github.com/candidmq/candidmq/internal/stream"
)

// Health implements [broker.HealthReporter] for consumers. Nothing is known
// about a subject. Figures that the server does not report are unknown here
// too.
func (b *JetStream) Health(ctx context.Context, destination string) (broker.Health, error) {
	if err := b.open(ctx, OpHealth, destination); err != nil {
		return broker.Health{}, err
	}
	n, ok := b.queueName(destination)
	if !ok {
		if err := natsrules.CheckSubject(b.address(destination)); err != nil {
			return broker.Health{}, err
		}
	}
	if err := b.failure(OpHealth); err != nil {
		return broker.Health{}, err
	}
	if !ok {
		return subjectHealth(destination), nil
	}
	c := b.consumerOf(n)
	if c == nil {
		return broker.Health{}, failed(OpHealth, destination, broker.ErrNotFound, nil)
	}
	stats, err := b.engine.Stats(n.Stream, n.Name)
	if err != nil {
		return broker.Health{}, streamFailed(OpHealth, destination, err)
	}
	h := broker.Health{
		Destination: destination,
		Ready:       count(stats.Ready, "num_pending"),
		InFlight:    count(stats.InFlight, "num_ack_pending, including messages released with a delay"),
		Delayed:     broker.Unknown[int64](contract + "the server does not report how many were released with a delay"),
		OldestAge:   c.oldest(&stats),
		Dropped:     broker.None[int64](contract + "a consumer drops nothing"),
		Unchanged:   broker.Unknown[time.Duration](contract + "the server does not report when a consumer was changed"),
	}
	b.deadLettersHealth(&h, c)
	return h, nil
}

func (c *ConsumerConfig) oldest(s *stream.Stats) broker.Fact[time.Duration] {
	const from = contract + "the message after ack_floor"
	switch {
	case len(c.filters()) > 1:
		return broker.Unknown[time.Duration](contract + "the consumer has several filters")
	case !s.Some:
		return broker.None[time.Duration](from)
	}
	return broker.Known(time.Since(s.Oldest), from)
}

// subjectHealth has nothing to tell: a subject has any number of consumers.
func subjectHealth(destination string) broker.Health {
	n, age, yes := broker.Unknown[int64](noConsumer), broker.Unknown[time.Duration](noConsumer), broker.Unknown[bool](noConsumer)
	return broker.Health{
		Destination: destination, Ready: n, InFlight: n, Delayed: n, OldestAge: age,
		Dropped:   broker.None[int64](contract + "a stream drops nothing for slow readers"),
		Unchanged: age, DeadLetterExists: yes, DeadLetterReady: n, DeadLetterOldest: age, DeadLetterRetention: age, DeadLetterKeepsAge: yes,
	}
}

// deadLettersHealth adds what concerns the dead-letter subject of a consumer.
func (b *JetStream) deadLettersHealth(h *broker.Health, c *ConsumerConfig) {
	const none, subjects = contract + "the consumer has no dead letters", contract + "subjects"
	h.DeadLetterExists = broker.None[bool](none)
	h.DeadLetterReady = broker.None[int64](none)
	h.DeadLetterOldest = broker.None[time.Duration](none)
	h.DeadLetterRetention = broker.None[time.Duration](none)
	h.DeadLetterKeepsAge = broker.None[bool](none)
	target := c.DeadLetters.Subject
	if target == "" {
		return
	}
	of := b.streamOf(target)
	h.DeadLetterExists = broker.Known(of != nil, subjects)
	h.DeadLetterKeepsAge = broker.Known(false, contract+"a dead letter is a new message")
	if of == nil {
		return
	}
	h.DeadLetterRetention = broker.Unlimited[time.Duration](contract + "max_age")
	if of.MaxAge > 0 {
		h.DeadLetterRetention = broker.Known(of.MaxAge, contract+"max_age")
	}
	ms, err := b.engine.OfSubject(of.Name, target)
	if err != nil {
		return
	}
	h.DeadLetterReady = count(len(ms), "subjects of stream "+of.Name)
	h.DeadLetterOldest = broker.None[time.Duration](subjects)
	if len(ms) > 0 {
		h.DeadLetterOldest = broker.Known(time.Since(ms[0].Time), subjects)
	}
}
