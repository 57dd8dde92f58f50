package broker_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// A delete that fails again and again must not use up the lease of one that
// waits its turn.
func TestDeletesDoNotWaitForOneThatFails(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		began := time.Now()
		var mu sync.Mutex
		var deleted time.Duration
		r.delete = func(d *broker.Delivery) error {
			if d.ID == "fails" {
				return broker.ErrThrottled
			}
			mu.Lock()
			deleted = time.Since(began)
			mu.Unlock()
			return nil
		}
		sub := consume(t, r, func(_ context.Context, d *broker.Delivery) error {
			if d.ID == "works" {
				time.Sleep(time.Second)
			}
			return nil
		}, broker.Concurrency(2))
		r.put(time.Minute, message("fails", ""))
		r.put(time.Minute, message("works", ""))
		time.Sleep(time.Minute)
		drain(t, sub)
		mu.Lock()
		defer mu.Unlock()
		if deleted == 0 || deleted > 2*time.Second {
			t.Errorf("deleted after %v, want at once after its handler's second", deleted)
		}
	})
}

// A heartbeat call that hangs is given up in time for another try.
func TestHeartbeatThatHangsIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		calls := 0
		r.extend = func(ctx context.Context, _ *fakeHandle) error {
			calls++
			if calls%2 == 1 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error {
			time.Sleep(2 * time.Minute)
			return ctx.Err()
		})
		r.put(30*time.Second, message("a", ""))
		time.Sleep(3 * time.Minute)
		drain(t, sub)
		wantLog(t, r, "delete a")
	})
}

// Nor does it hold up a settlement for the hours of a long lease.
func TestHeartbeatThatHangsDoesNotHoldUpSettling(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		r.extend = func(ctx context.Context, _ *fakeHandle) error { <-ctx.Done(); return ctx.Err() }
		var returned, deleted time.Time
		r.settle = func(context.Context, string, string) { deleted = time.Now() }
		sub := consume(t, r, func(context.Context, *broker.Delivery) error {
			for r.beats() == 0 {
				time.Sleep(time.Second)
			}
			returned = time.Now()
			return nil
		})
		r.put(12*time.Hour, message("a", ""))
		time.Sleep(10 * time.Hour)
		drain(t, sub)
		if took := deleted.Sub(returned); deleted.IsZero() || took > 10*time.Second {
			t.Errorf("deleted %v after the handler returned", took)
		}
	})
}
