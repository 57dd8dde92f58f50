package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// Hooks that end their goroutine, as t.FailNow does, wherever they are called:
// nothing of the subscription ends with it.
func TestHooksThatEndTheirGoroutine(t *testing.T) {
	for name, hooks := range map[string][]broker.SubscribeOption{
		"OnError":  {broker.OnError(func(context.Context, *broker.Delivery, error) { goexit() })},
		"Observer": {broker.Observer(func(broker.Event) { goexit() })},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *fakeReceiver) { endGoroutines(t, r, hooks) })
		})
	}
}

func endGoroutines(t *testing.T, r *fakeReceiver, hooks []broker.SubscribeOption) {
	var failures atomic.Int32
	r.receive = func() error { // on the poller
		if failures.Add(1)%2 == 1 {
			return broker.ErrThrottled
		}
		return nil
	}
	var beats atomic.Int32
	r.extend = func(context.Context, *fakeHandle) error { // on the heartbeat's goroutines
		if beats.Add(1)%3 == 0 {
			return broker.ErrLeaseLost
		}
		return broker.ErrThrottled
	}
	var quick atomic.Bool
	sub := consume(t, r, func(ctx context.Context, d *broker.Delivery) error {
		if d.ID == "quick" {
			quick.Store(true)
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}, append(hooks, broker.Concurrency(8))...)
	for i := range 6 {
		r.put(time.Minute, message(fmt.Sprint(i), ""))
		time.Sleep(time.Second)
	}
	time.Sleep(5 * time.Minute)
	if n := sub.Counts().LeasesLost; n != 6 {
		t.Errorf("leases lost: got %d, want 6: the heartbeat goes on", n)
	}
	r.put(0, message("quick", ""))
	time.Sleep(time.Minute)
	if !quick.Load() {
		t.Error("nothing is received any more")
	}

	// A lane whose first one fails, on the handler's goroutine, and one that a
	// drain gives back, on the drain's.
	r.put(time.Hour, message("k1", "k"), message("k2", "k"), message("k3", "k"))
	r.put(time.Hour, message("l1", "l"), message("l2", "l"), message("l3", "l"))
	time.Sleep(time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	report, err := sub.Drain(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || report.Finished+report.Released+report.Abandoned != 6 {
		t.Errorf("Drain() = %+v, %v; want 6 deliveries accounted for at its deadline", report, err)
	}
	if n := sub.Counts().InFlight; n != 0 {
		t.Errorf("in hand after the drain: %d", n)
	}
	<-sub.Done()
}

// A hook may call everything but Drain, whatever it is told of.
func TestHooksThatCallTheSubscription(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		var throttled, told atomic.Int32
		r.receive = func() error {
			if throttled.Add(1)%3 == 0 {
				return broker.ErrThrottled
			}
			return nil
		}
		r.extend = func(context.Context, *fakeHandle) error { return broker.ErrLeaseLost }
		var hold atomic.Pointer[broker.Subscription]
		hook := func() {
			sub := hold.Load()
			if sub == nil {
				return
			}
			n := int(told.Add(1))
			for _, err := range []error{sub.Pause(), sub.SetConcurrency(1 + n%5), sub.Resume()} {
				if err != nil {
					t.Error(err)
				}
			}
			_, _, _ = sub.Snapshot(), sub.Counts(), sub.Err()
		}
		var handled atomic.Int32
		sub := consume(t, r, func(ctx context.Context, d *broker.Delivery) error {
			switch n := handled.Add(1); {
			case d.ID == "lost":
				<-ctx.Done()
				return ctx.Err()
			case n%4 == 0:
				return errors.New("failed")
			}
			return nil
		}, broker.Concurrency(3), broker.Prefetch(3),
			broker.OnError(func(context.Context, *broker.Delivery, error) { hook() }),
			broker.Observer(func(broker.Event) { hook() }))
		hold.Store(sub)
		for i := range 40 {
			r.put(time.Minute, message(fmt.Sprint("k", i), fmt.Sprint(i%3)), message(fmt.Sprint(i), ""))
		}
		r.put(time.Minute, message("lost", ""))
		time.Sleep(10 * time.Minute)
		if snap := sub.Snapshot(); snap.InFlight != 0 || snap.Received != 81 || snap.LeasesLost != 1 || snap.Paused {
			t.Errorf("not all of 81 messages have come and gone: %+v", snap)
		}
		drain(t, sub)
	})
}
