package natsbroker_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// Each benchmark has the raw client on both sides of it (see compare), with the
// same kind of acknowledgement, on the same server in this process, whose work
// and allocations are part of both. An iteration is one message.

// streamBench is a stream with a consumer, a raw client and a broker.
type streamBench struct {
	nc   *nats.Conn // of the raw client
	js   jetstream.JetStream
	c    jetstream.Consumer
	ours *natsbroker.JetStream
	body []byte

	header  broker.Header
	filling time.Duration // of the processors, that was not for what is measured
}

var bodySizes = []struct {
	name  string
	bytes int
}{{"128B", 128}, {"16KiB", 16 << 10}}

// onStream runs a benchmark for each size of body.
func onStream(b *testing.B, run func(b *testing.B, s *streamBench)) {
	b.Helper()
	for _, size := range bodySizes {
		b.Run(size.name, func(b *testing.B) { run(b, newStreamBench(b, size.bytes)) })
	}
}

func newStreamBench(b *testing.B, bytes int) *streamBench {
	b.Helper()
	server := startServer(b, withJetStream(b))
	s := &streamBench{nc: dial(b, server), body: make([]byte, bytes)}
	var err error
	if s.js, err = jetstream.New(s.nc); err != nil {
		b.Fatal(err)
	}
	if _, err := s.js.CreateStream(b.Context(), jetstream.StreamConfig{
		Name: "BENCH", Subjects: []string{"bench"}, Storage: jetstream.MemoryStorage, MaxBytes: 512 << 20,
	}); err != nil {
		b.Fatal(err)
	}
	if s.c, err = s.js.CreateConsumer(b.Context(), "BENCH", jetstream.ConsumerConfig{
		Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 10_000,
	}); err != nil {
		b.Fatal(err)
	}
	if s.ours, err = natsbroker.NewJetStream(dial(b, server), nil); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.ours.Close(context.WithoutCancel(b.Context())) })
	return s
}

func (s *streamBench) message() broker.Message {
	return broker.Message{Subject: "bench", Body: s.body, Header: s.header}
}

// messages are n alike.
func (s *streamBench) messages(n int) []broker.Message {
	ms := make([]broker.Message, n)
	for i := range ms {
		ms[i] = s.message()
	}
	return ms
}

func BenchmarkJetStreamPublish(b *testing.B) {
	onStream(b, func(b *testing.B, s *streamBench) {
		compare(b, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.js.Publish(b.Context(), "bench", s.body); err != nil {
					b.Fatal(err)
				}
			}
		}, func(b *testing.B) {
			for b.Loop() {
				if _, err := s.ours.Publish(b.Context(), s.message()); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// 64 goroutines that publish one message after the other.
func BenchmarkJetStreamPublishBy64(b *testing.B) {
	onStream(b, func(b *testing.B, s *streamBench) {
		by64 := func(b *testing.B, publish func() error) {
			b.Helper()
			b.SetParallelism(32) // of 2 processors
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := publish(); err != nil {
						b.Error(err)
					}
				}
			})
		}
		compare(b, func(b *testing.B) {
			by64(b, func() error {
				_, err := s.js.Publish(b.Context(), "bench", s.body)
				return err
			})
		}, func(b *testing.B) {
			by64(b, func() error {
				_, err := s.ours.Publish(b.Context(), s.message())
				return err
			})
		})
	})
}

// Pipelined: a thousand messages are sent before the first acknowledgement is
// waited for, and every acknowledgement is looked at.
func BenchmarkJetStreamPublishPipelined(b *testing.B) {
	const window = 1000
	onStream(b, func(b *testing.B, s *streamBench) {
		compare(b, func(b *testing.B) {
			futures := make([]jetstream.PubAckFuture, 0, window)
			inBatches(b, window, func(n int) {
				for range n {
					f, err := s.js.PublishAsync("bench", s.body)
					if err != nil {
						b.Fatal(err)
					}
					futures = append(futures, f)
				}
				for _, f := range futures {
					select {
					case <-f.Ok():
					case err := <-f.Err():
						b.Fatal(err)
					}
				}
				futures = futures[:0]
			})
		}, func(b *testing.B) {
			batch := s.messages(window)
			inBatches(b, window, func(n int) {
				if _, err := s.ours.PublishBatch(b.Context(), batch[:n]); err != nil {
					b.Fatal(err)
				}
			})
		})
	})
}

// inBatches runs b.N iterations as batches of at most n.
func inBatches(b *testing.B, n int, run func(n int)) {
	b.Helper()
	b.ResetTimer()
	for left := b.N; left > 0; left -= n {
		run(min(n, left))
	}
}
