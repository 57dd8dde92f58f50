package memory_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

func TestDeadLetter(t *testing.T) {
	for _, queue := range []string{"q", "q.fifo"} {
		bubble(t, queue, func(t *testing.T) {
			b := newSQS(t, queue, memory.QueueOptions{DeadLetter: "dead" + queue[1:], MaxReceives: 3})
			attempts := 0
			_, err := b.Subscribe(t.Context(), queue, func(context.Context, *broker.Delivery) error {
				attempts++
				return errors.New("poison")
			}, broker.Group("g"))
			must(t, err)
			publish(t, b, broker.Message{Subject: queue, Body: []byte("a"), Key: key(queue), DedupID: key(queue)})
			must(t, b.WaitIdle(t.Context()))
			if attempts != 3 {
				t.Errorf("got %d attempts, want 3", attempts)
			}
			state, err := b.Contents(queue)
			must(t, err)
			if len(state.DeadLetters) != 1 || len(state.Ready)+len(state.InFlight) != 0 {
				t.Fatalf("got %+v, want one dead letter and nothing else", state)
			}
			if d := state.DeadLetters[0]; string(d.Body) != "a" || d.Source != "dead"+queue[1:] || d.Attempt != 3 {
				t.Errorf("got %+v", d)
			}
		})
	}
}

func TestHandlersReject(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{DeadLetter: "dead"})
		sub, err := b.Subscribe(t.Context(), "q", func(context.Context, *broker.Delivery) error {
			return broker.Reject(errors.New("malformed"))
		}, broker.Group("g"))
		must(t, err)
		publish(t, b, text("q", "a"))
		must(t, b.WaitIdle(t.Context()))
		synctest.Wait()
		if c := sub.Counts(); c.Rejected != 1 || c.Received != 1 {
			t.Errorf("got %+v, want one rejected at the first attempt", c)
		}
		if d := one(t, b, "dead"); d.Header[broker.RejectReasonHeader] != "malformed" {
			t.Errorf("got header %v", d.Header)
		}
	})
}

func TestHeartbeatKeepsASlowHandlersMessage(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{Visibility: 10 * time.Second})
		runs := 0
		sub, err := b.Subscribe(t.Context(), "q", func(context.Context, *broker.Delivery) error {
			runs++
			time.Sleep(30 * time.Second)
			return nil
		}, broker.Group("g"), broker.Concurrency(2))
		must(t, err)
		publish(t, b, text("q", "a"))
		must(t, b.WaitIdle(t.Context()))
		synctest.Wait()
		if c := sub.Counts(); runs != 1 || c.Deleted != 1 || c.Extended < 3 || c.LeasesLost != 0 {
			t.Errorf("%d runs and %+v, want one run, kept by heartbeats", runs, c)
		}
	})
	bubble(t, "and without it, the lease is lost", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{Visibility: 10 * time.Second})
		b.FailNext(memory.OpExtend, 1<<30, broker.ErrUnavailable)
		var causes []error
		_, err := b.Subscribe(t.Context(), "q", func(ctx context.Context, d *broker.Delivery) error {
			if d.Attempt == 2 {
				return nil
			}
			<-ctx.Done()
			causes = append(causes, context.Cause(ctx))
			return ctx.Err()
		}, broker.Group("g"))
		must(t, err)
		publish(t, b, text("q", "a"))
		must(t, b.WaitIdle(t.Context()))
		if len(causes) != 1 || !errors.Is(causes[0], broker.ErrLeaseLost) {
			t.Errorf("got causes %v, want one lost lease", causes)
		}
	})
}

func TestAQueueIsOneGroup(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{})
		h := func(context.Context, *broker.Delivery) error { return nil }
		first, err := b.Subscribe(t.Context(), "q", h, broker.Group("a"))
		must(t, err)
		_, err = b.Subscribe(t.Context(), "q", h, broker.Group("a"))
		must(t, err)
		_, err = b.Subscribe(t.Context(), "arn:aws:sqs:eu-central-1:1:q", h, broker.Group("b"))
		wantErr(t, err, errors.ErrUnsupported)
		_, err = first.Drain(t.Context())
		must(t, err)
	})
}

