package memory

import (
	"context"
	"slices"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

const (
	noConsumer = contract + "a subject has no single consumer: describe \"stream/consumer\""
	noSubject  = contract + "a consumer is not published to: describe the subject"
	jetStream  = contract + "JetStream"
)

// Describe implements [broker.Describer]: the contract of JetStream for a subject's
// stream, for a consumer, or for both where one name stands for both, with their
// present configuration. The publish side is that of the subject, the receive side
// that of the consumer; what only the other kind of address has is unknown.
// Durability is the contract's; what this process holds is gone when it ends.
func (b *JetStream) Describe(ctx context.Context, destination string) (broker.Semantics, error) {
	if err := b.open(ctx, OpDescribe, destination); err != nil {
		return broker.Semantics{}, err
	}
	n, isQueue := b.queueName(destination)
	native, isSubject := b.subjects[destination]
	if !isQueue && !isSubject {
		native, isSubject = destination, true
	}
	s := broker.Semantics{
		Destination: destination, Backend: backend, InTransit: broker.Known(inProcess, "memory: there is no connection"),
		AtRest: broker.Unknown[broker.AtRest](contract + "a client cannot see whether the server encrypts its store"),
	}
	if isSubject {
		if err := natsrules.CheckSubject(native); err != nil {
			return broker.Semantics{}, err
		}
	}
	if err := b.failure(OpDescribe); err != nil {
		return broker.Semantics{}, err
	}
	if err := b.describe(&s, native, isSubject, n, isQueue); err != nil {
		return broker.Semantics{}, err
	}
	return s, nil
}

func (b *JetStream) describe(s *broker.Semantics, native string, isSubject bool, n natsrules.Consumer, isQueue bool) error {
	s.Publish = notPublished()
	if isSubject {
		of := b.streamOf(native)
		if of == nil {
			return failed(OpDescribe, s.Destination, broker.ErrNotFound, errNoStream)
		}
		s.Kind = "subject"
		of.storage(s)
		s.Publish = b.published(of, native)
		s.Receive = of.ofAnyConsumer()
	}
	if !isQueue {
		return nil
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	c, of := b.consumers[n], b.streams[n.Stream]
	if c == nil {
		return failed(OpDescribe, s.Destination, broker.ErrNotFound, nil)
	}
	s.Kind = "consumer"
	of.storage(s)
	s.Receive = c.received(of)
	if c.MaxDeliver > 0 && s.Receive.DeadLetter.State == broker.StateNone && !c.AckNone {
		s.Receive.DeadLetter = b.advisories(n)
	}
	return nil
}

// storage is what a stream keeps.
func (c *StreamConfig) storage(s *broker.Semantics) {
	s.Durability = broker.Known(broker.DurabilityDisk, contract+"storage")
	if c.Storage == MemoryStorage {
		s.Durability = broker.Known(broker.DurabilityMemory, contract+"storage")
	}
	s.Replicas = broker.Known(c.Replicas, contract+"num_replicas")
	s.Retention = broker.Unlimited[time.Duration](contract + "max_age")
	if c.MaxAge > 0 {
		s.Retention = broker.Known(c.MaxAge, contract+"max_age")
	}
	switch {
	case c.MaxMsgs < 0 && c.MaxBytes < 0 && c.MaxMsgsPerSubject < 0:
		s.WhenFull = broker.None[broker.Full](contract + "max_msgs, max_bytes, max_msgs_per_subject: no limit")
	case c.Discard == DiscardNew && (c.MaxMsgsPerSubject < 0 || c.DiscardNewPerSubject):
		s.WhenFull = broker.Known(broker.FullRejects, contract+"discard")
	default:
		s.WhenFull = broker.Known(broker.FullDropsOldest, contract+"discard")
	}
}

// interested is how many consumers keep a message in a stream with interest
// retention: those of the stream, if at least one of them wants it.
func (b *JetStream) interested(of *StreamConfig, native string) broker.Fact[int] {
	if of.Retention != InterestRetention {
		return broker.Unknown[int](contract + "a stream's consumers may read or not")
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	all, wanted := 0, false
	for n, c := range b.consumers {
		if n.Stream == of.Name {
			all++
			filters := c.filters()
			wanted = wanted || len(filters) == 0 || natsrules.Captures(filters, native)
		}
	}
	if !wanted {
		all = 0
	}
	return broker.Known(all, contract+"the consumers of the stream")
}

// published is the publish side of a subject of a stream.
func (b *JetStream) published(c *StreamConfig, native string) broker.Publishing {
	const batches = contract + "PublishBatch sends single messages"
	p := broker.Publishing{
		Offered:       broker.Known(true, jetStream),
		StoredBy:      broker.Known(c.Name, contract+"subjects"),
		Confirm:       broker.Known(broker.ConfirmStored, contract+"no_ack"),
		WithoutReader: broker.Known(c.Retention != InterestRetention, contract+"retention"),
		Readers:       b.interested(c, native),
		Ordering:      broker.Known(broker.OrderingTotal, jetStream),
		KeyRequired:   broker.Known(false, jetStream),
		IDRequired:    broker.Known(false, jetStream),
		DedupBy:       broker.Known(broker.DedupByID, contract+"duplicate_window"),
		DedupWindow:   broker.Known(c.Duplicates, contract+"duplicate_window"),
		DedupScope:    broker.Known(broker.ScopeStream, contract+"duplicate_window"),
		RateScope:     broker.Unlimited[broker.Scope](contract + "no setting limits the rate of publishing"),
		MaxDelay:      broker.None[time.Duration](contract + "allow_msg_schedules, and the subject " + natsrules.ScheduleSubject(c.Name)),
		QueueDelay:    broker.None[time.Duration](jetStream),
		MessageTTL:    broker.None[time.Duration](contract + "allow_msg_ttl"),
		Schedule:      broker.Known(c.AllowMsgSchedules, contract+"allow_msg_schedules"),
		MaxMessage:    broker.Known(b.maxPayload, contract+"max_payload"),
		MaxHeaders:    broker.Unlimited[int](contract + "headers count by their bytes"),
		MaxHeaderSize: broker.Known[int64](natsrules.MaxJetStreamHeaders, contract+"error 10097"),
		MaxBatch:      broker.None[int](batches),
		MaxBatchSize:  broker.None[int64](batches),
		BatchAtomic:   broker.Known(false, batches),
		RequestReply:  broker.Known(false, contract+"the stream's acknowledgement is a reply"),
	}
	if c.NoAck {
		p.Confirm = broker.Known(broker.ConfirmSent, contract+"no_ack")
		p.RequestReply = broker.Known(true, contract+"no_ack")
	}
	if c.checkSchedules() == nil {
		p.MaxDelay = broker.Unlimited[time.Duration](contract + "allow_msg_schedules")
	}
	if c.AllowMsgTTL {
		p.MessageTTL = broker.Unlimited[time.Duration](contract + "allow_msg_ttl, whole seconds")
	}
	if size := int64(c.MaxMsgSize); size > 0 && size < b.maxPayload {
		p.MaxMessage = broker.Known(size, contract+"max_msg_size")
	}
	return p
}

// notPublished is the publish side of an address that is only received from.
func notPublished() broker.Publishing {
	return broker.Publishing{
		Offered: broker.Known(false, noSubject), StoredBy: broker.Unknown[string](noSubject),
		Confirm: broker.Unknown[broker.Confirm](noSubject), WithoutReader: broker.Unknown[bool](noSubject),
		Readers: broker.Unknown[int](noSubject), Ordering: broker.Unknown[broker.Ordering](noSubject),
		KeyRequired: broker.Unknown[bool](noSubject), IDRequired: broker.Unknown[bool](noSubject),
		DedupBy: broker.Unknown[broker.DedupBy](noSubject), DedupWindow: broker.Unknown[time.Duration](noSubject),
		DedupScope: broker.Unknown[broker.Scope](noSubject), RateScope: broker.Unknown[broker.Scope](noSubject),
		MaxDelay: broker.Unknown[time.Duration](noSubject), QueueDelay: broker.Unknown[time.Duration](noSubject),
		MessageTTL: broker.Unknown[time.Duration](noSubject), Schedule: broker.Unknown[bool](noSubject),
		MaxMessage: broker.Unknown[int64](noSubject), MaxHeaders: broker.Unknown[int](noSubject),
		MaxHeaderSize: broker.Unknown[int64](noSubject), MaxBatch: broker.Unknown[int](noSubject),
		MaxBatchSize: broker.Unknown[int64](noSubject), BatchAtomic: broker.Unknown[bool](noSubject),
		RequestReply: broker.Unknown[bool](noSubject),
	}
}

// received is the receive side of a consumer of a stream.
func (c *ConsumerConfig) received(of *StreamConfig) broker.Receiving {
	r := broker.Receiving{
		Offered:      broker.Known(true, jetStream),
		Guarantee:    broker.Known(broker.GuaranteeAtLeastOnce, contract+"ack_policy"),
		Ordering:     broker.Known(broker.OrderingTotal, jetStream),
		Strict:       broker.Known(c.MaxAckPending == 1, contract+"max_ack_pending"),
		Distribution: broker.Known(broker.DistributionCompeting, jetStream),
		Redelivery:   broker.Known(broker.RedeliveryOnLeaseExpiryOrRelease, jetStream),
		Lease:        broker.Known(c.shortestLease(), contract+"ack_wait, backoff"),
		MaxLease:     broker.Unlimited[time.Duration](jetStream),
		MaxAttempts:  broker.Unlimited[int](contract + "max_deliver"),
		Exhausted:    broker.None[broker.Exhausted](contract + "max_deliver"),
		DeadLetter:   broker.None[string](contract + "dead letters"),
		Replay:       broker.Known(of.Retention == LimitsRetention, contract+"retention; through a new consumer"),
		InFlight:     broker.Unlimited[int](contract + "max_ack_pending"),
		Slow:         broker.Known(broker.SlowWaits, jetStream),
		MaxBatch:     broker.Known(jetStreamBatch, contract+"Receive"),
		Wait:         broker.Known(jetStreamWait, contract+"Receive"),
	}
	if dead := natsrules.DeadFilter(of.Subjects, c.filters()); dead != "" {
		r.Offered = broker.Known(false, contract+natsrules.DeadOffer(dead))
	}
	if c.MaxAckPending > 0 {
		r.InFlight = broker.Known(c.MaxAckPending, contract+"max_ack_pending")
	}
	c.attempts(&r)
	if c.AckNone {
		unleased(&r)
	}
	return r
}

func (c *ConsumerConfig) shortestLease() time.Duration {
	if len(c.BackOff) > 0 {
		return slices.Min(c.BackOff)
	}
	return c.AckWait
}

// attempts says how often a message is tried and what becomes of it then.
func (c *ConsumerConfig) attempts(r *broker.Receiving) {
	dead := c.DeadLetters
	if dead.Subject != "" {
		r.DeadLetter = broker.Known(dead.Subject, contract+"dead letters")
		r.Exhausted = broker.Known(broker.ExhaustedDeadLettered, contract+"dead letters")
	}
	if dead.MaxAttempts > 0 {
		r.MaxAttempts = broker.Known(dead.MaxAttempts, contract+"dead letters")
	}
	if c.MaxDeliver > 0 && (dead.MaxAttempts == 0 || c.MaxDeliver <= dead.MaxAttempts) {
		r.MaxAttempts = broker.Known(c.MaxDeliver, contract+"max_deliver")
		r.Exhausted = broker.Known(broker.ExhaustedStranded, contract+"max_deliver")
	}
}

// unleased is a consumer with ack_policy none.
func unleased(r *broker.Receiving) {
	const from = contract + "ack_policy none"
	r.Guarantee = broker.Known(broker.GuaranteeAtMostOnce, from)
	r.Strict = broker.Known(false, from)
	r.Redelivery = broker.None[broker.Redelivery](from)
	r.Lease, r.MaxLease = broker.None[time.Duration](from), broker.None[time.Duration](from)
	r.MaxAttempts = broker.Known(1, from)
	r.Exhausted, r.DeadLetter = broker.None[broker.Exhausted](from), broker.None[string](from)
	r.InFlight = broker.None[int](from)
}

// ofAnyConsumer is the receive side of a subject: what all consumers of its stream
// have in common.
func (c *StreamConfig) ofAnyConsumer() broker.Receiving {
	r := broker.Receiving{
		Offered: broker.Known(true, jetStream), Guarantee: broker.Unknown[broker.Guarantee](noConsumer),
		Ordering: broker.Known(broker.OrderingTotal, jetStream), Strict: broker.Unknown[bool](noConsumer),
		Distribution: broker.Known(broker.DistributionBoth, contract+"retention"),
		Redelivery:   broker.Unknown[broker.Redelivery](noConsumer),
		Lease:        broker.Unknown[time.Duration](noConsumer), MaxLease: broker.Unlimited[time.Duration](jetStream),
		MaxAttempts: broker.Unknown[int](noConsumer), Exhausted: broker.Unknown[broker.Exhausted](noConsumer),
		DeadLetter: broker.Unknown[string](noConsumer),
		Replay:     broker.Known(c.Retention == LimitsRetention, contract+"retention; through a new consumer"),
		InFlight:   broker.Unknown[int](noConsumer), Slow: broker.Known(broker.SlowWaits, jetStream),
		MaxBatch: broker.Unknown[int](noConsumer), Wait: broker.Known(jetStreamWait, contract+"Receive"),
	}
	if c.Retention == WorkQueueRetention {
		r.Distribution = broker.Known(broker.DistributionCompeting, contract+"retention")
	}
	return r
}

// advisories finds the stream that keeps the notices of messages that were tried
// too often. The caller holds mu.
func (b *JetStream) advisories(n natsrules.Consumer) broker.Fact[string] {
	const from = contract + "the stream of the MAX_DELIVERIES advisory"
	if name := b.engine.StreamOf(advisoryPrefix + n.Stream + "." + n.Name); name != "" {
		return broker.Known(name, from)
	}
	return broker.None[string](from)
}
