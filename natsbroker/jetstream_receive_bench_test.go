package natsbroker_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
)

const fetched = 100

// compare is the function of that name, and reports as work-ns/op what the
// process has used of the processors but for filling the stream.
func (s *streamBench) compare(b *testing.B, raw, candidmq func(b *testing.B)) {
	b.Helper()
	measured := func(run func(b *testing.B)) func(b *testing.B) {
		return func(b *testing.B) {
			s.filling = 0
			before := cpuTime()
			run(b)
			b.ReportMetric(float64(cpuTime()-before-s.filling)/float64(b.N), "work-ns/op")
		}
	}
	compare(b, measured(raw), measured(candidmq))
}

// fill has exactly n messages ready.
func (s *streamBench) fill(b *testing.B, n int) {
	b.Helper()
	before := cpuTime()
	defer func() { s.filling += cpuTime() - before }()
	stream, err := s.js.Stream(b.Context(), "BENCH")
	if err != nil {
		b.Fatal(err)
	}
	if err := stream.Purge(b.Context()); err != nil {
		b.Fatal(err)
	}
	for left := n; left > 0; left -= fetched {
		if _, err := s.ours.PublishBatch(b.Context(), s.messages(min(left, fetched))); err != nil {
			b.Fatal(err)
		}
	}
}

// filled runs b.N iterations as batches of a hundred messages, which are put
// there while the time is stopped.
func (s *streamBench) filled(b *testing.B, run func(n int)) {
	b.Helper()
	b.StopTimer()
	inBatches(b, fetched, func(n int) {
		b.StopTimer()
		s.fill(b, n)
		b.StartTimer()
		run(n)
	})
}

// fetch is the raw client's pull.
func (s *streamBench) fetch(b *testing.B, n int) []jetstream.Msg {
	b.Helper()
	batch, err := s.c.Fetch(n, jetstream.FetchMaxWait(time.Second))
	if err != nil {
		b.Fatal(err)
	}
	msgs := make([]jetstream.Msg, 0, n)
	for m := range batch.Messages() {
		msgs = append(msgs, m)
	}
	if len(msgs) != n {
		b.Fatalf("%d messages, %v", len(msgs), batch.Error())
	}
	return msgs
}

func (s *streamBench) receiveDelete(b *testing.B, n int) {
	b.Helper()
	for n > 0 {
		ds, err := s.ours.Receive(b.Context(), "BENCH/c", n)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.ours.Delete(b.Context(), ds...); err != nil {
			b.Fatal(err)
		}
		n -= len(ds)
	}
}

// rawConfirmations is one inbox for the confirmations of all messages of a batch, as one
// would write it with nats.go alone: which message is confirmed is in the
// subject.
type rawConfirmations struct {
	nc     *nats.Conn
	prefix string
	got    chan *nats.Msg
	seen   [fetched]bool
}

func newRawConfirmations(b *testing.B, nc *nats.Conn) *rawConfirmations {
	b.Helper()
	c := &rawConfirmations{nc: nc, prefix: nc.NewInbox() + ".", got: make(chan *nats.Msg, fetched)}
	sub, err := nc.ChanSubscribe(c.prefix+"*", c.got)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = sub.Unsubscribe() })
	return c
}