func TestSQSClose(t *testing.T) {
	bubble(t, "drains and refuses", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{})
		finished := false
		_, err := b.Subscribe(t.Context(), "q", func(context.Context, *broker.Delivery) error {
			time.Sleep(time.Minute)
			finished = true
			return nil
		}, broker.Group("g"))
		must(t, err)
		publish(t, b, text("q", "a"))
		synctest.Wait()
		polled := make(chan error)
		go func() {
			_, err := b.Receive(t.Context(), "dead", 1)
			for err == nil {
				_, err = b.Receive(t.Context(), "dead", 1)
			}
			polled <- err
		}()
		synctest.Wait()
		start := time.Now()
		go func() {
			if err := b.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		must(t, b.Close(t.Context()))
		must(t, b.Close(t.Context()))
		if !finished || time.Since(start) != time.Minute {
			t.Errorf("closed after %v, handler finished: %v", time.Since(start), finished)
		}
		wantErr(t, <-polled, broker.ErrClosed)
		_, err = b.Publish(t.Context(), text("q", "a"))
		wantErr(t, err, broker.ErrClosed)
		_, err = b.PublishBatch(t.Context(), []broker.Message{text("q", "a")})
		wantErr(t, err, broker.ErrClosed)
		_, err = b.Receive(t.Context(), "q", 1)
		wantErr(t, err, broker.ErrClosed)
		_, err = b.Subscribe(t.Context(), "q", nil, broker.Group("g"))
		wantErr(t, err, broker.ErrClosed)
		_, err = b.Describe(t.Context(), "q")
		wantErr(t, err, broker.ErrClosed)
		_, err = b.Contents("q")
		wantErr(t, err, broker.ErrClosed)
		wantErr(t, b.Ping(t.Context()), broker.ErrClosed)
		wantErr(t, b.Delete(t.Context()), broker.ErrClosed)
		wantErr(t, b.CreateQueue("new", memory.QueueOptions{}), broker.ErrClosed)
	})
	bubble(t, "with a deadline gives back what is in hand", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{})
		_, err := b.Subscribe(t.Context(), "q", func(ctx context.Context, _ *broker.Delivery) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}, broker.Group("g"))
		must(t, err)
		publish(t, b, text("q", "a"))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantErr(t, b.Close(ctx), context.DeadlineExceeded)
	})
}

func TestSQSWaitIdle(t *testing.T) {
	bubble(t, "names who is not", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{})
		publish(t, b, text("q", "a"), text("q", "b"))
		receive(t, b, "q", 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := b.WaitIdle(ctx)
		wantErr(t, err, context.DeadlineExceeded)
		if err == nil || !strings.Contains(err.Error(), "queue q: 1 ready, 1 in flight, 0 delayed") {
			t.Errorf("got %v", err)
		}
		must(t, b.Purge("q"))
		must(t, b.WaitIdle(t.Context()))
	})
	bubble(t, "waits for redeliveries and delays", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{})
		start := time.Now()
		_, err := b.Subscribe(t.Context(), "q", func(_ context.Context, d *broker.Delivery) error {
			if d.Attempt == 1 {
				return broker.RetryAfter(time.Hour, nil)
			}
			return nil
		}, broker.Group("g"))
		must(t, err)
		m := text("q", "a")
		m.Delay = time.Minute
		publish(t, b, m)
		must(t, b.WaitIdle(t.Context()))
		if got := time.Since(start); got != time.Hour+time.Minute {
			t.Errorf("idle after %v, want 1h1m", got)
		}
	})
}

// An option that a queue cannot honour is refused in the words of the call: by which
// backend, in what, why, and what to do instead.
func TestSubscribeSaysWhatItDoesNotSupport(t *testing.T) {
	b := newSQS(t, "q", memory.QueueOptions{})
	for want, opt := range map[string]broker.SubscribeOption{
		"sqs does not support option broker.PendingLimits in Subscribe: messages wait": broker.PendingLimits{Messages: 9},
		"sqs does not support option broker.Start in Subscribe: what was published":    broker.FromFirst(),
		"sqs does not support option broker.Ordered in Subscribe: nothing here":        broker.Ordered{},
	} {
		_, err := b.Subscribe(t.Context(), "q", discard, broker.Group("g"), opt)
		wantErr(t, err, errors.ErrUnsupported)
		if !strings.Contains(fmt.Sprint(err), want) || !strings.Contains(fmt.Sprint(err), "; instead: ") {
			t.Errorf("got %v, want %q and what to do instead", err, want)
		}
	}
}

// A number without a unit is no lease and no wait.
func TestForgottenUnits(t *testing.T) {
	b := newSQS(t, "q", memory.QueueOptions{})
	for field, opt := range map[string]broker.ReceiveOption{"Lease": broker.Lease(30), "Wait": broker.Wait(20)} {
		_, err := b.Receive(t.Context(), "q", 1, opt)
		wantField(t, err, field)
	}
	_, err := b.Subscribe(t.Context(), "q", discard, broker.Group("g"), broker.Lease(30))
	wantField(t, err, "Lease")
	_, err = b.Receive(t.Context(), "no name", 1)
	wantField(t, err, "queue")
}
