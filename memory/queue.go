package memory

import (
	"errors"
	"fmt"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/queue"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// QueueOptions are the attributes of a queue. Zero fields have SQS's defaults.
// Durations are whole seconds.
type QueueOptions struct {
	// Visibility is the visibility timeout, the lease of a receive without
	// [broker.Lease]: up to 12 hours, 30 s by default.
	Visibility time.Duration
	// Delay is how long each message is initially invisible, unless the message
	// sets a Delay: up to 15 minutes, none by default.
	Delay time.Duration
	// Retention is how long a message is kept, in any state: 1 minute to 14
	// days, 4 days by default.
	Retention time.Duration
	// Wait is the queue's own wait of a receive, up to 20 s, none by default.
	// With one, [broker.Wait] 0 is refused: the AWS client cannot ask for it.
	Wait time.Duration
	// MaxMessage is the largest message in bytes, body and headers: 1 KiB to
	// 1 MiB, 1 MiB by default.
	MaxMessage int
	// DeadLetter is the queue, of the same kind, to which a message is moved
	// instead of being received more than MaxReceives times. It must exist. ""
	// means none.
	DeadLetter string
	// MaxReceives goes with DeadLetter: 1 to 1,000, 10 by default.
	MaxReceives int
	// ContentBasedDedup makes the SHA-256 of the body the deduplication id of
	// a message without one. For FIFO queues.
	ContentBasedDedup bool
	// DedupScope is where a deduplication id must be unique:
	// [broker.ScopeDestination], the default, or [broker.ScopeKey], which also
	// brings high throughput (FifoThroughputLimit of perMessageGroupId): Describe
	// says so, and nothing is limited here. For FIFO queues.
	DedupScope broker.Scope
}

// settings are a queue's name and what its options come to.
type settings struct {
	name    string
	rules   sqsrules.Queue
	options QueueOptions // defaults filled in
}

// CreateQueue creates a queue: FIFO if the name ends in ".fifo", otherwise
// Standard. It does nothing if one of that name exists with the same options;
// if its options differ, or SQS would refuse them, the error holds a
// [*broker.FieldError] for each problem, joined. It may be called at any time,
// like the other methods for queues.
func (b *SQS) CreateQueue(name string, o QueueOptions) error {
	return b.setQueue(name, o, func(q *settings) error {
		old := b.queues[name]
		if old == nil {
			return b.engine.Create(name, q.config())
		}
		if old.options != q.options {
			return &broker.FieldError{Field: "name", Value: name, Limit: "the options of the existing queue"}
		}
		return nil
	})
}

// UpdateQueue replaces all options of a queue. They take effect at once, except
// for leases and delays that have begun.
func (b *SQS) UpdateQueue(name string, o QueueOptions) error {
	return b.setQueue(name, o, func(q *settings) error {
		return b.engine.Update(name, func(c *queue.Config) { *c = q.config() })
	})
}

// setQueue checks options, has set bring them to the engine, and keeps them.
func (b *SQS) setQueue(name string, o QueueOptions, set func(*settings) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.checkQueue(name, &o); err != nil {
		return err
	}
	q := newSettings(name, o)
	if err := set(q); err != nil {
		return engineFailed("set queue", name, err)
	}
	b.queues[name] = q
	return nil
}

// DeleteQueue removes a queue with its messages. Waiting receives end with
// [broker.ErrNotFound].
func (b *SQS) DeleteQueue(name string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.engine.Drop(name); err != nil {
		return engineFailed("delete queue", name, err)
	}
	delete(b.queues, name)
	return nil
}

// Purge removes the messages of a queue, including those in flight, and forgets
// the deduplication ids.
func (b *SQS) Purge(name string) error {
	return engineFailed("purge", name, b.engine.Purge(name))
}

func newSettings(name string, o QueueOptions) *settings {
	return &settings{
		name: name, options: o,
		rules: sqsrules.Queue{FIFO: sqsrules.IsFIFO(name), ContentDedup: o.ContentBasedDedup, MaxMessage: o.MaxMessage},
	}
}

func (q *settings) config() queue.Config {
	o := q.options
	c := queue.Config{
		FIFO:        q.rules.FIFO,
		Visibility:  o.Visibility,
		Delay:       o.Delay,
		Retention:   o.Retention,
		MaxLease:    sqsrules.MaxLease,
		MaxReceives: o.MaxReceives,
		DeadLetter:  o.DeadLetter,
		MaxInFlight: sqsrules.MaxInFlight,
	}
	if c.FIFO {
		c.DedupWindow = sqsrules.DedupWindow
	}
	if o.DedupScope == broker.ScopeKey {
		c.DedupScope = queue.DedupPerGroup
	}
	return c
}

// setDefaults fills in what is zero.
func (o *QueueOptions) setDefaults(fifo bool) {
	setDefault(&o.Visibility, sqsrules.DefaultVisibility)
	setDefault(&o.Retention, sqsrules.DefaultRetention)
	setDefault(&o.MaxMessage, sqsrules.MaxMessage)
	if o.DeadLetter != "" {
		setDefault(&o.MaxReceives, 10)
	}
	if fifo {
		setDefault(&o.DedupScope, broker.ScopeDestination)
	}
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// checkQueue fills in o's defaults and returns all that is wrong with it. The
// caller holds mu.
func (b *SQS) checkQueue(name string, o *QueueOptions) error {
	fifo := sqsrules.IsFIFO(name)
	o.setDefaults(fifo)
	errs := []error{
		sqsrules.CheckName(name),
		within("Visibility", o.Visibility, time.Second, sqsrules.MaxLease),
		within("Delay", o.Delay, 0, sqsrules.MaxDelay),
		within("Retention", o.Retention, sqsrules.MinRetention, sqsrules.MaxRetention),
		within("Wait", o.Wait, 0, sqsrules.MaxWait),
		within("MaxMessage", o.MaxMessage, sqsrules.MinMaxSize, sqsrules.MaxMessage),
	}
	for field, d := range map[string]time.Duration{
		"Visibility": o.Visibility, "Delay": o.Delay, "Retention": o.Retention, "Wait": o.Wait,
	} {
		if d%time.Second != 0 {
			errs = append(errs, &broker.FieldError{Field: field, Value: d.String(), Limit: "whole seconds"})
		}
	}
	if o.MaxReceives != 0 || o.DeadLetter != "" {
		errs = append(errs, within("MaxReceives", o.MaxReceives, 1, sqsrules.MaxReceives), b.checkDeadLetter(name, o.DeadLetter))
	}
	return errors.Join(append(errs, checkDedup(o, fifo))...)
}

func (b *SQS) checkDeadLetter(name, target string) error {
	switch {
	case target == "":
		return &broker.FieldError{Field: "DeadLetter", Limit: "a queue, with MaxReceives"}
	case target == name || b.queues[target] == nil || sqsrules.IsFIFO(target) != sqsrules.IsFIFO(name):
		return &broker.FieldError{Field: "DeadLetter", Value: target, Limit: "another existing queue of the same kind"}
	}
	return nil
}

func checkDedup(o *QueueOptions, fifo bool) error {
	switch o.DedupScope {
	case broker.ScopeDestination, broker.ScopeKey:
		if fifo {
			return nil
		}
	case "":
		if !o.ContentBasedDedup {
			return nil
		}
	}
	return &broker.FieldError{
		Field: "DedupScope", Value: string(o.DedupScope),
		Limit: "destination or key, on a FIFO queue",
	}
}

func within[T int | time.Duration](field string, v, least, most T) error {
	if least <= v && v <= most {
		return nil
	}
	return &broker.FieldError{Field: field, Value: fmt.Sprint(v), Limit: fmt.Sprintf("%v to %v", least, most)}
}
