package brokertest_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/broker/brokertest"
	"github.com/candidmq/candidmq/memory"
)

// forgetsKeys is a receiver whose deliveries have no key.
type forgetsKeys struct{ *memory.SQS }

func (r forgetsKeys) Receive(ctx context.Context, queue string, limit int, opts ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	ds, err := r.SQS.Receive(ctx, queue, limit, opts...)
	for _, d := range ds {
		d.Key = ""
	}
	return ds, err
}

// losing is a mutant that deletes what it should deliver.
func losing(lose func(s broker.Semantics, d *broker.Delivery) bool) func(*queues) {
	return func(q *queues) {
		q.onReceive = func(ctx context.Context, name string, limit int, opts []broker.ReceiveOption) ([]*broker.Delivery, error) {
			ds, err := q.SQS.Receive(ctx, name, limit, opts...)
			if len(ds) == 0 {
				return ds, err
			}
			s, _ := q.SQS.Describe(ctx, name)
			var kept []*broker.Delivery
			for _, d := range ds {
				if lose(s, d) {
					_ = q.SQS.Delete(ctx, d)
				} else {
					kept = append(kept, d)
				}
			}
			return kept, err
		}
	}
}

func moreMutants() []mutant {
	shortPolls := onQueues("", func(*queues) {})
	playWorst := shortPolls.Worst
	shortPolls.Worst = func(tb testing.TB) broker.Broker {
		tb.Helper()
		q := &queues{SQS: playWorst(tb).(*memory.SQS)}
		q.onReceive = func(ctx context.Context, name string, limit int, opts []broker.ReceiveOption) ([]*broker.Delivery, error) {
			return q.SQS.Receive(ctx, name, limit, append(opts, broker.Wait(time.Second))...)
		}
		return q
	}
	return []mutant{{
		name: "finds at its worst what a short poll may miss", caught: "worst/short-poll", on: shortPolls,
	}, {
		name: "loses what has no attempts left", caught: "dead-letter/after-last-attempt",
		on: onQueues("", losing(func(_ broker.Semantics, d *broker.Delivery) bool {
			return strings.HasPrefix(d.Source, "dead-") && d.Attempt > 3
		})),
	}, {
		name: "gives up in secret", caught: "dead-letter/unlimited",
		on: onQueues("", losing(func(_ broker.Semantics, d *broker.Delivery) bool { return d.Attempt > 20 })),
	}, {
		name: "keeps messages for less than it claims", caught: "delay/retention",
		on: onQueues("", losing(func(s broker.Semantics, d *broker.Delivery) bool {
			return time.Since(d.Time) > s.Retention.V*9/10
		})),
	}, {
		name: "shortens a long delay", caught: "delay/longest",
		on: onQueues("", publishing(func(m *broker.Message) {
			if m.Delay <= 15*time.Minute {
				m.Delay = min(m.Delay, 10*time.Minute)
			}
		})),
	}, {
		name: "loses a message among many receivers", caught: "concurrency/receivers",
		may: []string{"batch/receipts", "ordering/first-deliveries", "concurrency/subscribe-and-drain"},
		on: onQueues("", func(q *queues) {
			q.onReceive = func(ctx context.Context, name string, limit int, opts []broker.ReceiveOption) ([]*broker.Delivery, error) {
				ds, err := q.SQS.Receive(ctx, name, limit, opts...)
				if limit == 10 && len(ds) > 1 {
					ds[len(ds)-1] = ds[0]
				}
				return ds, err
			}
		}),
	}, {
		name: "fails the whole of a call for many", caught: "batch/settling",
		on: onQueues("", func(q *queues) {
			q.onExtend = func(ctx context.Context, lease time.Duration, ds []*broker.Delivery) error {
				err := q.SQS.Extend(ctx, lease, ds...)
				if b, ok := errors.AsType[*broker.BatchError](err); ok && len(ds) > 1 {
					return b.Unwrap()[0]
				}
				return err
			}
		}),
	}, {
		name: "rejects what is settled", caught: "receive/settled-is-final",
		on: onQueues("", func(q *queues) {
			q.onReject = func(ctx context.Context, reason string, ds []*broker.Delivery) error {
				return pardons(q.SQS.Reject(ctx, reason, ds...))
			}
		}),
	}, {
		name: "lets a failed message be overtaken", caught: "ordering/failure-holds-its-key",
		on: onQueues(".fifo", consuming(func(q *queues) broker.Receiver { return forgetsKeys{q.SQS} })),
	}, {
		name: "claims to keep nothing, and keeps it", caught: "describe/agrees-with-itself",
		on: onQueues("", describing(func(s *broker.Semantics) { s.Durability = broker.None[broker.Durability]("a lie") })),
	}, {
		name: "does not split a large batch", caught: "batch/by-bytes",
		on: onSubjects(func(s *subjects) {
			s.onBatch = func(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
				size := 0
				for _, m := range ms {
					size += len(m.Body)
				}
				if size > 1<<20 {
					return make([]broker.Receipt, len(ms)), &broker.FieldError{Field: "ms", Limit: "1 MiB", TooLarge: true}
				}
				return s.CoreNATS.PublishBatch(ctx, ms)
			}
		}),
	}, {
		name: "fills an empty body", caught: "limits/empty-body",
		on: onSubjects(publishingTo(func(m *broker.Message) {
			if len(m.Body) == 0 {
				m.Body = []byte("null")
			}
		})),
	}, {
		name: "cuts a long header", caught: "limits/header-size",
		on: onSubjects(publishingTo(func(m *broker.Message) {
			if v := m.Header["h"]; len(v) < 1<<20 && len(v) > 1<<19 {
				m.Header = broker.Header{"h": v[:1<<19]}
			}
		})),
	}, {
		name: "drops what another client sent", caught: "headers/foreign",
		on: onSubjects(handling(func(h broker.Handler) broker.Handler {
			return func(ctx context.Context, d *broker.Delivery) error {
				if d.Header["Foreign"] != "" {
					return nil
				}
				return h(ctx, d)
			}
		})),
	}, {
		name: "does not count its readers", caught: "subscribe/readers-counted",
		on: onSubjects(func(s *subjects) {
			s.onDescribe = lying(s.CoreNATS, func(_ context.Context, s *broker.Semantics) { s.Publish.Readers.V = 0 })
		}),
	}, {
		name: "ends the first subscription with any other", caught: "concurrency/subscribe-and-drain",
		on: onSubjects(endsTogether), may: []string{"lifecycle/drain-loses-nothing"},
	}}
}

