package broker_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// A subscription has two goroutines of its own, and one for each handler that
// runs: none for an idle slot, for a message that waits, for a lease that is
// kept alive.
func TestGoroutines(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		count := func() int {
			synctest.Wait()
			n, _ := goroutines()
			return n
		}
		before := count()
		gate := make(chan struct{})
		sub := consume(t, r, func(context.Context, *broker.Delivery) error { <-gate; return nil },
			broker.Concurrency(100), broker.Prefetch(50))
		if n := count() - before; n != 2 {
			t.Errorf("with 100 idle slots: %d goroutines, want 2", n)
		}
		for i := range 40 {
			r.put(time.Minute, message(fmt.Sprint(i), ""), message(fmt.Sprint("k", i), "k"))
		}
		if n, snap := count()-before, sub.Snapshot(); n != 2+41 || snap.Running != 41 || snap.Behind != 39 {
			t.Errorf("with %d handlers that run and %d messages behind one: %d goroutines, want 43", snap.Running, snap.Behind, n)
		}
		time.Sleep(5 * time.Minute)
		if n := count() - before; n != 2+41 || sub.Counts().Extended == 0 {
			t.Errorf("after %d renewals: %d goroutines, want 43", sub.Counts().Extended, n)
		}
		close(gate)
		if n := count() - before; n != 2 {
			t.Errorf("idle again: %d goroutines, want 2", n)
		}
		drain(t, sub)
		if n := count() - before; n != 0 {
			t.Errorf("after the drain: %d goroutines are left", n)
		}
	})
}
