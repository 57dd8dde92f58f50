package memory

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/candidmq/candidmq/broker"
)

// window is how far a publisher may be ahead of the handler.
const window = 1000

// pace keeps a publisher within the window. It takes and gives back credit for
// a tenth of the window at a time, so that it costs next to nothing itself.
type pace struct {
	credit        chan struct{}
	sent, handled int
}

func newPace() *pace { return &pace{credit: make(chan struct{}, 10)} }

// send is called before each message.
func (p *pace) send() {
	if p.sent%(window/10) == 0 {
		p.credit <- struct{}{}
	}
	p.sent++
}

// handle is called for each message.
func (p *pace) handle() {
	if p.handled++; p.handled%(window/10) == 0 {
		<-p.credit
	}
}

var body = []byte(strings.Repeat("x", 128))

// BenchmarkHandler is publish to handler, beside a channel with a buffer of
// window messages and one reader. The publisher is at most window messages
// ahead, and none is dropped.
func BenchmarkHandler(b *testing.B) {
	b.Run("channel", benchmarkChannel)
	b.Run("CoreNATS", func(b *testing.B) {
		m := NewCoreNATS(nil)
		defer closeBroker(b, m)
		pace := newPace()
		sub, err := m.Subscribe(b.Context(), "orders.placed", func(context.Context, *broker.Delivery) error {
			pace.handle()
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			pace.send()
			if _, err := m.Publish(b.Context(), broker.Message{Subject: "orders.placed", Body: body}); err != nil {
				b.Fatal(err)
			}
		}
		if err := m.WaitIdle(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if n := sub.Counts().Dropped; n > 0 {
			b.Fatalf("%d dropped", n)
		}
	})
}

func benchmarkChannel(b *testing.B) {
	messages := make(chan []byte, window)
	done := make(chan int)
	go func() {
		n := 0
		for m := range messages {
			n += len(m)
		}
		done <- n
	}()
	b.ReportAllocs()
	for b.Loop() {
		messages <- body
	}
	close(messages)
	<-done
}

// BenchmarkReceiveDelete is publish, Receive(1) and Delete by one worker with
// the publisher alongside, beside the same channel.
func BenchmarkReceiveDelete(b *testing.B) {
	b.Run("channel", benchmarkChannel)
	for _, name := range []string{"orders", "orders.fifo"} {
		b.Run(name, func(b *testing.B) {
			m := NewSQS(nil)
			defer closeBroker(b, m)
			if err := m.CreateQueue(name, QueueOptions{}); err != nil {
				b.Fatal(err)
			}
			pace := newPace()
			worker, stop := context.WithCancel(b.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				for work(worker, b, m, name) {
					pace.handle()
				}
			}()
			message := broker.Message{Subject: name, Body: body}
			n := 0
			b.ReportAllocs()
			for b.Loop() {
				pace.send()
				if name == "orders.fifo" {
					n++
					message.Key, message.DedupID = "k", strconv.Itoa(n)
				}
				if _, err := m.Publish(b.Context(), message); err != nil {
					b.Fatal(err)
				}
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

// work settles one message; false when it is to stop. It does not call Helper,
// which costs a tenth of what is measured.
func work(ctx context.Context, b *testing.B, m *SQS, queue string) bool {
	ds, err := m.Receive(ctx, queue, 1)
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

// BenchmarkBacklog is one more publish, receive and delete on a queue that
// holds n messages already, in n/10 groups on a FIFO queue.
func BenchmarkBacklog(b *testing.B) {
	for _, name := range []string{"orders", "orders.fifo"} {
		for _, n := range []int{1_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) { benchmarkBacklog(b, name, n) })
		}
	}
}

func benchmarkBacklog(b *testing.B, name string, n int) {
	m := NewSQS(nil)
	defer closeBroker(b, m)
	if err := m.CreateQueue(name, QueueOptions{}); err != nil {
		b.Fatal(err)
	}
	i := 0
	publish := func() {
		message := broker.Message{Subject: name, Body: body}
		if name == "orders.fifo" {
			message.Key, message.DedupID = strconv.Itoa(i%(n/10)), strconv.Itoa(i)
		}
		i++
		if _, err := m.Publish(b.Context(), message); err != nil {
			b.Fatal(err)
		}
	}
	for range n {
		publish()
	}
	b.ReportAllocs()
	for b.Loop() {
		publish()
		work(b.Context(), b, m, name)
	}
}

func closeBroker(tb testing.TB, b broker.Broker) {
	tb.Helper()
	if err := b.Close(context.WithoutCancel(tb.Context())); err != nil {
		tb.Error(err)
	}
}
