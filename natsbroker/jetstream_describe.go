package natsbroker

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// Documents that define the constants.
const (
	jsDocs       = "docs.nats.io/nats-concepts/jetstream"
	jsDocsAcks   = "docs.nats.io/nats-concepts/jetstream/consumers, acknowledgement"
	jsDocsDedup  = "docs.nats.io/using-nats/developer/develop_jetstream/model_deep_dive, message deduplication"
	jsDocsHeader = "the server's limit of 64 KiB, error 10097"
	jsDocsBatch  = "PublishBatch sends single messages; PublishAtomic is for streams with allow_atomic"
	noConsumer   = "a subject has no single consumer: describe \"stream/consumer\""
	noSubject    = "a consumer is not published to: describe the subject"
)

// Describe reads the configuration of a subject's stream, of a consumer, or of
// both if one name stands for both, on each call; see [JetStream] for the two
// kinds of addresses. The publish side is that of the subject, the receive side
// that of the consumer; facts that only the other kind of address has are
// unknown. A wildcard has no single answer and is refused.
//
// A subject takes STREAM.LIST and, from nats-server 2.11 on, a trace, which
// asks the server what it would do with a message without doing it. A consumer
// takes CONSUMER.INFO, STREAM.INFO and, with a max_deliver, STREAM.LIST. Each
// needs permission to publish to the API's subject, and the trace to the
// subject itself. Denied requests are not answered: each is waited for at most
// 2 s, or half of the time that ctx leaves, the two for a consumer and its
// stream together, and the facts are then unknown; so they are while a stream
// or consumer has no leader. While the connection is down nothing is requested.
// A subject is [broker.ErrNotFound] only if the list and the trace both say
// that no stream has it.
func (j *JetStream) Describe(ctx context.Context, destination string) (broker.Semantics, error) {
	const op = "describe"
	if err := j.ready(ctx, op, destination); err != nil {
		return broker.Semantics{}, err
	}
	ctx, cancel := j.withDeadline(ctx)
	defer cancel()
	name := j.resolve(destination)
	s := broker.Semantics{
		Destination: destination, Backend: jsBackend, InTransit: j.core.inTransit(),
		AtRest: broker.Unknown[broker.AtRest]("a client cannot see whether the server encrypts its store"),
	}
	var err error
	if name.isSubject {
		err = j.describeSubject(ctx, &s, name.subject)
	} else {
		s.Publish = notPublished()
	}
	if err == nil && name.isConsumer {
		err = j.describeConsumer(ctx, &s, name.consumer)
	}
	switch {
	case err == nil:
		return s, nil
	case errors.Is(err, broker.ErrInvalid):
		return broker.Semantics{}, err
	}
	return broker.Semantics{}, j.failure(op, destination, err)
}

// target is what a name stands for: a subject, a consumer, or both.
type target struct {
	subject               string // in its native form
	consumer              consumerName
	isSubject, isConsumer bool
}

// resolve looks a name up. One that is in no table and has not the form of a
// consumer's is a subject.
func (j *JetStream) resolve(name string) (n target) {
	n.consumer, n.isConsumer = j.queueName(name)
	n.subject, n.isSubject = j.options.Subjects[name]
	if !n.isConsumer && !n.isSubject {
		n.subject, n.isSubject = name, true
	}
	return n
}

func (j *JetStream) describeSubject(ctx context.Context, s *broker.Semantics, native string) error {
	s.Kind = "subject"
	if err := natsrules.CheckSubject(native); err != nil {
		return err
	}
	c, err := j.capture(ctx, native)
	switch {
	case err != nil:
		return err
	case c.known && c.stream == "":
		return errNoStream
	}
	s.Publish = j.publishing(&c)
	s.Receive = ofAnyConsumer(c.config)
	if c.config == nil {
		noStorage(s, c.from)
		return nil
	}
	storage(s, c.config)
	return nil
}

// capture returns what stores a subject, as core NATS finds it; but without an
// answer to the list it is not known that nothing does: a stream that has no
// leader leaves no trace.
func (j *JetStream) capture(ctx context.Context, native string) (capture, error) {
	switch {
	case j.conn.IsClosed():
		return capture{}, nats.ErrConnectionClosed
	case !j.conn.IsConnected():
		return j.core.capture(ctx, native) // which asks nothing then
	}
	c, err := readCapture(ctx, j.conn, j.api, native)
	if c.known && c.stream == "" && c.listErr != nil {
		c.known, c.from = false, "a trace reaches no stream, and STREAM.LIST: "+c.listErr.Error()
	}
	return c, err
}

