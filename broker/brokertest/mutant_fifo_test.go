package brokertest_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func fifoMutants() []mutant {
	return []mutant{{
		name: "reorders a key", caught: "ordering/first-deliveries",
		on: onQueues(".fifo", func(q *queues) {
			q.onReceive = func(ctx context.Context, name string, limit int, opts []broker.ReceiveOption) ([]*broker.Delivery, error) {
				ds, err := q.SQS.Receive(ctx, name, limit, opts...)
				slices.Reverse(ds)
				return ds, err
			}
		}), also: []string{"batch/order", "ordering/sequence-rises"},
	}, {
		name: "does not lock a key", caught: "ordering/strict",
		on: onQueues(".fifo", func(q *queues) {
			var n atomic.Int64
			q.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
				if m.Key == "k0" {
					m.Key = fmt.Sprint("k0-", n.Add(1))
				}
				return q.SQS.Publish(ctx, m)
			}
		}), may: []string{"ordering/failure-holds-its-key"},
	}, {
		name: "locks all keys as one", caught: "ordering/keys-are-independent",
		on: onQueues(".fifo", publishing(func(m *broker.Message) {
			if m.Key == "k1" {
				m.Key = "k0"
			}
		})),
	}, {
		name: "loses the sequence", caught: "ordering/sequence-rises",
		on: onQueues(".fifo", receiving(func(d *broker.Delivery) { d.Sequence = broker.Sequence{} })),
	}, {
		name: "deduplicates for ever", caught: "dedup/after-window",
		on: onQueues(".fifo", deduplicating(func(_ time.Duration, sameKey bool) bool { return sameKey })),
	}, {
		name: "deduplicates across keys", caught: "dedup/scope",
		on: onQueues(".fifo", deduplicating(func(since time.Duration, sameKey bool) bool { return since < 5*time.Minute && !sameKey })),
	}, {
		name: "deduplicates for each key only", caught: "dedup/scope",
		on: onQueues(".fifo", publishing(func(m *broker.Message) {
			if m.Key == "b" {
				m.DedupID += "-b"
			}
		})),
	}, {
		name: "forgets an id with its message", caught: "dedup/after-delete",
		also: []string{"dedup/after-window"},
		on:   onQueues(".fifo", forgetsOnDelete),
	}, {
		name: "does not deduplicate", caught: "dedup/inside-window",
		also: []string{"dedup/after-delete", "dedup/after-window", "dedup/scope"},
		on: onQueues(".fifo", func(q *queues) {
			var n atomic.Int64
			q.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
				if m.DedupID == "one" {
					if k := n.Add(1); k > 1 {
						m.DedupID = fmt.Sprint("one-", k)
					}
				}
				return q.SQS.Publish(ctx, m)
			}
		}),
	}, {
		name: "takes no content for an id", caught: "dedup/content",
		on: onQueues(".fifo", func(q *queues) {
			var n atomic.Int64
			q.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
				s, err := q.SQS.Describe(ctx, m.Subject)
				if err == nil && s.Publish.DedupBy.V == broker.DedupByIDOrContent && m.DedupID == "" {
					m.DedupID = fmt.Sprint("own-", n.Add(1))
				}
				return q.SQS.Publish(ctx, m)
			}
		}),
	}, {
		name: "makes up an id where one is required", caught: "publish/id-as-declared",
		also: []string{"dedup/content"},
		on: onQueues(".fifo", func(q *queues) {
			var n atomic.Int64
			q.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
				if m.DedupID == "" {
					m.DedupID = fmt.Sprint("own-", n.Add(1))
				}
				return q.SQS.Publish(ctx, m)
			}
		}),
	}, {
		name: "makes up a key where one is required", caught: "publish/key-as-declared",
		on: onQueues(".fifo", publishing(func(m *broker.Message) {
			if m.Key == "" {
				m.Key = "own"
			}
		})),
	}, {
		name: "halves the destination's own delay", caught: "delay/of-the-destination",
		on: onQueues("", func(q *queues) {
			q.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
				if s, err := q.SQS.Describe(ctx, m.Subject); err == nil && m.Delay == 0 {
					m.Delay = s.Publish.QueueDelay.V / 2
				}
				return q.SQS.Publish(ctx, m)
			}
		}),
	}}
}

// deduplicating drops messages whose id was seen before, if more says so.
func deduplicating(more func(since time.Duration, sameKey bool) bool) func(*queues) {
	return func(q *queues) {
		type use struct {
			key string
			at  time.Time
		}
		var mu sync.Mutex
		seen := map[string]use{}
		q.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
			mu.Lock()
			defer mu.Unlock()
			id := m.Subject + " " + m.DedupID
			if u, ok := seen[id]; ok && m.DedupID != "" && more(time.Since(u.at), u.key == m.Key) {
				return broker.Receipt{Outcome: broker.OutcomeAccepted, ID: "known"}, nil
			}
			r, err := q.SQS.Publish(ctx, m)
			if err == nil {
				seen[id] = use{m.Key, time.Now()}
			}
			return r, err
		}
	}
}

// forgetsOnDelete gives an id that was deleted another name.
func forgetsOnDelete(q *queues) {
	var mu sync.Mutex
	deleted := map[string]int{}
	q.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
		mu.Lock()
		defer mu.Unlock()
		if n := deleted[m.DedupID]; n > 0 {
			m.DedupID = fmt.Sprint(m.DedupID, "-", n)
		}
		return q.SQS.Publish(ctx, m)
	}
	q.onDelete = func(ctx context.Context, ds []*broker.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		for _, d := range ds {
			if d != nil && d.DedupID != "" {
				deleted[d.DedupID]++
			}
		}
		return q.SQS.Delete(ctx, ds...)
	}
}
