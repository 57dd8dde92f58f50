package brokertest_test

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// handling is a mutant that puts something around every handler.
func handling(around func(broker.Handler) broker.Handler) func(*subjects) {
	return func(s *subjects) {
		s.onSubscribe = func(ctx context.Context, name string, h broker.Handler, opts []broker.SubscribeOption) (*broker.Subscription, error) {
			if h != nil {
				h = around(h)
			}
			return s.CoreNATS.Subscribe(ctx, name, h, opts...)
		}
	}
}

// choosing is a mutant that changes the options of Subscribe.
func choosing(change func([]broker.SubscribeOption) []broker.SubscribeOption) func(*subjects) {
	return func(s *subjects) {
		s.onSubscribe = func(ctx context.Context, name string, h broker.Handler, opts []broker.SubscribeOption) (*broker.Subscription, error) {
			return s.CoreNATS.Subscribe(ctx, name, h, change(opts)...)
		}
	}
}

// consuming is a mutant whose subscriptions settle through another receiver.
func consuming(through func(*queues) broker.Receiver) func(*queues) {
	return func(q *queues) {
		var mu sync.Mutex
		var subs []*broker.Subscription
		q.onSubscribe = func(ctx context.Context, name string, h broker.Handler, opts []broker.SubscribeOption) (*broker.Subscription, error) {
			probe, err := q.SQS.Subscribe(ctx, name, h, opts...) // refuses what it refuses
			if err != nil {
				return nil, err
			}
			if _, err := probe.Drain(ctx); err != nil {
				return nil, err
			}
			sub, err := broker.Consume(ctx, through(q), name, h, without[broker.Group](opts)...)
			if err == nil {
				mu.Lock()
				subs = append(subs, sub)
				mu.Unlock()
			}
			return sub, err
		}
		q.onClose = func(ctx context.Context) error {
			mu.Lock()
			defer mu.Unlock()
			for _, sub := range subs {
				_, _ = sub.Drain(ctx)
			}
			return q.SQS.Close(ctx)
		}
	}
}

// Receivers that are broken in one method.
type (
	losesReleased struct{ *memory.SQS }
	neverExtends  struct{ *memory.SQS }
	neverRejects  struct{ *memory.SQS }
	forgetsDelays struct{ *memory.SQS }
	neverDeletes  struct{ *memory.SQS }
)

func (r losesReleased) Release(ctx context.Context, delay time.Duration, ds ...*broker.Delivery) error {
	if delay == 0 {
		return r.Delete(ctx, ds...)
	}
	return r.SQS.Release(ctx, delay, ds...)
}

func (r neverExtends) Extend(context.Context, time.Duration, ...*broker.Delivery) error { return nil }

func (r neverRejects) Reject(ctx context.Context, _ string, ds ...*broker.Delivery) error {
	return r.Release(ctx, 0, ds...)
}

func (r forgetsDelays) Release(ctx context.Context, _ time.Duration, ds ...*broker.Delivery) error {
	return r.SQS.Release(ctx, 0, ds...)
}

func (r neverDeletes) Delete(context.Context, ...*broker.Delivery) error { return nil }

