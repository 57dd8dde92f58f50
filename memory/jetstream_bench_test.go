package memory

import (
	"context"
	"fmt"
	"testing"

	"github.com/candidmq/candidmq/broker"
)

// BenchmarkStreamReceiveDelete is BenchmarkReceiveDelete on a stream: a work queue
// with one worker, and one with limits, where what is deleted stays, of 10,000
// messages at most.
func BenchmarkStreamReceiveDelete(b *testing.B) {
	for name, s := range map[string]StreamConfig{
		"work queue": {Retention: WorkQueueRetention}, "limits": {MaxMsgs: 10_000},
	} {
		b.Run(name, func(b *testing.B) {
			m := newStream(b, s)
			defer closeBroker(b, m)
			pace := newPace()
			worker, stop := context.WithCancel(b.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				for workStream(worker, b, m) {
					pace.handle()
				}
			}()
			b.ReportAllocs()
			for b.Loop() {
				pace.send()
				publishOrder(b, m)
			}
			if err := m.WaitIdle(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			stop()
			<-done
		})
	}
}

// BenchmarkStreamBacklog is one more publish, receive and delete on a work queue
// that holds n messages already.
func BenchmarkStreamBacklog(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := newStream(b, StreamConfig{Retention: WorkQueueRetention})
			defer closeBroker(b, m)
			for range n {
				publishOrder(b, m)
			}
			b.ReportAllocs()
			for b.Loop() {
				publishOrder(b, m)
				workStream(b.Context(), b, m)
			}
		})
	}
}

// BenchmarkStreamInFlight is one more publish, receive and delete while n messages
// are leased.
func BenchmarkStreamInFlight(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := newStream(b, StreamConfig{Retention: WorkQueueRetention})
			defer closeBroker(b, m)
			for range n {
				publishOrder(b, m)
				if _, err := m.Receive(b.Context(), "ORDERS/c", 1); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				publishOrder(b, m)
				workStream(b.Context(), b, m)
			}
		})
	}
}

// BenchmarkStreamFanOut is one publish to n consumers, which all receive and delete
// it.
func BenchmarkStreamFanOut(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			m := NewJetStream(nil)
			defer closeBroker(b, m)
			if err := m.CreateStream(StreamConfig{Name: "ORDERS", Subjects: []string{"orders.placed"}, MaxMsgs: 1000}); err != nil {
				b.Fatal(err)
			}
			var consumers []string
			for i := range n {
				c := ConsumerConfig{Durable: fmt.Sprint("c", i)}
				if err := m.CreateConsumer("ORDERS", c); err != nil {
					b.Fatal(err)
				}
				consumers = append(consumers, "ORDERS/"+c.Durable)
			}
			b.ReportAllocs()
			for b.Loop() {
				publishOrder(b, m)
				for _, c := range consumers {
					ds, err := m.Receive(b.Context(), c, 1)
					if err == nil {
						err = m.Delete(b.Context(), ds...)
					}
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// newStream has a stream ORDERS with a consumer c of all that is in flight.
func newStream(b *testing.B, s StreamConfig) *JetStream {
	b.Helper()
	s.Name, s.Subjects = "ORDERS", []string{"orders.placed"}
	m := NewJetStream(nil)
	if err := m.CreateStream(s); err != nil {
		b.Fatal(err)
	}
	if err := m.CreateConsumer("ORDERS", ConsumerConfig{Durable: "c", MaxAckPending: -1}); err != nil {
		b.Fatal(err)
	}
	return m
}

// publishOrder does not call Helper, which costs a tenth of what is measured.
func publishOrder(b *testing.B, m *JetStream) {
	if _, err := m.Publish(b.Context(), broker.Message{Subject: "orders.placed", Body: body}); err != nil {
		b.Fatal(err)
	}
}

func workStream(ctx context.Context, b *testing.B, m *JetStream) bool {
	ds, err := m.Receive(ctx, "ORDERS/c", 1)
	if ctx.Err() != nil {
		return false
	}
	if err == nil {
		err = m.Delete(ctx, ds...)
	}
	if err != nil {
		b.Error(err)
	}
	return err == nil
}