// storage adds what a stream's configuration says about storage.
func storage(s *broker.Semantics, c *jetstream.StreamConfig) {
	switch {
	case c.Storage == jetstream.MemoryStorage:
		s.Durability = broker.Known(broker.DurabilityMemory, "storage")
	case c.PersistMode == jetstream.AsyncPersistMode:
		s.Durability = broker.Known(broker.DurabilityDiskAsync, "persist_mode")
	default:
		s.Durability = broker.Known(broker.DurabilityDisk, "storage; it is written to disk every two minutes unless the server's sync_interval says otherwise, which a client cannot see")
	}
	s.Replicas = broker.Known(max(c.Replicas, 1), "num_replicas")
	s.Retention = broker.Unlimited[time.Duration]("max_age")
	if c.MaxAge > 0 {
		s.Retention = broker.Known(c.MaxAge, "max_age")
	}
	limited := c.MaxMsgs > 0 || c.MaxBytes > 0 || c.MaxMsgsPerSubject > 0
	switch {
	case !limited:
		s.WhenFull = broker.None[broker.Full]("max_msgs, max_bytes, max_msgs_per_subject: no limit")
	case c.Discard == jetstream.DiscardNew && (c.MaxMsgsPerSubject <= 0 || c.DiscardNewPerSubject):
		s.WhenFull = broker.Known(broker.FullRejects, "discard")
	default:
		s.WhenFull = broker.Known(broker.FullDropsOldest, "discard")
	}
}

func noStorage(s *broker.Semantics, why string) {
	s.Durability, s.Replicas = broker.Unknown[broker.Durability](why), broker.Unknown[int](why)
	s.Retention, s.WhenFull = broker.Unknown[time.Duration](why), broker.Unknown[broker.Full](why)
}

// publishing returns the publish side of a subject; its stream may be unknown,
// or known only by name.
func (j *JetStream) publishing(c *capture) broker.Publishing {
	p := broker.Publishing{
		Offered:       broker.Known(true, jsDocs),
		StoredBy:      c.storedBy(),
		Confirm:       broker.Unknown[broker.Confirm](c.from),
		WithoutReader: c.withoutReader(),
		Readers:       c.interested(),
		Ordering:      broker.Known(broker.OrderingTotal, jsDocs),
		KeyRequired:   broker.Known(false, jsDocs),
		IDRequired:    broker.Known(false, jsDocsDedup),
		DedupBy:       broker.Unknown[broker.DedupBy](c.from),
		DedupWindow:   broker.Unknown[time.Duration](c.from),
		DedupScope:    broker.Unknown[broker.Scope](c.from),
		RateScope:     broker.Unlimited[broker.Scope](docsRate),
		MaxDelay:      broker.Unknown[time.Duration](c.from),
		QueueDelay:    broker.None[time.Duration](jsDocs),
		MessageTTL:    broker.Unknown[time.Duration](c.from),
		Schedule:      broker.Unknown[bool](c.from),
		MaxMessage:    j.core.maxMessage(),
		MaxHeaders:    broker.Unlimited[int](jsDocsHeader),
		MaxHeaderSize: broker.Known[int64](natsrules.MaxJetStreamHeaders, jsDocsHeader),
		MaxBatch:      broker.None[int](jsDocsBatch),
		MaxBatchSize:  broker.None[int64](jsDocsBatch),
		BatchAtomic:   broker.Known(false, jsDocsBatch),
		RequestReply:  broker.Unknown[bool](c.from),
	}
	if c.config != nil {
		configured(&p, c.config)
	}
	return p
}

// configured adds what a stream's configuration says about publishing.
func configured(p *broker.Publishing, c *jetstream.StreamConfig) {
	p.Confirm = broker.Known(broker.ConfirmStored, "no_ack")
	p.RequestReply = broker.Known(false, "the stream's acknowledgement is a reply")
	if c.NoAck {
		p.Confirm = broker.Known(broker.ConfirmSent, "no_ack")
		p.RequestReply = broker.Known(true, "no_ack")
	}
	if c.Sealed {
		p.Offered = broker.Known(false, "sealed")
	}
	p.DedupBy, p.DedupWindow, p.DedupScope = broker.None[broker.DedupBy]("duplicate_window"),
		broker.None[time.Duration]("duplicate_window"), broker.None[broker.Scope]("duplicate_window")
	if c.Duplicates > 0 {
		p.DedupBy = broker.Known(broker.DedupByID, jsDocsDedup)
		p.DedupWindow = broker.Known(c.Duplicates, "duplicate_window")
		p.DedupScope = broker.Known(broker.ScopeStream, jsDocsDedup)
	}
	p.MaxDelay = broker.None[time.Duration]("allow_msg_schedules, and the subject " + ScheduleSubject(c.Name))
	p.Schedule = broker.Known(c.AllowMsgSchedules, "allow_msg_schedules")
	if checkSchedules(c) == nil {
		p.MaxDelay = broker.Unlimited[time.Duration]("allow_msg_schedules")
	}
	p.MessageTTL = broker.None[time.Duration]("allow_msg_ttl")
	if c.AllowMsgTTL {
		p.MessageTTL = broker.Unlimited[time.Duration]("allow_msg_ttl, whole seconds")
	}
	if size := int64(c.MaxMsgSize); size > 0 && (p.MaxMessage.State != broker.StateKnown || size < p.MaxMessage.V) {
		p.MaxMessage = broker.Known(size, "max_msg_size")
	}
}

// notPublished returns the publish side of an address that is only received
// from.
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
