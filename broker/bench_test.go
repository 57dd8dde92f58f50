package broker_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// BenchmarkConsume measures the runtime against loops written by hand on the
// same backend: what a message costs from the queue to its deletion.
//
//	go test -run '^$' -bench Consume -benchmem -count 6 ./broker
func BenchmarkConsume(b *testing.B) {
	for _, work := range []time.Duration{0, 20 * time.Microsecond} {
		for _, workers := range []int{1, 64} {
			name := fmt.Sprintf("work=%v/workers=%d", work, workers)
			b.Run(name+"/by-hand", func(b *testing.B) { byHand(b, workers, work) })
			b.Run(name+"/consume", func(b *testing.B) { byConsume(b, workers, work) })
		}
	}
}

// filled is a queue with n messages.
func filled(b *testing.B, n int) *memory.SQS {
	b.Helper()
	q := memory.NewSQS(nil)
	if err := q.CreateQueue("q", memory.QueueOptions{}); err != nil {
		b.Fatal(err)
	}
	body := make([]byte, 128)
	for i := range body {
		body[i] = 'x'
	}
	for range n {
		if _, err := q.Publish(b.Context(), broker.Message{Subject: "q", Body: body}); err != nil {
			b.Fatal(err)
		}
	}
	b.Cleanup(func() { _ = q.Close(context.Background()) })
	return q
}

// spin uses the processor for about d.
func spin(d time.Duration) {
	if d == 0 {
		return
	}
	for began := time.Now(); time.Since(began) < d; {
	}
}

// byHand is a worker pool that receives one message at a time.
func byHand(b *testing.B, workers int, work time.Duration) {
	q := filled(b, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	var done atomic.Int64
	var pool sync.WaitGroup
	for range workers {
		pool.Go(func() {
			for done.Load() < int64(b.N) {
				ds, err := q.Receive(b.Context(), "q", 1, broker.Wait(0))
				if err != nil {
					b.Error(err)
					return
				}
				for _, d := range ds {
					spin(work)
					if err := q.Delete(b.Context(), d); err != nil {
						b.Error(err)
					}
					done.Add(1)
				}
			}
		})
	}
	pool.Wait()
}

func byConsume(b *testing.B, workers int, work time.Duration) {
	q := filled(b, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	var done atomic.Int64
	all := make(chan struct{})
	sub, err := broker.Consume(b.Context(), q, "q", func(context.Context, *broker.Delivery) error {
		spin(work)
		if done.Add(1) == int64(b.N) {
			close(all)
		}
		return nil
	}, broker.Concurrency(workers), broker.Batch(10))
	if err != nil {
		b.Fatal(err)
	}
	<-all
	if _, err := sub.Drain(b.Context()); err != nil {
		b.Fatal(err)
	}
}
