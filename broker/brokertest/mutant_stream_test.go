package brokertest_test

import (
	"context"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// streamMutants break what a stream and its consumers do otherwise than a queue.
func streamMutants() []mutant {
	inOrder := onStreams(func(*streams) {})
	inOrder.Worst = inOrder.Open
	return []mutant{{
		name: "redelivers in order at its worst", caught: "worst/redelivery", on: inOrder,
	}, {
		name: "ends a lease that is extended, after all", caught: "leases/longest",
		on: onStreams(func(s *streams) {
			extended := 0
			s.onExtend = func(ctx context.Context, lease time.Duration, ds []*broker.Delivery) error {
				if extended++; extended > 5000 {
					return nil
				}
				return s.JetStream.Extend(ctx, lease, ds...)
			}
		}),
	}, {
		name: "has more in flight than it declares", caught: "leases/in-flight",
		on: onStreams(func(s *streams) {
			s.onConsumer = func(c *memory.ConsumerConfig) { c.MaxAckPending = 1001 }
			s.onDescribe = lying(s.JetStream, func(_ context.Context, s *broker.Semantics) { s.Receive.InFlight.V = 1000 })
		}),
	}, {
		name: "remembers ids for longer than it declares", caught: "dedup/after-window",
		on: onStreams(func(s *streams) {
			s.onStream = func(c *memory.StreamConfig) {
				if c.MaxAge == 0 {
					c.Duplicates = 10 * time.Minute
				}
			}
			s.onDescribe = lying(s.JetStream, func(_ context.Context, s *broker.Semantics) {
				if s.Publish.DedupWindow.V > 0 {
					s.Publish.DedupWindow.V = 2 * time.Minute
				}
			})
		}),
	}, {
		name: "keeps what a TTL has ended", caught: "publish/ttl-as-declared",
		on: onStreams(func(s *streams) {
			s.onPublish = func(ctx context.Context, m broker.Message) (broker.Receipt, error) {
				m.TTL = min(m.TTL, 0)
				return s.JetStream.Publish(ctx, m)
			}
		}),
	}, {
		name: "numbers deliveries anew", caught: "ordering/sequence-rises",
		on: onStreams(func(s *streams) {
			s.onReceive = func(ctx context.Context, name string, limit int, opts []broker.ReceiveOption) ([]*broker.Delivery, error) {
				ds, err := s.JetStream.Receive(ctx, name, limit, opts...)
				for _, d := range ds {
					d.Sequence = broker.NewSequence(1 << 40)
				}
				return ds, err
			}
		}),
	}}
}
