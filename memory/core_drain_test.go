package memory_test

import (
	"context"
	"errors"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

func TestCoreDrain(t *testing.T) {
	for name, opts := range map[string][]broker.SubscribeOption{"one at a time": nil, "concurrently": {broker.Concurrency(3)}} {
		bubble(t, name+", handles what waits", func(t *testing.T) {
			b := newCore(t, nil)
			var handled atomic.Int64
			sub, err := b.Subscribe(t.Context(), "s", func(context.Context, *broker.Delivery) error {
				time.Sleep(time.Second)
				handled.Add(1)
				return nil
			}, opts...)
			must(t, err)
			for range 10 {
				publish(t, b, text("s", "a"))
			}
			report, err := sub.Drain(t.Context())
			must(t, err)
			if handled.Load() != 10 || report.Abandoned != 0 {
				t.Errorf("%d handled, report %+v; want all 10", handled.Load(), report)
			}
			publish(t, b, text("s", "a"))
			must(t, b.WaitIdle(t.Context()))
			if handled.Load() != 10 {
				t.Error("a drained subscription got one more")
			}
		})
		bubble(t, name+", discards after its deadline", func(t *testing.T) {
			b := newCore(t, nil)
			var begun atomic.Int64
			sub, err := b.Subscribe(t.Context(), "s", func(ctx context.Context, _ *broker.Delivery) error {
				begun.Add(1)
				<-ctx.Done()
				return context.Cause(ctx)
			}, opts...)
			must(t, err)
			for range 10 {
				publish(t, b, text("s", "a"))
			}
			synctest.Wait()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			report, err := sub.Drain(ctx)
			wantErr(t, err, context.DeadlineExceeded)
			if begun := int(begun.Load()); report.Finished != begun || report.Abandoned != 10-begun || begun == 10 {
				t.Errorf("%d begun, report %+v", begun, report)
			}
			must(t, b.WaitIdle(t.Context()))
		})
	}
	bubble(t, "from its own handler", func(t *testing.T) {
		b := newCore(t, nil)
		var sub *broker.Subscription
		drained := make(chan error, 1)
		sub, err := b.Subscribe(t.Context(), "s", func(ctx context.Context, _ *broker.Delivery) error {
			_, err := sub.Drain(ctx)
			drained <- err
			return nil
		})
		must(t, err)
		publish(t, b, text("s", "a"))
		must(t, <-drained)
		<-sub.Done()
	})
	bubble(t, "after the handler ended its goroutine", func(t *testing.T) {
		b := newCore(t, nil)
		hold := make(chan struct{})
		sub, err := b.Subscribe(t.Context(), "s", func(context.Context, *broker.Delivery) error {
			<-hold
			runtime.Goexit()
			return nil
		})
		must(t, err)
		publish(t, b, text("s", "a"), text("s", "b"), text("s", "c"))
		close(hold)
		<-sub.Done()
		if c := sub.Counts(); sub.Err() == nil || c.Panicked != 1 || c.Dropped != 2 {
			t.Errorf("got %v and %+v, want an end and two discarded", sub.Err(), c)
		}
		must(t, b.WaitIdle(t.Context()))
		if _, err := b.Request(t.Context(), text("s", "a")); !errors.Is(err, broker.ErrNoResponders) {
			t.Errorf("got %v: the subscription is still there", err)
		}
	})
}

func TestLeavingAGroupLosesNothing(t *testing.T) {
	b := newCore(t, nil)
	var handled atomic.Int64
	h := func(context.Context, *broker.Delivery) error { handled.Add(1); return nil }
	_, err := b.Subscribe(t.Context(), "s", h, broker.Group("g"))
	must(t, err)
	const n = 2000
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range n {
			if _, err := b.Publish(t.Context(), text("s", strconv.Itoa(i))); err != nil {
				t.Error(err)
			}
		}
	}()
	for range 50 {
		sub, err := b.Subscribe(t.Context(), "s", h, broker.Group("g"))
		must(t, err)
		_, err = sub.Drain(t.Context())
		must(t, err)
	}
	<-done
	must(t, b.WaitIdle(t.Context()))
	if got := handled.Load(); got != n {
		t.Errorf("%d handled, want %d", got, n)
	}
}

// A message may be on its way to the handler when the drain begins.
func TestDrainWaitsForWhatIsOnItsWay(t *testing.T) {
	b := newCore(t, nil)
	for range 3000 {
		var handled atomic.Bool
		sub, err := b.Subscribe(t.Context(), "s", func(context.Context, *broker.Delivery) error {
			handled.Store(true)
			return nil
		})
		must(t, err)
		publish(t, b, text("s", "a"))
		runtime.Gosched()
		_, err = sub.Drain(t.Context())
		must(t, err)
		if !handled.Load() {
			t.Fatal("the drain is over, and the handler has not begun")
		}
	}
}

func TestCoreClose(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := memory.NewCoreNATS(nil)
		handled := 0
		_, err := b.Subscribe(t.Context(), "s", func(context.Context, *broker.Delivery) error {
			time.Sleep(time.Second)
			handled++
			return nil
		})
		must(t, err)
		publish(t, b, text("s", "a"), text("s", "b"))
		go func() {
			if err := b.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}()
		must(t, b.Close(t.Context()))
		must(t, b.Close(t.Context()))
		if handled != 2 {
			t.Errorf("%d handled when closed, want 2", handled)
		}
		_, err = b.Publish(t.Context(), text("s", "a"))
		wantErr(t, err, broker.ErrClosed)
		_, err = b.PublishBatch(t.Context(), []broker.Message{text("s", "a")})
		wantErr(t, err, broker.ErrClosed)
		_, err = b.Subscribe(t.Context(), "s", nil)
		wantErr(t, err, broker.ErrClosed)
		_, err = b.Respond(t.Context(), "s", echo)
		wantErr(t, err, broker.ErrClosed)
		_, err = b.Request(t.Context(), text("s", "a"))
		wantErr(t, err, broker.ErrClosed)
		_, err = b.Describe(t.Context(), "s")
		wantErr(t, err, broker.ErrClosed)
		wantErr(t, b.Flush(t.Context()), broker.ErrClosed)
		wantErr(t, b.Ping(t.Context()), broker.ErrClosed)
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := newCore(t, nil).Publish(ctx, text("s", "a"))
	wantErr(t, err, context.Canceled)
}