func describing(change func(*broker.Semantics)) func(*queues) {
	return func(q *queues) {
		q.onDescribe = lying(q.SQS, func(_ context.Context, s *broker.Semantics) { change(s) })
	}
}

// endsTogether drains the first subscription before another begins to work.
func endsTogether(s *subjects) {
	var mu sync.Mutex
	var first *broker.Subscription
	var others int
	s.onSubscribe = func(ctx context.Context, name string, h broker.Handler, opts []broker.SubscribeOption) (*broker.Subscription, error) {
		sub, err := s.CoreNATS.Subscribe(ctx, name, h, opts...)
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err != nil:
		case first == nil:
			first = sub
		default:
			if others++; others == 6 { // of eight, in the case that is meant
				_, _ = first.Drain(ctx)
			}
		}
		return sub, err
	}
}

// withoutMutant are cases that no mutant is for, each with the reason.
var withoutMutant = map[string]string{
	"receive/role-follows-offer": "TestLies has lies about it",
	"lifecycle/drain-twice":      "a backend cannot break broker.Subscription, whose tests see to it",
	"describe/require":           "a backend cannot break broker.Require, whose tests see to it",
}

// TestEveryCaseHasItsMutant sees that each case is able to fail.
func TestEveryCaseHasItsMutant(t *testing.T) {
	caught := map[string]bool{}
	for _, m := range mutants() {
		caught[m.caught] = true
	}
	for _, c := range brokertest.Cases() {
		if why := withoutMutant[c.Name]; caught[c.Name] == (why != "") {
			t.Errorf("%s: a mutant is caught by it: %v; none is said to be: %q", c.Name, caught[c.Name], why)
		}
	}
	t.Logf("%d mutants, %d cases", len(mutants()), len(brokertest.Cases()))
}
