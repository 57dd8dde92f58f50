package memory

import (
	"context"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// EnsureStream creates a stream if there is none of that name, or else compares it
// with c and reports the differences, changing nothing, as natsbroker.JetStream does
// and in the same words. Numbers, durations and lists that c leaves at zero are the
// server's to choose and are not compared; policies and switches are, since their
// zero values mean something. What the server refuses to create is a
// [*broker.FieldError] for each problem, joined; what is there is only compared.
func (b *JetStream) EnsureStream(ctx context.Context, c StreamConfig) (broker.Ensured, error) {
	if err := b.open(ctx, "ensure stream", c.Name); err != nil {
		return broker.Ensured{}, err
	}
	if !natsrules.ValidName(c.Name) {
		return broker.Ensured{}, &broker.FieldError{Field: "Name", Value: c.Name, Limit: natsrules.NameLimit}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if has := b.streams[c.Name]; has != nil {
		return broker.Ensured{Drift: natsrules.Differences(c.settings(), has.settings())}, nil
	}
	if err := b.createStream(c); err != nil {
		return broker.Ensured{}, err
	}
	return broker.Ensured{Created: true}, nil
}

// EnsureConsumer creates a consumer if there is none of that name, or else compares
// it with c as EnsureStream does; dead letters are compared as the metadata that they
// are on the server. The stream must exist ([broker.ErrNotFound]), and a filter match
// one of its subjects: the server would take one by which nothing is ever delivered.
// Dead letters need a stream that has their subject, which the consumer does not
// deliver, and a MaxDeliver that is above their MaxAttempts or no limit.
func (b *JetStream) EnsureConsumer(ctx context.Context, stream string, c ConsumerConfig) (broker.Ensured, error) {
	const op Op = "ensure consumer"
	n := natsrules.Consumer{Stream: stream, Name: c.Durable}
	if err := b.open(ctx, op, n.String()); err != nil {
		return broker.Ensured{}, err
	}
	if _, ok := natsrules.ParseConsumer(n.String()); !ok {
		return broker.Ensured{}, &broker.FieldError{Field: "Durable", Value: n.String(), Limit: natsrules.ConsumerLimit}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.streams[stream]
	if s == nil {
		return broker.Ensured{}, failed(op, n.String(), broker.ErrNotFound, nil)
	}
	if dead := natsrules.DeadFilter(s.Subjects, c.filters()); dead != "" {
		return broker.Ensured{}, &broker.FieldError{Field: "FilterSubject", Value: dead, Limit: natsrules.FilterLimit(s.Name, s.Subjects)}
	}
	if err := b.checkDeadLetters(s, &c); err != nil {
		return broker.Ensured{}, err
	}
	if has := b.consumers[n]; has != nil {
		return broker.Ensured{Drift: natsrules.Differences(c.settings(), has.settings())}, nil
	}
	if err := b.createConsumer(stream, c); err != nil {
		return broker.Ensured{}, err
	}
	return broker.Ensured{Created: true}, nil
}

// settings are those of a stream by the names of JetStream's API.
func (c *StreamConfig) settings() natsrules.Settings {
	return natsrules.Settings{
		"subjects": c.Subjects, "retention": c.Retention, "storage": c.Storage, "num_replicas": c.Replicas,
		"max_msgs": c.MaxMsgs, "max_bytes": c.MaxBytes, "max_msgs_per_subject": c.MaxMsgsPerSubject,
		"max_age": c.MaxAge, "max_msg_size": c.MaxMsgSize,
		"discard": c.Discard, "discard_new_per_subject": c.DiscardNewPerSubject, "duplicate_window": c.Duplicates,
		"allow_msg_ttl": c.AllowMsgTTL, "allow_msg_schedules": c.AllowMsgSchedules,
		"allow_rollup_hdrs": c.AllowRollup, "allow_atomic": c.AllowAtomicPublish, "no_ack": c.NoAck,
	}
}

// settings are those of a consumer likewise.
func (c *ConsumerConfig) settings() natsrules.Settings {
	policy, sequence, at := c.Start.Position()
	if policy == broker.StartUnsaid {
		policy = broker.StartFirst
	}
	s := natsrules.Settings{
		"deliver_policy": natsrules.DeliverPolicy(policy), "opt_start_seq": sequence, "opt_start_time": nil,
		"ack_policy": ackPolicy(c.AckNone), "ack_wait": c.AckWait, "backoff": c.BackOff,
		"max_deliver": c.MaxDeliver, "max_ack_pending": c.MaxAckPending,
		"filter_subject": c.FilterSubject, "filter_subjects": c.FilterSubjects,
	}
	if policy == broker.StartTime {
		s["opt_start_time"] = at
	}
	if c.DeadLetters.Subject != "" {
		s["metadata"] = c.DeadLetters.Metadata(nil)
	}
	return s
}

// ackPolicy is whether it is none.
type ackPolicy bool

// String is the policy as nats.go writes it.
func (none ackPolicy) String() string {
	if none {
		return "AckNone"
	}
	return "AckExplicit"
}
