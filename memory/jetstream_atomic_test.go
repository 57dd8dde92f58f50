package memory_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

var atomicStream = memory.StreamConfig{AllowAtomicPublish: true}

func batchOf(n int, name string) []broker.Message {
	var ms []broker.Message
	for i := range n {
		ms = append(ms, text("orders."+name, fmt.Sprint(name, i)))
	}
	return ms
}

func TestJetStreamAtomicIsInOrderAndTogether(t *testing.T) {
	b := newJetStream(t, atomicStream, memory.ConsumerConfig{MaxAckPending: -1})
	const size, batches = 20, 8
	stored := make([][]broker.Receipt, batches)
	var group sync.WaitGroup
	for n := range batches {
		group.Go(func() {
			var err error
			stored[n], err = b.PublishAtomic(t.Context(), batchOf(size, batchName(n)))
			if err != nil || len(stored[n]) != size {
				t.Errorf("got %d receipts, %v", len(stored[n]), err)
			}
		})
		put(t, b, "single")
	}
	group.Wait()
	var order []string
	bodies := map[string]string{}
	for _, d := range receive(t, b, "ORDERS/c", (size+1)*batches) {
		if body := string(d.Body); body != "single" {
			order = append(order, body)
			bodies[d.ID] = body
		}
	}
	for i, body := range order {
		if want := fmt.Sprint(order[i-i%size][:1], i%size); body != want {
			t.Fatalf("message %d is %s, want %s: %q", i, body, want, order)
		}
	}
	for n, receipts := range stored {
		for i, r := range receipts {
			if want := fmt.Sprint(batchName(n), i); bodies[r.ID] != want || r.Outcome != broker.OutcomeStored || r.ID != "ORDERS:"+r.Sequence.String() {
				t.Errorf("receipt %+v is of %q, want %q", r, bodies[r.ID], want)
			}
		}
	}
}

func batchName(n int) string { return string(rune('a' + n)) }

// Who waits is handed the batch when all of it is there.
func TestJetStreamAtomicIsSeenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJetStream(t, atomicStream, memory.ConsumerConfig{})
		got := make(chan []*broker.Delivery, 1)
		go func() {
			ds, err := b.Receive(t.Context(), "ORDERS/c", 10, broker.Wait(time.Minute))
			if err != nil {
				t.Error(err)
			}
			got <- ds
		}()
		synctest.Wait()
		_, err := b.PublishAtomic(t.Context(), batchOf(3, "a"))
		must(t, err)
		wantBodies(t, <-got, "a0", "a1", "a2")
	})
}

func TestJetStreamAtomicRefuses(t *testing.T) {
	b := newJetStream(t, atomicStream, memory.ConsumerConfig{})
	over, cancel := context.WithCancel(t.Context())
	cancel()
	delayed := batchOf(2, "a")
	delayed[1].Delay = time.Second
	for name, test := range map[string]struct {
		ctx  context.Context
		ms   []broker.Message
		want error
	}{
		"too many":        {t.Context(), batchOf(1001, "a"), broker.ErrTooLarge},
		"a delay":         {t.Context(), delayed, errors.ErrUnsupported},
		"several streams": {t.Context(), append(batchOf(1, "a"), text("dead", "x")), errors.ErrUnsupported},
		"not allowed":     {t.Context(), []broker.Message{text("dead", "x")}, errors.ErrUnsupported},
		"nobody's":        {t.Context(), []broker.Message{text("nobody", "x")}, broker.ErrNotFound},
		"over":            {over, batchOf(1, "a"), context.Canceled},
	} {
		if receipts, err := b.PublishAtomic(test.ctx, test.ms); !errors.Is(err, test.want) || receipts != nil {
			t.Errorf("%s: got %v, %v; want %v", name, receipts, err, test.want)
		}
	}
	_, err := b.PublishAtomic(t.Context(), delayed)
	wantErr(t, broker.ItemError(err, 0), broker.ErrSkipped)
	b.FailNext(memory.OpPublish, 1, broker.ErrUnavailable)
	_, err = b.PublishAtomic(t.Context(), batchOf(3, "a"))
	wantErr(t, err, broker.ErrUnavailable)
	none(t, b, "ORDERS/c")
	if receipts, err := b.PublishAtomic(t.Context(), nil); err != nil || receipts != nil {
		t.Errorf("an empty one: got %v, %v", receipts, err)
	}
	receipts, err := b.PublishAtomic(t.Context(), batchOf(1000, "a"))
	if err != nil || len(receipts) != 1000 || receipts[999].Sequence != broker.NewSequence(1000) {
		t.Errorf("got %d receipts, %v", len(receipts), err)
	}
}

