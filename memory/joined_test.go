package memory_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

func TestJoined(t *testing.T) {
	bubble(t, "a destination is a queue or a subject", func(t *testing.T) {
		b := closing(t, memory.New(nil))
		must(t, b.SQS().CreateQueue("work", memory.QueueOptions{}))
		placed := subscribe(t, b, "orders.*")
		_, err := b.Subscribe(t.Context(), "work", func(ctx context.Context, d *broker.Delivery) error {
			_, err := b.Publish(ctx, text("orders.done", "done "+string(d.Body)))
			return err
		}, broker.Group("g"))
		must(t, err)
		respond(t, b, "prices", echo)
		m := text("work", "later")
		m.Delay = time.Minute
		publish(t, b, m, text("orders.placed", "a"), text("work", "b"))
		must(t, b.WaitIdle(t.Context()))
		if want := []string{"a", "done b", "done later"}; !slices.Equal(placed.got, want) {
			t.Errorf("got %v, want %v", placed.got, want)
		}
		d, err := b.Request(t.Context(), text("prices", "tea"))
		must(t, err)
		if string(d.Body) != "re: tea" {
			t.Errorf("got %s", d.Body)
		}
		for destination, kind := range map[string]string{"work": "standard queue", "orders.placed": "subject"} {
			if s, err := b.Describe(t.Context(), destination); err != nil || s.Kind != kind {
				t.Errorf("%s is a %s (%v), want a %s", destination, s.Kind, err, kind)
			}
		}
		must(t, errors.Join(b.Ping(t.Context()), b.Flush(t.Context())))
	})
	bubble(t, "refuses what the part would", func(t *testing.T) {
		b := closing(t, memory.New(&memory.Options{}))
		must(t, b.SQS().CreateQueue("work", memory.QueueOptions{}))
		in := subscribe(t, b, ">")
		_, err := b.Request(t.Context(), text("work", "a"))
		wantErr(t, err, errors.ErrUnsupported)
		_, err = b.Respond(t.Context(), "work", echo)
		wantErr(t, err, errors.ErrUnsupported)
		_, err = b.Receive(t.Context(), "orders", 1)
		wantErr(t, err, broker.ErrNotFound)
		_, err = b.PublishBatch(t.Context(), []broker.Message{text("orders", "a"), text("work", "")})
		wantErr(t, broker.ItemError(err, 0), broker.ErrSkipped)
		wantField(t, broker.ItemError(err, 1), "Body")
		b.SQS().FailNext(memory.OpPublish, 1, broker.ErrThrottled)
		receipts, err := b.PublishBatch(t.Context(), []broker.Message{text("work", "a"), text("orders", "b"), text("work", "c")})
		for i, want := range []broker.Outcome{broker.OutcomeUnknown, broker.OutcomeSent, broker.OutcomeStored} {
			if receipts[i].Outcome != want || (broker.ItemError(err, i) != nil) != (i == 0) {
				t.Errorf("message %d: got %v, %v; want %v", i, receipts[i], broker.ItemError(err, i), want)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantErr(t, b.WaitIdle(ctx), context.DeadlineExceeded)
		d := one(t, b, "work")
		must(t, b.Extend(t.Context(), time.Minute, d))
		wantErr(t, b.Reject(t.Context(), "why", d), errors.ErrUnsupported)
		must(t, b.Release(t.Context(), 0, d))
		must(t, b.Delete(t.Context(), one(t, b, "work")))
		must(t, b.WaitIdle(t.Context()))
		if !slices.Equal(in.got, []string{"b"}) {
			t.Errorf("got %v, want b", in.got)
		}
		must(t, b.Close(t.Context()))
		_, err = b.Publish(t.Context(), text("orders", "a"))
		wantErr(t, err, broker.ErrClosed)
		_, err = b.CoreNATS().Publish(t.Context(), text("orders", "a"))
		wantErr(t, err, broker.ErrClosed)
	})
}
