package natsbroker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// describeConsumer adds the receive side of a consumer, and the storage of its
// stream.
func (j *JetStream) describeConsumer(ctx context.Context, s *broker.Semantics, n consumerName) error {
	s.Kind = "consumer"
	info, stream, err := j.readBoth(ctx, n)
	if why := silence(ctx, err); why != "" {
		noStorage(s, why)
		s.Receive = unknownReceiving(why)
		return nil
	}
	if err != nil {
		return err
	}
	storage(s, &stream.Config)
	deletes := "a delete is confirmed by the server"
	if j.options.Unconfirmed {
		deletes = "a delete is not confirmed (Unconfirmed): if one is lost, its message comes again"
	}
	s.Receive = receivingFrom(&info.Config, &stream.Config, deletes)
	// With ack_policy none nothing comes again, so nothing comes too often.
	stranding := info.Config.MaxDeliver > 0 && info.Config.AckPolicy != jetstream.AckNonePolicy
	if stranding && s.Receive.DeadLetter.State == broker.StateNone {
		s.Receive.DeadLetter = j.advisories(ctx, n)
	}
	return nil
}

// readBoth reads a consumer and its stream. If only the stream could not be read,
// the consumer is there beside the error.
func (j *JetStream) readBoth(ctx context.Context, n consumerName) (*jetstream.ConsumerInfo, *jetstream.StreamInfo, error) {
	if !j.conn.IsConnected() {
		return nil, nil, j.down()
	}
	ctx, cancel := briefly(ctx)
	defer cancel()
	info, err := j.consumerInfo(ctx, n)
	if err != nil {
		return nil, nil, err
	}
	stream, err := j.api.Stream(ctx, n.Stream)
	if err != nil {
		return info, nil, err
	}
	return info, stream.CachedInfo(), nil
}

// silence returns why something could not be read although ctx allowed it, or ""
// if err says otherwise.
func silence(ctx context.Context, err error) string {
	switch {
	case ctx.Err() != nil:
		return ""
	case errors.Is(err, context.DeadlineExceeded):
		return "no answer, as with a missing permission: " + err.Error()
	case errors.Is(err, nats.ErrDisconnected), leaderless(err):
		return err.Error()
	}
	return ""
}

// leaderless reports whether the server says that nobody can answer: a majority
// of the replicas is missing, or is of a version that does not support what is
// configured.
func leaderless(err error) bool {
	api := apiError(err)
	if api == nil {
		return false
	}
	switch api.ErrorCode {
	case 10008, 10118, 10119, 10194, 10195: // nats-server, server/errors.json
		return true
	}
	return false
}

// unknownReceiving returns the receive side of a consumer that could not be
// read.
func unknownReceiving(why string) broker.Receiving {
	return broker.Receiving{
		Offered: broker.Unknown[bool](why), Guarantee: broker.Unknown[broker.Guarantee](why),
		Ordering: broker.Known(broker.OrderingTotal, jsDocsAcks), Strict: broker.Unknown[bool](why),
		Distribution: broker.Known(broker.DistributionCompeting, jsDocs), Redelivery: broker.Unknown[broker.Redelivery](why),
		Lease: broker.Unknown[time.Duration](why), MaxLease: broker.Unknown[time.Duration](why),
		MaxAttempts: broker.Unknown[int](why), Exhausted: broker.Unknown[broker.Exhausted](why),
		DeadLetter: broker.Unknown[string](why), Replay: broker.Unknown[bool](why), InFlight: broker.Unknown[int](why),
		Slow: broker.Known(broker.SlowWaits, jsDocs), MaxBatch: broker.Unknown[int](why), Wait: broker.Known(defaultWait, "Receive"),
	}
}

// advisories finds the stream that keeps the advisories about messages
// delivered too often: with it they can be found, though nothing moves them.
func (j *JetStream) advisories(ctx context.Context, n consumerName) broker.Fact[string] {
	const from = "the stream of the MAX_DELIVERIES advisory"
	stream, err := listStream(ctx, j.api, "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES."+n.Stream+"."+n.Name)
	switch {
	case err != nil:
		return broker.Unknown[string](err.Error())
	case stream == nil:
		return broker.None[string](from)
	}
	return broker.Known(stream.Name, from)
}