// What is ignored is dropped from the messages of a batch too.
func TestJetStreamAtomicIgnores(t *testing.T) {
	b := closing(t, memory.NewJetStream(&memory.JetStreamOptions{Ignore: broker.FieldDelay}))
	create(t, b, memory.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}, AllowAtomicPublish: true}, memory.ConsumerConfig{Durable: "c"})
	ms := batchOf(1, "a")
	ms[0].Delay = time.Hour
	_, err := b.PublishAtomic(t.Context(), ms)
	must(t, err)
	wantBodies(t, receive(t, b, "ORDERS/c", 1), "a0")
}

// A stream that acknowledges nothing has stored the batch, and nobody knows.
func TestJetStreamAtomicUnanswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJetStream(t, memory.StreamConfig{AllowAtomicPublish: true, NoAck: true}, memory.ConsumerConfig{})
		_, err := b.PublishAtomic(t.Context(), batchOf(2, "a"))
		wantErr(t, err, broker.ErrOutcomeUnknown, context.DeadlineExceeded)
		wantBodies(t, receive(t, b, "ORDERS/c", 2), "a0", "a1")
	})
}

// What many ask for at once is created once, and nobody sees drift.
func TestJetStreamEnsureByManyAtOnce(t *testing.T) {
	b := closing(t, memory.NewJetStream(nil))
	var mu sync.Mutex
	created := 0
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			s, err1 := b.EnsureStream(t.Context(), memory.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
			c, err2 := b.EnsureConsumer(t.Context(), "ORDERS", memory.ConsumerConfig{Durable: "c"})
			if err := errors.Join(err1, err2); err != nil || s.Drift != nil || c.Drift != nil {
				t.Errorf("got %+v, %+v, %v", s, c, err)
			}
			mu.Lock()
			defer mu.Unlock()
			for _, e := range []broker.Ensured{s, c} {
				if e.Created {
					created++
				}
			}
		})
	}
	group.Wait()
	if created != 2 {
		t.Errorf("%d created, want the stream and the consumer", created)
	}
}

// What was there before a rollup does not come again, and is not waited for.
func TestJetStreamRollup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJetStream(t, memory.StreamConfig{AllowRollup: true}, memory.ConsumerConfig{})
		put(t, b, "old", "older")
		m := text("orders.new", "all there is")
		m.Header = broker.Header{"Nats-Rollup": "sub", "k": "v"}
		held := receive(t, b, "ORDERS/c", 1)
		publish(t, b, m)
		must(t, b.Delete(t.Context(), held...))
		time.Sleep(time.Minute)
		d := one(t, b, "ORDERS/c")
		wantBodies(t, []*broker.Delivery{d}, "all there is")
		if len(d.Header) != 1 || d.Header["k"] != "v" {
			t.Errorf("got the header %q", d.Header)
		}
		must(t, b.Delete(t.Context(), d))
		must(t, b.WaitIdle(t.Context()))
		m.Delay = time.Second
		_, err := b.Publish(t.Context(), m)
		wantErr(t, err, errors.ErrUnsupported)
		m.Delay, m.Header["Nats-Rollup"] = 0, "most"
		_, err = b.Publish(t.Context(), m)
		wantErr(t, err, broker.ErrInvalid)
	})
}
