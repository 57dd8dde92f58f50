package memory

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
	"github.com/candidmq/candidmq/internal/stream"
)

// DeadLetters configures where a consumer's messages are moved that are
// rejected, or whose attempts are used up, as natsbroker.DeadLetters does.
// JetStream has no such setting: on the real server it is kept in the
// consumer's metadata.
type DeadLetters struct {
	// Subject is where the copies are published; "": nowhere. A stream must capture
	// it.
	Subject string
	// MaxAttempts is how often a message is delivered, 0 for no limit. When it
	// would be delivered once more, Receive moves it.
	MaxAttempts int
}

// Metadata returns a copy of others with the settings added, as in the metadata
// of a real consumer. others may be nil, and is not changed.
func (d DeadLetters) Metadata(others map[string]string) map[string]string {
	return natsrules.DeadLetters(d).Metadata(others)
}

// ConsumerConfig is a durable pull consumer, with the names of JetStream's own
// configuration. Zero fields have the server's defaults.
type ConsumerConfig struct {
	Durable string
	// FilterSubject or FilterSubjects are the patterns of what is delivered, no two
	// with a subject in common; none: all that the stream has.
	FilterSubject  string
	FilterSubjects []string
	// Start is the message that the consumer begins with; the zero Start is the
	// first.
	Start broker.Start
	// AckNone: a message is settled by its delivery.
	AckNone bool
	// AckWait is the lease, 30 s by default. BackOff replaces it by a lease per
	// attempt, the last for all further ones.
	AckWait time.Duration
	BackOff []time.Duration
	// MaxDeliver is how often a message is delivered; then it is stranded: it stays
	// in the stream, and is never delivered again. 0 or below: no limit.
	MaxDeliver int
	// MaxAckPending is how many messages may be in flight, 1,000 by default; below
	// 0: no limit.
	MaxAckPending int
	DeadLetters   DeadLetters
}

const (
	defaultAckWait       = 30 * time.Second
	defaultMaxAckPending = 1000
)

// setDefaults makes of a configuration what the server would keep.
func (c *ConsumerConfig) setDefaults() {
	c.FilterSubjects, c.BackOff = slices.Clone(c.FilterSubjects), slices.Clone(c.BackOff)
	if !c.AckNone {
		setDefault(&c.AckWait, defaultAckWait)
		setDefault(&c.MaxAckPending, defaultMaxAckPending)
	}
	if len(c.BackOff) > 0 {
		c.AckWait = c.BackOff[0]
	}
	c.MaxDeliver = limit(c.MaxDeliver)
	c.MaxAckPending = max(unlimited, c.MaxAckPending)
}

func (c *ConsumerConfig) filters() []string {
	if c.FilterSubject != "" {
		return []string{c.FilterSubject}
	}
	return c.FilterSubjects
}

// check returns all that the server would refuse.
func (c *ConsumerConfig) check(s *StreamConfig) error {
	var errs []error
	refuse := func(when bool, field, value, limit string) {
		if when {
			errs = append(errs, &broker.FieldError{Field: field, Value: value, Limit: limit})
		}
	}
	filters := c.filters()
	refuse(!natsrules.ValidName(c.Durable), "Durable", c.Durable, natsrules.NameLimit)
	refuse(c.FilterSubject != "" && len(c.FilterSubjects) > 0, "FilterSubjects", fmt.Sprint(c.FilterSubjects), "none, with FilterSubject")
	for _, p := range filters {
		errs = append(errs, natsrules.CheckPattern("FilterSubject", p))
	}
	refuse(natsrules.OverlapWithin(filters), "FilterSubjects", fmt.Sprint(filters), "patterns that have no subject in common")
	refuse(c.AckWait < 0, "AckWait", c.AckWait.String(), "0 or above")
	refuse(c.MaxDeliver > 0 && len(c.BackOff) > c.MaxDeliver, "BackOff", fmt.Sprint(c.BackOff), "at most MaxDeliver durations")
	refuse(slices.ContainsFunc(c.BackOff, func(d time.Duration) bool { return d <= 0 }), "BackOff", fmt.Sprint(c.BackOff), "above 0")
	policy, _, _ := c.Start.Position()
	refuse(policy == broker.StartLastPerSubject && len(filters) == 0, "Start", "FromLastPerSubject", "a filter with it")
	if s.Retention == WorkQueueRetention {
		refuse(c.AckNone, "AckNone", "true", "false on a work queue")
		refuse(policy > broker.StartNew && policy != broker.StartFirst || policy == broker.StartNew,
			"Start", fmt.Sprint(policy), "FromFirst on a work queue")
	}
	if target := c.DeadLetters.Subject; target != "" {
		errs = append(errs, natsrules.CheckSubject(target))
	}
	refuse(c.DeadLetters.Subject == "" && c.DeadLetters.MaxAttempts != 0 || c.DeadLetters.MaxAttempts < 0,
		"DeadLetters.MaxAttempts", fmt.Sprint(c.DeadLetters.MaxAttempts), "0 or above, with a Subject")
	return errors.Join(errs...)
}

