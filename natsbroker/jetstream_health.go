package natsbroker

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

var _ broker.HealthReporter = (*JetStream)(nil)

// Health reads the state of a consumer: a name in JetStreamOptions.Queues, or
// "stream/consumer". The age is that of the oldest message that the consumer
// has not settled, including one that is stranded after max_deliver; it is read
// from the stream, so nothing is delivered by it. It is unknown for a consumer
// with several filters. Health takes CONSUMER.INFO, STREAM.INFO and STREAM.MSG.GET
// (DIRECT.GET on a stream with allow_direct), with a dead-letter subject also
// STREAM.LIST and the last two for its stream; each needs its permission. A
// denied request is not answered: it is waited for at most 2 s, or half of the
// time that ctx leaves, and what it would have told is unknown; so it is while
// the connection is down, or nobody leads the consumer or its stream. For a
// subject, nothing is known.
func (j *JetStream) Health(ctx context.Context, destination string) (broker.Health, error) {
	const op = "health"
	if err := j.ready(ctx, op, destination); err != nil {
		return broker.Health{}, err
	}
	n, ok := j.queueName(destination)
	if !ok {
		native := j.core.address(destination)
		return unknownHealth(destination, noConsumer), natsrules.CheckSubject(native)
	}
	ctx, cancel := j.withDeadline(ctx)
	defer cancel()
	info, err := j.consumerNow(ctx, n)
	if why := silence(ctx, err); why != "" {
		return unknownHealth(destination, why), nil
	}
	if err != nil {
		return broker.Health{}, j.failure(op, destination, err)
	}
	h := broker.Health{
		Destination: destination,
		Ready:       broker.Known(int64(info.NumPending), "num_pending"),
		InFlight:    broker.Known(int64(info.NumAckPending), "num_ack_pending, including messages released with a delay"),
		Delayed:     broker.Unknown[int64]("the server does not report how many were released with a delay"),
		OldestAge:   j.oldest(ctx, info),
		Dropped:     broker.None[int64]("a consumer drops nothing"),
		Unchanged:   broker.Unknown[time.Duration]("the server does not report when a consumer was changed"),
	}
	if err := j.deadLetterHealth(ctx, &h, &info.Config); err != nil {
		return broker.Health{}, j.failure(op, destination, err)
	}
	return h, nil
}

// consumerNow reads a consumer, unless the connection is down.
func (j *JetStream) consumerNow(ctx context.Context, n consumerName) (*jetstream.ConsumerInfo, error) {
	if !j.conn.IsConnected() {
		return nil, j.down()
	}
	ctx, cancel := briefly(ctx)
	defer cancel()
	return j.consumerInfo(ctx, n)
}

// unknownHealth has nothing to report, such as that of a subject, which has any
// number of consumers.
func unknownHealth(destination, why string) broker.Health {
	count, age, yes := broker.Unknown[int64](why), broker.Unknown[time.Duration](why), broker.Unknown[bool](why)
	return broker.Health{
		Destination: destination, Ready: count, InFlight: count, Delayed: count, OldestAge: age,
		Dropped: broker.None[int64]("a stream drops nothing for slow readers"), Unchanged: age, DeadLetterExists: yes, DeadLetterReady: count,
		DeadLetterOldest: age, DeadLetterRetention: age, DeadLetterKeepsAge: yes,
	}
}

// oldest returns the age of the first message above the consumer's ack floor.
func (j *JetStream) oldest(ctx context.Context, info *jetstream.ConsumerInfo) broker.Fact[time.Duration] {
	const from = "the message after ack_floor"
	of := filters(&info.Config)
	switch {
	case len(of) > 1:
		return broker.Unknown[time.Duration]("the consumer has several filters")
	case len(of) == 0:
		of = []string{">"}
	}
	return j.ageOf(ctx, info.Stream, info.AckFloor.Stream+1, of[0], from)
}

// ageOf returns the age of the first message of a subject from a sequence
// number on.
func (j *JetStream) ageOf(ctx context.Context, stream string, sequence uint64, filter, from string) broker.Fact[time.Duration] {
	ctx, cancel := briefly(ctx)
	defer cancel()
	s, err := j.api.Stream(ctx, stream)
	if err != nil {
		return broker.Unknown[time.Duration](err.Error())
	}
	msg, err := s.GetMsg(ctx, sequence, jetstream.WithGetMsgSubject(filter))
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return broker.None[time.Duration](from)
	case err != nil:
		return broker.Unknown[time.Duration](err.Error())
	}
	return broker.Known(time.Since(msg.Time), from)
}

// deadLetterHealth adds the health of a consumer's dead-letter subject.
func (j *JetStream) deadLetterHealth(ctx context.Context, h *broker.Health, c *jetstream.ConsumerConfig) error {
	const none = "the consumer has no " + natsrules.DeadLetterKey + " in its metadata"
	h.DeadLetterExists = broker.None[bool](none)
	h.DeadLetterReady = broker.None[int64](none)
	h.DeadLetterOldest = broker.None[time.Duration](none)
	h.DeadLetterRetention = broker.None[time.Duration](none)
	h.DeadLetterKeepsAge = broker.None[bool](none)
	target := c.Metadata[natsrules.DeadLetterKey]
	if target == "" {
		return nil
	}
	h.DeadLetterKeepsAge = broker.Known(false, "a dead letter is a new message")
	info, err := listed(ctx, j.api, target)
	if err != nil {
		why := err.Error()
		h.DeadLetterExists, h.DeadLetterReady = broker.Unknown[bool](why), broker.Unknown[int64](why)
		h.DeadLetterOldest, h.DeadLetterRetention = broker.Unknown[time.Duration](why), broker.Unknown[time.Duration](why)
		return ctx.Err()
	}
	h.DeadLetterExists = broker.Known(info != nil, "STREAM.LIST")
	if info == nil {
		const uncaptured = "no stream captures the dead-letter subject"
		h.DeadLetterReady, h.DeadLetterOldest = broker.None[int64](uncaptured), broker.None[time.Duration](uncaptured)
		h.DeadLetterRetention = broker.None[time.Duration](uncaptured)
		return nil
	}
	from := "stream " + info.Config.Name
	h.DeadLetterRetention = broker.Unlimited[time.Duration]("max_age of " + from)
	if info.Config.MaxAge > 0 {
		h.DeadLetterRetention = broker.Known(info.Config.MaxAge, "max_age of "+from)
	}
	h.DeadLetterReady = j.countOf(ctx, info.Config.Name, target, from)
	h.DeadLetterOldest = j.ageOf(ctx, info.Config.Name, 1, target, from)
	return ctx.Err()
}

// countOf returns how many messages of a subject a stream holds.
func (j *JetStream) countOf(ctx context.Context, stream, subject, from string) broker.Fact[int64] {
	ctx, cancel := briefly(ctx)
	defer cancel()
	s, err := j.api.Stream(ctx, stream)
	if err != nil {
		return broker.Unknown[int64](err.Error())
	}
	info, err := s.Info(ctx, jetstream.WithSubjectFilter(subject))
	if err != nil {
		return broker.Unknown[int64](err.Error())
	}
	return broker.Known(int64(info.State.Subjects[subject]), from)
}
