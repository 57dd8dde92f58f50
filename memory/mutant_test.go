package memory_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// mutant is a broker with one rule broken, for histories to find it.
type mutant struct {
	queues
	ids       map[string]broker.Receipt
	calls     int
	publishes func(*mutant, context.Context, broker.Message) (broker.Receipt, error)
	receives  func(*mutant, []*broker.Delivery) []*broker.Delivery
	deletes   func(*mutant, context.Context, ...*broker.Delivery) error
	extends   func(time.Duration) time.Duration
	releases  func(time.Duration) time.Duration
	rejects   func(*mutant, context.Context, *broker.Delivery) error
}

func (m *mutant) Publish(ctx context.Context, msg broker.Message) (broker.Receipt, error) {
	m.calls++
	if m.publishes != nil {
		return m.publishes(m, ctx, msg)
	}
	return m.queues.Publish(ctx, msg)
}

func (m *mutant) Receive(ctx context.Context, queue string, limit int, opts ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	m.calls++
	ds, err := m.queues.Receive(ctx, queue, limit, opts...)
	if m.receives != nil {
		ds = m.receives(m, ds)
	}
	return ds, err
}

func (m *mutant) Delete(ctx context.Context, ds ...*broker.Delivery) error {
	m.calls++
	if m.deletes != nil {
		return m.deletes(m, ctx, ds...)
	}
	return m.queues.Delete(ctx, ds...)
}

func (m *mutant) Extend(ctx context.Context, lease time.Duration, ds ...*broker.Delivery) error {
	if m.extends != nil {
		lease = m.extends(lease)
	}
	return m.queues.Extend(ctx, lease, ds...)
}

func (m *mutant) Release(ctx context.Context, delay time.Duration, ds ...*broker.Delivery) error {
	if m.releases != nil {
		delay = m.releases(delay)
	}
	return m.queues.Release(ctx, delay, ds...)
}

func (m *mutant) Reject(ctx context.Context, reason string, ds ...*broker.Delivery) error {
	if m.rejects != nil {
		return m.rejects(m, ctx, ds[0])
	}
	return m.queues.Reject(ctx, reason, ds...)
}

const (
	onBoth = iota
	onStandard
	onFIFO
)

var mutants = map[string]struct {
	on     int
	mutant mutant
}{
	"loses a message": {mutant: mutant{publishes: func(m *mutant, ctx context.Context, msg broker.Message) (broker.Receipt, error) {
		if m.calls%7 != 0 {
			return m.queues.Publish(ctx, msg)
		}
		return broker.Receipt{Outcome: broker.OutcomeStored, ID: strconv.Itoa(-m.calls)}, nil
	}}, on: onStandard},
	"stores a message twice": {mutant: mutant{publishes: func(m *mutant, ctx context.Context, msg broker.Message) (broker.Receipt, error) {
		if m.calls%7 == 0 {
			_, _ = m.queues.Publish(ctx, msg)
		}
		return m.queues.Publish(ctx, msg)
	}}, on: onStandard},
	"ignores a delay": {mutant: mutant{publishes: func(m *mutant, ctx context.Context, msg broker.Message) (broker.Receipt, error) {
		msg.Delay = 0
		return m.queues.Publish(ctx, msg)
	}}, on: onStandard},
	"does not deduplicate": {mutant: mutant{publishes: func(m *mutant, ctx context.Context, msg broker.Message) (broker.Receipt, error) {
		msg.DedupID = "mutant-" + strconv.Itoa(m.calls)
		return m.queues.Publish(ctx, msg)
	}}, on: onFIFO},
	"deduplicates for ever": {mutant: mutant{publishes: func(m *mutant, ctx context.Context, msg broker.Message) (broker.Receipt, error) {
		id := msg.Key + " " + msg.DedupID
		if r, ok := m.ids[id]; ok && msg.DedupID != "" {
			return r, nil
		}
		r, err := m.queues.Publish(ctx, msg)
		if m.ids == nil {
			m.ids = map[string]broker.Receipt{}
		}
		m.ids[id] = r
		return r, err
	}}, on: onFIFO},
	"swaps two of a key": {mutant: mutant{receives: func(_ *mutant, ds []*broker.Delivery) []*broker.Delivery {
		slices.Reverse(ds)
		return ds
	}}, on: onFIFO},
	"leaves out what it received": {mutant: mutant{receives: func(m *mutant, ds []*broker.Delivery) []*broker.Delivery {
		if len(ds) > 1 && m.calls%3 == 0 {
			return ds[1:]
		}
		return ds
	}}},
	"does not count attempts": {mutant: mutant{receives: func(_ *mutant, ds []*broker.Delivery) []*broker.Delivery {
		for _, d := range ds {
			d.Attempt = 1
		}
		return ds
	}}},
	"tells a lease that is not so": {mutant: mutant{receives: func(_ *mutant, ds []*broker.Delivery) []*broker.Delivery {
		for _, d := range ds {
			d.LeaseEnd = d.LeaseEnd.Add(time.Second)
		}
		return ds
	}}},
	"forgets a delete": {mutant: mutant{deletes: func(m *mutant, ctx context.Context, ds ...*broker.Delivery) error {
		if m.calls%5 == 0 {
			return nil
		}
		return m.queues.Delete(ctx, ds...)
	}}},
	"refuses to delete twice": {mutant: mutant{deletes: func(m *mutant, ctx context.Context, ds ...*broker.Delivery) error {
		if err := m.queues.Extend(ctx, time.Second, ds...); err != nil {
			return err
		}
		return m.queues.Delete(ctx, ds...)
	}}},
	"shortens an extension":     {mutant: mutant{extends: func(d time.Duration) time.Duration { return min(d, 3*time.Second) }}},
	"ignores a release's delay": {mutant: mutant{releases: func(time.Duration) time.Duration { return 0 }}},
	"deletes what is rejected": {mutant: mutant{rejects: func(m *mutant, ctx context.Context, d *broker.Delivery) error {
		if err := m.queues.Extend(ctx, 0, d); err != nil {
			return err
		}
		return m.queues.Delete(ctx, d)
	}}},
	"releases what is rejected": {mutant: mutant{rejects: func(m *mutant, ctx context.Context, d *broker.Delivery) error {
		return m.queues.Release(ctx, 0, d)
	}}},
}

// Histories find each broken rule, on each kind of queue that has it.
func TestHistoriesFindMutants(t *testing.T) {
	for name, test := range mutants {
		for on, fifo := range map[int]bool{onStandard: false, onFIFO: true} {
			if test.on != onBoth && test.on != on {
				continue
			}
			after, fault := finds(t, sqsHistories(fifo), playSQS(func(q queues) queues {
				m := test.mutant
				m.queues = q
				return &m
			}))
			if fault == nil {
				t.Errorf("%s, fifo=%t: not found in %d histories", name, fifo, after)
			} else {
				t.Logf("%s, fifo=%t: found in history %d: %v", name, fifo, after, fault)
			}
		}
	}
}