// receivingFrom returns the receive side of a consumer.
func receivingFrom(c *jetstream.ConsumerConfig, stream *jetstream.StreamConfig, deletes string) broker.Receiving {
	r := broker.Receiving{
		Offered:      broker.Known(true, jsDocsAcks),
		Guarantee:    broker.Known(broker.GuaranteeAtLeastOnce, "ack_policy; "+deletes),
		Ordering:     broker.Known(broker.OrderingTotal, jsDocsAcks),
		Strict:       broker.Known(c.MaxAckPending == 1, "max_ack_pending"),
		Distribution: broker.Known(broker.DistributionCompeting, jsDocs),
		Redelivery:   broker.Known(broker.RedeliveryOnLeaseExpiryOrRelease, jsDocsAcks),
		Lease:        broker.Known(shortestLease(c), "ack_wait, backoff"),
		MaxLease:     broker.Unlimited[time.Duration](jsDocsAcks),
		Replay:       broker.Known(stream.Retention == jetstream.LimitsPolicy, "retention; through a new consumer"),
		InFlight:     broker.Unlimited[int]("max_ack_pending"),
		Slow:         broker.Known(broker.SlowWaits, jsDocs),
		MaxBatch:     broker.Known(maxPull, "Receive"),
		Wait:         broker.Known(defaultWait, "Receive"),
	}
	if _, err := readConsumer(consumerName{Stream: stream.Name, Name: c.Name}, c); err != nil {
		r.Offered = broker.Known(false, err.Error())
	}
	if dead := deadFilter(stream, c); dead != "" {
		r.Offered = broker.Known(false, natsrules.DeadOffer(dead))
	}
	if c.MaxAckPending > 0 {
		r.InFlight = broker.Known(c.MaxAckPending, "max_ack_pending")
	}
	if c.MaxRequestBatch > 0 && c.MaxRequestBatch < maxPull {
		r.MaxBatch = broker.Known(c.MaxRequestBatch, "max_batch")
	}
	attempts(&r, c)
	if c.AckPolicy == jetstream.AckNonePolicy {
		unleased(&r, c)
	}
	return r
}

// shortestLease returns the shortest lease of any delivery.
func shortestLease(c *jetstream.ConsumerConfig) time.Duration {
	if len(c.BackOff) == 0 {
		return c.AckWait
	}
	return slices.Min(c.BackOff)
}

// attempts sets how often a message is tried and what happens to it then.
func attempts(r *broker.Receiving, c *jetstream.ConsumerConfig) {
	r.MaxAttempts = broker.Unlimited[int]("max_deliver")
	r.Exhausted = broker.None[broker.Exhausted]("max_deliver")
	r.DeadLetter = broker.None[string]("metadata " + natsrules.DeadLetterKey)
	facts, err := readConsumer(consumerName{}, c)
	if err != nil {
		facts = &consumerFacts{}
	}
	if facts.dead.Subject != "" {
		r.DeadLetter = broker.Known(facts.dead.Subject, "metadata "+natsrules.DeadLetterKey)
		r.Exhausted = broker.Known(broker.ExhaustedDeadLettered, "metadata "+natsrules.DeadLetterKey+"; Receive moves it")
	}
	if facts.dead.MaxAttempts > 0 {
		r.MaxAttempts = broker.Known(facts.dead.MaxAttempts, "metadata "+natsrules.MaxAttemptsKey)
	}
	if c.MaxDeliver > 0 && (facts.dead.MaxAttempts == 0 || c.MaxDeliver <= facts.dead.MaxAttempts) {
		r.MaxAttempts = broker.Known(c.MaxDeliver, "max_deliver")
		r.Exhausted = broker.Known(broker.ExhaustedStranded, "max_deliver")
	}
}

// unleased describes a consumer with ack_policy none. It still reports ack_wait
// and max_deliver, which are then meaningless.
func unleased(r *broker.Receiving, c *jetstream.ConsumerConfig) {
	const from = "ack_policy none"
	r.Guarantee = broker.Known(broker.GuaranteeAtMostOnce, from)
	r.Strict = broker.Known(false, from)
	if c.Metadata[orderedKey] != "" {
		r.Strict = broker.Known(true, "metadata "+orderedKey+": one reader, and nothing comes again")
	}
	r.Redelivery = broker.None[broker.Redelivery](from)
	r.Lease, r.MaxLease = broker.None[time.Duration](from), broker.None[time.Duration](from)
	r.MaxAttempts = broker.Known(1, from)
	r.Exhausted, r.DeadLetter = broker.None[broker.Exhausted](from), broker.None[string](from)
	r.InFlight = broker.None[int](from)
}

// ofAnyConsumer returns the receive side of a subject: what all consumers of
// its stream have in common. stream is nil if it is not known.
func ofAnyConsumer(stream *jetstream.StreamConfig) broker.Receiving {
	r := broker.Receiving{
		Offered: broker.Known(true, jsDocs), Guarantee: broker.Unknown[broker.Guarantee](noConsumer),
		Ordering: broker.Known(broker.OrderingTotal, jsDocs), Strict: broker.Unknown[bool](noConsumer),
		Distribution: broker.Unknown[broker.Distribution](noConsumer), Redelivery: broker.Unknown[broker.Redelivery](noConsumer),
		Lease: broker.Unknown[time.Duration](noConsumer), MaxLease: broker.Unlimited[time.Duration](jsDocsAcks),
		MaxAttempts: broker.Unknown[int](noConsumer), Exhausted: broker.Unknown[broker.Exhausted](noConsumer),
		DeadLetter: broker.Unknown[string](noConsumer), Replay: broker.Unknown[bool](noConsumer),
		InFlight: broker.Unknown[int](noConsumer), Slow: broker.Known(broker.SlowWaits, jsDocs),
		MaxBatch: broker.Unknown[int](noConsumer), Wait: broker.Known(defaultWait, "Receive"),
	}
	if stream == nil {
		return r
	}
	r.Distribution = broker.Known(broker.DistributionBoth, "retention")
	if stream.Retention == jetstream.WorkQueuePolicy {
		r.Distribution = broker.Known(broker.DistributionCompeting, "retention")
	}
	r.Replay = broker.Known(stream.Retention == jetstream.LimitsPolicy, "retention; through a new consumer")
	return r
}
