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