func subscribeMutants() []mutant {
	return []mutant{{
		name: "delivers to all members of a group", caught: "subscribe/group-shares",
		on: onSubjects(choosing(without[broker.Group])),
	}, {
		name: "delivers to one subscription of several", caught: "subscribe/without-group",
		also: []string{"subscribe/wildcards"},
		on: onSubjects(choosing(func(opts []broker.SubscribeOption) []broker.SubscribeOption {
			if len(without[broker.Group](opts)) == len(opts) {
				opts = append(opts, broker.Group("all"))
			}
			return opts
		})),
	}, {
		name: "takes * for any number of tokens", caught: "subscribe/wildcards",
		on: onSubjects(func(s *subjects) {
			s.onSubscribe = func(ctx context.Context, name string, h broker.Handler, opts []broker.SubscribeOption) (*broker.Subscription, error) {
				if stem, ok := strings.CutSuffix(name, ".*"); ok {
					name = stem + ".>"
				}
				return s.CoreNATS.Subscribe(ctx, name, h, opts...)
			}
		}),
	}, {
		name: "runs handlers at once", caught: "subscribe/one-at-a-time",
		may: []string{"ordering/first-deliveries", "batch/order", "subscribe/errors-are-told", "subscribe/slow-as-declared"},
		on: onSubjects(choosing(func(opts []broker.SubscribeOption) []broker.SubscribeOption {
			return append([]broker.SubscribeOption{broker.Concurrency(4)}, opts...)
		})),
	}, {
		name: "runs one handler only", caught: "subscribe/concurrency",
		on: onSubjects(choosing(func(opts []broker.SubscribeOption) []broker.SubscribeOption {
			return append(opts, broker.Concurrency(1))
		})),
	}, {
		name: "ignores options that it does not know", caught: "input/options",
		on: onSubjects(choosing(withoutForeign)),
	}, {
		name: "ignores where to start", caught: "input/options",
		on: onSubjects(choosing(without[broker.Start])),
	}, {
		name: "ignores that order is asked for", caught: "input/options",
		on: onSubjects(choosing(without[broker.Ordered])),
	}, {
		name: "takes a nil handler", caught: "input/nil-handler",
		on: onSubjects(func(s *subjects) {
			s.onSubscribe = func(ctx context.Context, name string, h broker.Handler, opts []broker.SubscribeOption) (*broker.Subscription, error) {
				if h == nil {
					h = func(context.Context, *broker.Delivery) error { return nil }
				}
				return s.CoreNATS.Subscribe(ctx, name, h, opts...)
			}
		}),
	}, {
		name: "keeps errors to itself", caught: "subscribe/errors-are-told",
		on: onSubjects(choosing(without[broker.OnError])), also: []string{"subscribe/slow-as-declared"},
	}, {
		name: "drops nothing while claiming to", caught: "subscribe/slow-as-declared",
		on: onSubjects(choosing(without[broker.PendingLimits])),
	}, {
		name: "ends with Subscribe's context", caught: "subscribe/context-lends-values",
		on: onSubjects(func(s *subjects) {
			s.onSubscribe = func(ctx context.Context, name string, h broker.Handler, opts []broker.SubscribeOption) (*broker.Subscription, error) {
				sub, err := s.CoreNATS.Subscribe(ctx, name, h, opts...)
				if _, bounded := ctx.Deadline(); err == nil && !bounded {
					context.AfterFunc(ctx, func() { _, _ = sub.Drain(context.Background()) })
				}
				return sub, err
			}
		}),
	}, {
		name: "redelivers while claiming at most once", caught: "redelivery/as-guaranteed",
		also: []string{"subscribe/errors-are-told"},
		on: onSubjects(handling(func(h broker.Handler) broker.Handler {
			return func(ctx context.Context, d *broker.Delivery) error {
				err := h(ctx, d)
				if err != nil {
					_ = h(ctx, d)
				}
				return err
			}
		})),
	}, {
		name: "delivers now and then twice", caught: "concurrency/publishers-and-handlers",
		on: onSubjects(handling(func(h broker.Handler) broker.Handler {
			var mu sync.Mutex
			n := 0
			return func(ctx context.Context, d *broker.Delivery) error {
				mu.Lock()
				n++
				again := n == 150
				mu.Unlock()
				if again {
					_ = h(ctx, d)
				}
				return h(ctx, d)
			}
		})),
	}, {
		name: "loses on drain what was not started", caught: "lifecycle/drain-loses-nothing",
		on: onQueues("", consuming(func(q *queues) broker.Receiver { return losesReleased{q.SQS} })),
	}, {
		name: "has no heartbeat", caught: "redelivery/heartbeat",
		on: onQueues("", consuming(func(q *queues) broker.Receiver { return neverExtends{q.SQS} })),
	}, {
		name: "tries again what a handler rejects", caught: "dead-letter/handler-rejects",
		on: onQueues("", consuming(func(q *queues) broker.Receiver { return neverRejects{q.SQS} })),
	}, {
		name: "retries at once", caught: "redelivery/retry-after",
		on: onQueues("", consuming(func(q *queues) broker.Receiver { return forgetsDelays{q.SQS} })),
	}, {
		name: "does not settle what was handled", caught: "redelivery/success-settles",
		on: onQueues("", consuming(func(q *queues) broker.Receiver { return neverDeletes{q.SQS} })),
	}}
}
