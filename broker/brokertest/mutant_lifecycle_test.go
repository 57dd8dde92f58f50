package brokertest_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/broker/brokertest"
	"github.com/candidmq/candidmq/memory"
)

func lifecycleMutants() []mutant {
	return []mutant{{
		name: "leaks a goroutine for each subscription", caught: "lifecycle/no-leaks",
		on: onSubjects(func(s *subjects) {
			end := make(chan struct{})
			s.tb.Cleanup(func() { close(end) })
			s.onSubscribe = func(ctx context.Context, name string, h broker.Handler, opts []broker.SubscribeOption) (*broker.Subscription, error) {
				go func() { <-end }()
				return s.CoreNATS.Subscribe(ctx, name, h, opts...)
			}
		}),
	}, {
		name: "discards on drain what has arrived", caught: "lifecycle/drain-loses-nothing",
		may: []string{"subscribe/slow-as-declared"}, // it drains what had room
		on: onSubjects(handling(func(h broker.Handler) broker.Handler {
			return func(ctx context.Context, d *broker.Delivery) error {
				select {
				case <-broker.Draining(ctx):
					return nil
				default:
					return h(ctx, d)
				}
			}
		})),
	}, {
		name: "cancels handlers when a drain begins", caught: "lifecycle/drain-finishes-work",
		also: []string{"lifecycle/close-drains", "lifecycle/drain-has-a-deadline"},
		on: onSubjects(handling(func(h broker.Handler) broker.Handler {
			return func(ctx context.Context, d *broker.Delivery) error {
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				draining := broker.Draining(ctx)
				go func() {
					select {
					case <-draining:
						cancel()
					case <-ctx.Done():
					}
				}()
				return h(ctx, d)
			}
		})),
	}, {
		name: "never cancels a handler", caught: "lifecycle/drain-has-a-deadline",
		on: onSubjects(handling(func(h broker.Handler) broker.Handler {
			return func(ctx context.Context, d *broker.Delivery) error { return h(context.WithoutCancel(ctx), d) }
		})),
	}, {
		name: "delivers after a drain", caught: "lifecycle/nothing-after-drain",
		also: []string{"subscribe/readers-counted"}, may: []string{"subscribe/slow-as-declared"},
		on: onSubjects(deliversAfterDrain),
	}, {
		name: "closes without draining", caught: "lifecycle/close-drains",
		also: []string{"lifecycle/use-after-close"},
		on: onSubjects(func(s *subjects) {
			s.tb.Cleanup(func() { _ = s.CoreNATS.Close(context.Background()) })
			s.onClose = func(context.Context) error { return nil }
		}),
	}, {
		name: "fails a second Close", caught: "lifecycle/close-twice",
		on: onQueues("", func(q *queues) {
			var closed atomic.Bool
			q.onClose = func(ctx context.Context) error {
				if closed.Swap(true) {
					return &broker.Error{Kind: broker.ErrClosed}
				}
				return q.SQS.Close(ctx)
			}
		}),
	}, {
		name: "hangs in a second Close", caught: "lifecycle/close-twice",
		on: onQueues("", func(q *queues) {
			var closed atomic.Bool
			q.onClose = func(ctx context.Context) error {
				if closed.Swap(true) {
					<-ctx.Done()
					return context.Cause(ctx)
				}
				return q.SQS.Close(ctx)
			}
		}),
	}, {
		name: "describes after Close", caught: "lifecycle/use-after-close",
		on: onQueues("", func(q *queues) {
			var mu sync.Mutex
			known := map[string]broker.Semantics{}
			var closed atomic.Bool
			q.onClose = func(ctx context.Context) error {
				closed.Store(true)
				return q.SQS.Close(ctx)
			}
			q.onDescribe = func(ctx context.Context, name string) (broker.Semantics, error) {
				mu.Lock()
				defer mu.Unlock()
				if s, ok := known[name]; ok && closed.Load() {
					return s, nil
				}
				s, err := q.SQS.Describe(ctx, name)
				known[name] = s
				return s, err
			}
		}),
	}, {
		name: "describes by what it saw first", caught: "describe/follows-changes",
		on: onQueues("", func(q *queues) {
			var mu sync.Mutex
			known := map[string]broker.Semantics{}
			q.onDescribe = func(ctx context.Context, name string) (broker.Semantics, error) {
				s, err := q.SQS.Describe(ctx, name)
				if err != nil {
					return s, err
				}
				mu.Lock()
				defer mu.Unlock()
				if first, ok := known[name]; ok {
					return first, nil
				}
				known[name] = s
				return s, nil
			}
		}),
	}, {
		name: "describes another each time", caught: "describe/is-steady",
		on: onQueues("", func(q *queues) {
			var n atomic.Int64
			q.onDescribe = func(ctx context.Context, name string) (broker.Semantics, error) {
				s, err := q.SQS.Describe(ctx, name)
				s.AtRest = []broker.Fact[broker.AtRest]{broker.Known(broker.AtRestSSESQS, "x"), broker.None[broker.AtRest]("x")}[n.Add(1)%2]
				return s, err
			}
		}),
	}, {
		name: "describes under another name", caught: "describe/names-the-destination",
		on: onQueues("", func(q *queues) {
			q.onDescribe = func(ctx context.Context, name string) (broker.Semantics, error) {
				s, err := q.SQS.Describe(ctx, name)
				s.Destination = "a queue"
				return s, err
			}
		}),
	}, {
		name: "does not look up the encryption", caught: "describe/unknown-is-explained",
		on: onQueues("", func(q *queues) {
			q.onDescribe = func(ctx context.Context, name string) (broker.Semantics, error) {
				s, err := q.SQS.Describe(ctx, name)
				s.AtRest = broker.Unknown[broker.AtRest]("not looked up")
				return s, err
			}
		}),
	}}
}