func (c *ConsumerConfig) engine() stream.ConsumerConfig {
	e := stream.ConsumerConfig{
		Filters: c.filters(), NoAck: c.AckNone, AckWait: c.AckWait, Backoff: c.BackOff,
		MaxDeliver: max(0, c.MaxDeliver), MaxAckPending: max(0, c.MaxAckPending),
	}
	policy, seq, at := c.Start.Position()
	e.Seq, e.Time = seq, at
	e.Start = map[broker.StartPolicy]stream.Start{
		broker.StartNew: stream.FromNew, broker.StartSequence: stream.FromSequence,
		broker.StartTime: stream.FromTime, broker.StartLastPerSubject: stream.FromLastOfEach,
	}[policy]
	return e
}

// CreateConsumer creates a consumer of a stream. It does nothing if one of that
// name exists with the same configuration; if its configuration differs, or the
// server would refuse it, the error holds a [*broker.FieldError] for each
// problem, joined. Without the stream it is [broker.ErrNotFound].
func (b *JetStream) CreateConsumer(stream string, c ConsumerConfig) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.createConsumer(stream, c)
}

func (b *JetStream) createConsumer(stream string, c ConsumerConfig) error {
	return b.setConsumer(stream, c, func(n natsrules.Consumer, old, c *ConsumerConfig) error {
		switch {
		case old == nil:
			return b.engine.CreateConsumer(n.Stream, n.Name, c.engine())
		case !reflect.DeepEqual(old, c):
			return &broker.FieldError{Field: "Durable", Value: c.Durable, Limit: "the configuration of the existing consumer"}
		}
		return nil
	})
}

// UpdateConsumer changes a consumer's times, limits and dead letters. The
// filters, Start and AckNone are fixed. Leases that have begun are not
// affected.
func (b *JetStream) UpdateConsumer(stream string, c ConsumerConfig) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.setConsumer(stream, c, func(n natsrules.Consumer, old, c *ConsumerConfig) error {
		if old != nil && (!slices.Equal(old.filters(), c.filters()) || old.Start != c.Start || old.AckNone != c.AckNone) {
			return &broker.FieldError{Field: "Durable", Value: c.Durable, Limit: "filters, Start and AckNone as the consumer was created"}
		}
		return b.engine.UpdateConsumer(n.Stream, n.Name, c.engine())
	})
}

// setConsumer checks a configuration, applies it to the engine with set, and
// stores it. The caller holds mu.
func (b *JetStream) setConsumer(stream string, c ConsumerConfig, set func(n natsrules.Consumer, old, c *ConsumerConfig) error) error {
	n := natsrules.Consumer{Stream: stream, Name: c.Durable}
	s := b.streams[stream]
	if s == nil {
		return failed("set consumer", n.String(), broker.ErrNotFound, nil)
	}
	c.setDefaults()
	if err := errors.Join(c.check(s), b.checkShare(s, &c)); err != nil {
		return err
	}
	switch err := set(n, b.consumers[n], &c); {
	case errors.Is(err, broker.ErrInvalid):
		return err
	case err != nil:
		return streamFailed("set consumer", n.String(), err)
	}
	b.consumers[n] = &c
	return nil
}

// checkShare refuses a second consumer for a message of a work queue. The caller
// holds mu.
func (b *JetStream) checkShare(s *StreamConfig, c *ConsumerConfig) error {
	if s.Retention != WorkQueueRetention {
		return nil
	}
	for n, other := range b.consumers {
		if n.Stream == s.Name && n.Name != c.Durable && natsrules.Overlap(orAll(c.filters()), orAll(other.filters())) {
			return &broker.FieldError{
				Field: "FilterSubject", Value: fmt.Sprint(c.filters()),
				Limit: "no overlap with consumer " + n.String() + " of the work queue",
			}
		}
	}
	return nil
}

func orAll(filters []string) []string {
	if len(filters) == 0 {
		return []string{">"}
	}
	return filters
}

// DeleteConsumer removes a consumer. Waiting receives end with
// [broker.ErrNotFound]. Its messages stay in the stream, except those that only
// it held there by interest.
func (b *JetStream) DeleteConsumer(stream, durable string) error {
	n := natsrules.Consumer{Stream: stream, Name: durable}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.engine.DropConsumer(stream, durable); err != nil {
		return streamFailed("delete consumer", n.String(), err)
	}
	delete(b.consumers, n)
	delete(b.groups, n)
	return nil
}