func (c *rawConfirmations) ack(b *testing.B, msgs []jetstream.Msg) {
	b.Helper()
	clear(c.seen[:])
	for i, m := range msgs {
		if err := c.nc.PublishRequest(m.Reply(), c.prefix+strconv.Itoa(i), []byte("+ACK")); err != nil {
			b.Fatal(err)
		}
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	for range msgs {
		select {
		case m := <-c.got:
			i, err := strconv.Atoi(m.Subject[len(c.prefix):])
			if err != nil || c.seen[i] || m.Header.Get("Status") == "503" {
				b.Fatalf("%+v, %v", m, err)
			}
			c.seen[i] = true
		case <-late.C:
			b.Fatal("not confirmed")
		}
	}
}

// A pull and a confirmed delete of a hundred, beside a raw pull with
// confirmations through one inbox.
func BenchmarkJetStreamReceiveDelete100(b *testing.B) {
	run := func(b *testing.B, s *streamBench) {
		b.Helper()
		s.compare(b, func(b *testing.B) {
			c := newRawConfirmations(b, s.nc)
			s.filled(b, func(n int) { c.ack(b, s.fetch(b, n)) })
		}, func(b *testing.B) {
			s.filled(b, func(n int) { s.receiveDelete(b, n) })
		})
	}
	onStream(b, run)
	b.Run("headers", func(b *testing.B) {
		s := newStreamBench(b, bodySizes[0].bytes)
		s.header = broker.Header{"trace": "4bf92f3577b34da6", "type": "order"}
		run(b, s)
	})
}

// The same, beside a raw fetch and acknowledgements that nobody confirms.
func BenchmarkJetStreamReceiveDelete100BesideUnconfirmed(b *testing.B) {
	onStream(b, func(b *testing.B, s *streamBench) {
		s.compare(b, func(b *testing.B) {
			s.filled(b, func(n int) {
				batch, err := s.c.Fetch(n, jetstream.FetchMaxWait(time.Second))
				if err != nil {
					b.Fatal(err)
				}
				for m := range batch.Messages() {
					if err := m.Ack(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}, func(b *testing.B) {
			s.filled(b, func(n int) { s.receiveDelete(b, n) })
		})
	})
}

// workerCounts are the numbers of handlers that may run at once.
var workerCounts = []int{1, 8, 100}

// A durable subscription that deletes what it is handed, confirmed, and holds as
// many messages more as it may handle, beside a raw Consume of the same
// prefetch.
func BenchmarkJetStreamSubscribePrefetch(b *testing.B) {
	onStream(b, func(b *testing.B, s *streamBench) {
		for _, workers := range workerCounts {
			b.Run(fmt.Sprint(workers), func(b *testing.B) {
				s.compare(b,
					func(b *testing.B) { s.consume(b, workers) },
					func(b *testing.B) { s.subscribe(b, workers, broker.Prefetch(workers)) },
				)
			})
		}
	})
}

// The same without prefetch, beside raw workers that ask for a message when they
// are free.
func BenchmarkJetStreamSubscribe(b *testing.B) {
	onStream(b, func(b *testing.B, s *streamBench) {
		for _, workers := range workerCounts {
			b.Run(fmt.Sprint(workers), func(b *testing.B) {
				s.compare(b,
					func(b *testing.B) { s.next(b, workers) },
					func(b *testing.B) { s.subscribe(b, workers) },
				)
			})
		}
	})
}

func (s *streamBench) subscribe(b *testing.B, workers int, opts ...broker.SubscribeOption) {
	b.Helper()
	b.StopTimer()
	s.fill(b, b.N)
	handled := make(chan struct{}, b.N)
	b.StartTimer()
	sub := subscribe(b, s.ours, "BENCH/c", func(context.Context, *broker.Delivery) error {
		handled <- struct{}{}
		return nil
	}, append(opts, broker.Group("c"), broker.Concurrency(workers))...)
	for range b.N {
		<-handled
	}
	if _, err := sub.Drain(b.Context()); err != nil { // the last are deleted
		b.Fatal(err)
	}
}

// consume hands what Consume has to as many goroutines as there are workers;
// one worker needs none.
func (s *streamBench) consume(b *testing.B, workers int) {
	b.Helper()
	b.StopTimer()
	s.fill(b, b.N)
	done := make(chan struct{}, b.N)
	ack := func(m jetstream.Msg) {
		if err := m.DoubleAck(b.Context()); err != nil {
			b.Error(err)
		}
		done <- struct{}{}
	}
	handle := ack
	if workers > 1 {
		slots := make(chan struct{}, workers)
		handle = func(m jetstream.Msg) {
			slots <- struct{}{}
			go func() {
				ack(m)
				<-slots
			}()
		}
	}
	b.StartTimer()
	consuming, err := s.c.Consume(handle, jetstream.PullMaxMessages(workers))
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		<-done
	}
	b.StopTimer()
	consuming.Stop()
	<-consuming.Closed()
}

// next has each worker ask for one message after the other.
func (s *streamBench) next(b *testing.B, workers int) {
	b.Helper()
	b.StopTimer()
	s.fill(b, b.N)
	turns := make(chan struct{}, b.N)
	for range b.N {
		turns <- struct{}{}
	}
	close(turns)
	b.StartTimer()
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for range turns {
				m, err := s.c.Next(jetstream.FetchMaxWait(patience))
				if err != nil {
					b.Error(err)
					return
				}
				if err := m.DoubleAck(b.Context()); err != nil {
					b.Error(err)
				}
			}
		})
	}
	group.Wait()
}
