package natsbroker_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// Each benchmark has the raw client beside it, with the same kind of
// acknowledgement, on the same server in this process, whose work and
// allocations are part of both.

func benchStream(b *testing.B) (jetstream.JetStream, *natsbroker.JetStream) {
	b.Helper()
	s := startServer(b, withJetStream(b))
	nc := dial(b, s)
	js, err := jetstream.New(nc)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := js.CreateStream(b.Context(), jetstream.StreamConfig{
		Name: "BENCH", Subjects: []string{"bench"}, Storage: jetstream.MemoryStorage, MaxMsgs: 200_000,
	}); err != nil {
		b.Fatal(err)
	}
	if _, err := js.CreateConsumer(b.Context(), "BENCH", jetstream.ConsumerConfig{
		Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 10_000,
	}); err != nil {
		b.Fatal(err)
	}
	j, err := natsbroker.NewJetStream(dial(b, s), nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = j.Close(context.WithoutCancel(b.Context())) })
	return js, j
}

var body128 = make([]byte, 128)

func BenchmarkJetStreamPublish(b *testing.B) {
	js, j := benchStream(b)
	b.Run("raw", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := js.Publish(b.Context(), "bench", body128); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("sdk", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := j.Publish(b.Context(), broker.Message{Subject: "bench", Body: body128}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// 64 goroutines that publish one message after the other: raw as requests, and
// raw as futures of which 64 are in flight.
func BenchmarkJetStreamPublishPipelined(b *testing.B) {
	js, j := benchStream(b)
	b.Run("raw-requests", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := js.Publish(b.Context(), "bench", body128); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("raw-futures", func(b *testing.B) {
		b.ReportAllocs()
		window := make(chan jetstream.PubAckFuture, 64)
		await := func(f jetstream.PubAckFuture) {
			select {
			case <-f.Ok():
			case err := <-f.Err():
				b.Error(err)
			}
		}
		for b.Loop() {
			if len(window) == cap(window) {
				await(<-window)
			}
			f, err := js.PublishAsync("bench", body128)
			if err != nil {
				b.Fatal(err)
			}
			window <- f
		}
		for len(window) > 0 {
			await(<-window)
		}
	})
	b.Run("sdk", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(32)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := j.Publish(b.Context(), broker.Message{Subject: "bench", Body: body128}); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("sdk-batch-of-64", func(b *testing.B) {
		b.ReportAllocs()
		batch := make([]broker.Message, 64)
		for i := range batch {
			batch[i] = broker.Message{Subject: "bench", Body: body128}
		}
		for n := 0; b.Loop(); n++ {
			if n%len(batch) > 0 {
				continue
			}
			if _, err := j.PublishBatch(b.Context(), batch); err != nil {
				b.Fatal(err)
			}
		}
	})
}

const fetched = 100

// refill has a hundred messages ready.
func refill(b *testing.B, j *natsbroker.JetStream) {
	b.Helper()
	batch := make([]broker.Message, fetched)
	for i := range batch {
		batch[i] = broker.Message{Subject: "bench", Body: body128}
	}
	if _, err := j.PublishBatch(b.Context(), batch); err != nil {
		b.Fatal(err)
	}
}

// An iteration is one message.
func BenchmarkJetStreamReceiveDelete100(b *testing.B) {
	js, j := benchStream(b)
	c, err := js.Consumer(b.Context(), "BENCH", "c")
	if err != nil {
		b.Fatal(err)
	}
	fetch := func(b *testing.B, ack func(jetstream.Msg) error) {
		b.Helper()
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			if n%fetched > 0 {
				continue
			}
			b.StopTimer()
			refill(b, j)
			b.StartTimer()
			msgs, err := c.Fetch(fetched, jetstream.FetchMaxWait(time.Second))
			if err != nil {
				b.Fatal(err)
			}
			for m := range msgs.Messages() {
				if err := ack(m); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("raw-unconfirmed", func(b *testing.B) { fetch(b, jetstream.Msg.Ack) })
	b.Run("raw-confirmed", func(b *testing.B) {
		fetch(b, func(m jetstream.Msg) error { return m.DoubleAck(b.Context()) })
	})
	b.Run("sdk-confirmed", func(b *testing.B) {
		b.ReportAllocs()
		for n := 0; b.Loop(); n++ {
			if n%fetched > 0 {
				continue
			}
			b.StopTimer()
			refill(b, j)
			b.StartTimer()
			for left := fetched; left > 0; {
				ds, err := j.Receive(b.Context(), "BENCH/c", left)
				if err != nil {
					b.Fatal(err)
				}
				if err := j.Delete(b.Context(), ds...); err != nil {
					b.Fatal(err)
				}
				left -= len(ds)
			}
		}
	})
}

// A durable subscription that deletes what it is handed, with confirmations, at
// the same number of messages in hand. An iteration is one message.
func BenchmarkJetStreamSubscribe(b *testing.B) {
	js, j := benchStream(b)
	c, err := js.Consumer(b.Context(), "BENCH", "c")
	if err != nil {
		b.Fatal(err)
	}
	fill := func(b *testing.B, n int) {
		b.Helper()
		for range (n + fetched - 1) / fetched {
			refill(b, j)
		}
		if err := purge(b, js, n); err != nil {
			b.Fatal(err)
		}
	}
	for _, workers := range []int{1, 8, 100} {
		b.Run(fmt.Sprint("raw-", workers), func(b *testing.B) {
			b.ReportAllocs()
			fill(b, b.N)
			left := make(chan struct{}, b.N)
			slots := make(chan struct{}, workers)
			b.ResetTimer()
			consuming, err := c.Consume(func(m jetstream.Msg) {
				slots <- struct{}{}
				go func() {
					if err := m.DoubleAck(b.Context()); err != nil {
						b.Error(err)
					}
					<-slots
					left <- struct{}{}
				}()
			}, jetstream.PullMaxMessages(workers))
			if err != nil {
				b.Fatal(err)
			}
			for range b.N {
				<-left
			}
			b.StopTimer()
			consuming.Stop()
			<-consuming.Closed()
		})
		b.Run(fmt.Sprint("sdk-", workers), func(b *testing.B) {
			b.ReportAllocs()
			fill(b, b.N)
			left := make(chan struct{}, b.N)
			b.ResetTimer()
			sub, err := j.Subscribe(b.Context(), "BENCH/c", func(context.Context, *broker.Delivery) error {
				left <- struct{}{}
				return nil
			}, broker.Group("c"), broker.Concurrency(workers))
			if err != nil {
				b.Fatal(err)
			}
			for range b.N {
				<-left
			}
			if _, err := sub.Drain(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
		})
	}
}

// purge leaves n messages.
func purge(b *testing.B, js jetstream.JetStream, n int) error {
	b.Helper()
	s, err := js.Stream(b.Context(), "BENCH")
	if err != nil {
		return err
	}
	return s.Purge(b.Context(), jetstream.WithPurgeKeep(uint64(n)))
}
