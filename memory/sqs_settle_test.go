package memory_test

import (
	"context"
	"errors"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

func TestSettledDelivery(t *testing.T) {
	do := map[string]func(*memory.SQS, *broker.Delivery) error{
		"delete":  func(b *memory.SQS, d *broker.Delivery) error { return b.Delete(context.Background(), d) },
		"extend":  func(b *memory.SQS, d *broker.Delivery) error { return b.Extend(context.Background(), time.Minute, d) },
		"release": func(b *memory.SQS, d *broker.Delivery) error { return b.Release(context.Background(), 0, d) },
		"reject":  func(b *memory.SQS, d *broker.Delivery) error { return b.Reject(context.Background(), "why", d) },
	}
	for _, queue := range []string{"q", "q.fifo"} {
		for first := range maps.Keys(do) {
			for then := range maps.Keys(do) {
				bubble(t, queue+" "+first+" then "+then, func(t *testing.T) {
					dead := "dead" + queue[1:]
					b := newSQS(t, queue, memory.QueueOptions{DeadLetter: dead})
					m := text(queue, "a")
					if queue == "q.fifo" {
						m.Key, m.DedupID = "k", "id"
					}
					publish(t, b, m)
					d := one(t, b, queue)
					must(t, do[first](b, d))
					err := do[then](b, d)
					if first == "extend" || first == "delete" && then == "delete" {
						must(t, err)
						return
					}
					wantErr(t, err, broker.ErrLeaseLost)
				})
			}
			bubble(t, queue+" late "+first, func(t *testing.T) {
				b := newSQS(t, queue, memory.QueueOptions{DeadLetter: "dead" + queue[1:]})
				publish(t, b, broker.Message{Subject: queue, Body: []byte("a"), Key: key(queue), DedupID: key(queue)})
				d := one(t, b, queue)
				sleepUntil(d.LeaseEnd)
				wantErr(t, do[first](b, d), broker.ErrLeaseLost)
				state, err := b.Contents(queue)
				must(t, err)
				// Only a Standard queue still takes the delete.
				if gone := len(state.Ready) == 0; gone != (first == "delete" && queue == "q") {
					t.Errorf("the message is gone: %v", gone)
				}
			})
		}
	}
}

// key is a key where the queue needs one.
func key(queue string) string {
	if queue == "q.fifo" {
		return "k"
	}
	return ""
}

func TestDeleteKeepsFromComingAgain(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{})
		publish(t, b, text("q", "a"), text("q", "b"), text("q", "c"))
		ds := receive(t, b, "q", 10)
		must(t, b.Delete(t.Context(), ds[0], ds[2]))
		time.Sleep(time.Hour)
		if d := one(t, b, "q"); string(d.Body) != "b" {
			t.Errorf("got %s, want b", d.Body)
		}
	})
}

func TestRelease(t *testing.T) {
	bubble(t, "after a delay", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{})
		publish(t, b, text("q", "a"))
		must(t, b.Release(t.Context(), 90*time.Minute, one(t, b, "q")))
		time.Sleep(90*time.Minute - 1)
		none(t, b, "q")
		time.Sleep(time.Nanosecond)
		if d := one(t, b, "q"); d.Attempt != 2 {
			t.Errorf("got attempt %d, want 2", d.Attempt)
		}
	})
	bubble(t, "shortened to what is left of 12 hours", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{})
		publish(t, b, text("q", "a"))
		d := one(t, b, "q", broker.Lease(2*time.Hour))
		time.Sleep(time.Hour)
		must(t, b.Release(t.Context(), 12*time.Hour, d))
		time.Sleep(11*time.Hour - 1)
		none(t, b, "q")
		time.Sleep(time.Nanosecond)
		one(t, b, "q")
	})
}