// deliversAfterDrain has a second subscription that takes over.
func deliversAfterDrain(s *subjects) {
	s.onSubscribe = func(ctx context.Context, name string, h broker.Handler, opts []broker.SubscribeOption) (*broker.Subscription, error) {
		sub, err := s.CoreNATS.Subscribe(ctx, name, h, opts...)
		if err != nil || len(without[broker.Group](opts)) < len(opts) {
			return sub, err
		}
		_, err = s.CoreNATS.Subscribe(ctx, name, func(ctx context.Context, d *broker.Delivery) error {
			select {
			case <-sub.Done():
				return h(ctx, d)
			default:
				return nil
			}
		}, opts...)
		return sub, err
	}
}

// flushing is an SQS that seems to have a role more.
type flushing struct{ *memory.SQS }

func (f flushing) Flush(ctx context.Context) error { return f.Ping(ctx) }

// bare is an SQS without Ping.
type bare struct {
	broker.Broker
	broker.Receiver
}

func roleMutants() []mutant {
	changed := func(change func(*memory.SQS) broker.Broker) brokertest.Harness {
		var q *queues
		h := onQueues("", func(made *queues) { q = made })
		open := h.Open
		h.Open = func(tb testing.TB) broker.Broker {
			tb.Helper()
			_ = open(tb)
			return change(q.SQS)
		}
		return h
	}
	return []mutant{{
		name: "has a role that it does not declare", caught: "roles/as-declared",
		on: changed(func(b *memory.SQS) broker.Broker { return flushing{b} }),
	}, {
		name: "declares a role that it does not have", caught: "roles/as-declared",
		on: changed(func(b *memory.SQS) broker.Broker { return bare{b, b} }),
	}}
}

// worstMutants play a worst that is none, or too bad.
func worstMutants() []mutant {
	honest := onQueues("", func(*queues) {})
	honest.Worst = honest.Open
	prompt := onSubjects(func(*subjects) {})
	prompt.Worst = prompt.Open
	loses := onQueues("", func(*queues) {})
	playWorst := loses.Worst
	loses.Worst = func(tb testing.TB) broker.Broker {
		tb.Helper()
		q := &queues{SQS: playWorst(tb).(*memory.SQS)}
		var n atomic.Int64
		q.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
			if n.Add(1) == 7 {
				return broker.Receipt{Outcome: broker.OutcomeStored, ID: "lost"}, nil
			}
			return q.SQS.Publish(ctx, m)
		}
		return q
	}
	return []mutant{{
		name: "keeps order where it claims none", caught: "worst/order",
		also: []string{"worst/again", "worst/redelivery", "worst/short-poll"}, on: honest,
	}, {
		name: "drops nothing where it claims to", caught: "worst/loss", on: prompt,
	}, {
		name: "loses at its worst", caught: "worst/again", may: []string{"worst/short-poll"}, on: loses,
	}}
}