func TestReject(t *testing.T) {
	bubble(t, "moves and says why", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{DeadLetter: "dead"})
		m := text("q", "a")
		m.Header = broker.Header{"trace": "1"}
		sent := publish(t, b, m)
		must(t, b.Reject(t.Context(), "no such customer", one(t, b, "q")))
		none(t, b, "q")
		d := one(t, b, "dead")
		want := broker.Header{
			"trace": "1", broker.RejectReasonHeader: "no such customer", broker.RejectSourceHeader: "q", broker.RejectAttemptsHeader: "1",
		}
		if !maps.Equal(d.Header, want) || d.ID != sent.ID {
			t.Errorf("got %v with id %s, want %v with id %s", d.Header, d.ID, want, sent.ID)
		}
		var native memory.Native
		if !d.As(&native) || native.DeadLetterSource != "q" {
			t.Errorf("got %+v, want source q", native)
		}
	})
	bubble(t, "keeps all headers of a message that has ten", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{DeadLetter: "dead"})
		m := text("q", "a")
		for i := range 10 {
			m.Header.Set("h"+strconv.Itoa(i), "v")
		}
		publish(t, b, m)
		must(t, b.Reject(t.Context(), "why", one(t, b, "q")))
		want := maps.Clone(m.Header)
		want[broker.RejectReasonHeader], want[broker.RejectSourceHeader], want[broker.RejectAttemptsHeader] = "why", "q", "1"
		if d := one(t, b, "dead"); !maps.Equal(d.Header, want) {
			t.Errorf("got %v, want %v", d.Header, want)
		}
	})
	bubble(t, "leaves out what has no room in the size", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{DeadLetter: "dead"})
		m := text("q", strings.Repeat("a", 1<<20-10))
		publish(t, b, m)
		must(t, b.Reject(t.Context(), "why", one(t, b, "q")))
		if d := one(t, b, "dead"); len(d.Header) != 0 || len(d.Body) != len(m.Body) {
			t.Errorf("got %v and %d bytes", d.Header, len(d.Body))
		}
	})
	bubble(t, "needs a dead-letter queue", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{})
		publish(t, b, text("q", "a"))
		d := one(t, b, "q")
		wantErr(t, b.Reject(t.Context(), "why", d), errors.ErrUnsupported)
		none(t, b, "q") // still leased
		must(t, b.Delete(t.Context(), d))
	})
}

func TestSettleRefusesForeignDeliveries(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		a, b := newSQS(t, "q", memory.QueueOptions{}), newSQS(t, "q", memory.QueueOptions{})
		publish(t, a, text("q", "a"))
		publish(t, b, text("q", "b"))
		foreign, own := one(t, a, "q"), one(t, b, "q")
		err := b.Delete(t.Context(), foreign, nil, own, &broker.Delivery{})
		for i, fine := range []bool{false, false, true, false} {
			if got := broker.ItemError(err, i); (got == nil) != fine || !fine && !errors.Is(got, broker.ErrInvalid) {
				t.Errorf("delivery %d: got %v", i, got)
			}
		}
		must(t, b.WaitIdle(t.Context()))
	})
}

func TestHandleMadeByHand(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := closing(t, memory.NewSQS(nil))
		byHand := func() (*memory.Handle, *broker.Delivery) {
			h := &memory.Handle{}
			return h, &broker.Delivery{Message: text("q", "a"), Handle: h}
		}
		h, d := byHand()
		if h.Settled() != memory.Unsettled || !h.LeaseEnd().IsZero() || d.As(new(memory.Native)) {
			t.Errorf("got %v until %v, want an unsettled delivery without a lease", h.Settled(), h.LeaseEnd())
		}
		must(t, b.Extend(t.Context(), time.Minute, d))
		must(t, b.Delete(t.Context(), d))
		must(t, b.Delete(t.Context(), d))
		wantErr(t, b.Extend(t.Context(), time.Minute, d), broker.ErrLeaseLost)
		if h.Settled() != memory.Deleted || h.Extended() != 1 || time.Until(h.LeaseEnd()) != time.Minute {
			t.Errorf("got %v, extended %d times until %v", h.Settled(), h.Extended(), h.LeaseEnd())
		}
		h, d = byHand()
		must(t, b.Release(t.Context(), time.Minute, d))
		wantErr(t, b.Delete(t.Context(), d), broker.ErrLeaseLost)
		if h.Settled() != memory.Released || h.Delay() != time.Minute {
			t.Errorf("got %v with delay %v", h.Settled(), h.Delay())
		}
		h, d = byHand()
		b.FailNext(memory.OpReject, 1, broker.ErrThrottled)
		wantErr(t, b.Reject(t.Context(), "why", d), broker.ErrThrottled)
		must(t, b.Reject(t.Context(), "why", d))
		if h.Settled() != memory.Rejected || h.Reason() != "why" || h.Settled().String() != "rejected" {
			t.Errorf("got %v because of %q", h.Settled(), h.Reason())
		}
	})
}
