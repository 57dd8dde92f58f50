package broker_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
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

func TestReleaseOfWhatHasNotStartedIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		tries := map[string]int{}
		r.release = func(d *broker.Delivery) error {
			tries[d.ID]++
			if d.ID == "b" && tries[d.ID] < 3 {
				return broker.ErrThrottled
			}
			return nil
		}
		sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error { <-broker.Draining(ctx); return nil },
			broker.Prefetch(2))
		r.put(time.Hour, message("a", ""), message("b", ""), message("c", ""))
		synctest.Wait()
		if report := drain(t, sub); report.Released != 2 || sub.Counts().Released != 2 || sub.Counts().Errors != 0 {
			t.Errorf("%+v, %+v", report, sub.Counts())
		}
		if tries["b"] != 3 || tries["c"] != 1 {
			t.Errorf("released %v times, want b three times and c once", tries)
		}
	})
}

// A delivery whose lease was lost while it waited is somebody else's: it is not
// given back, neither by a drain nor with its lane.
func TestLostLeaseIsNotReleased(t *testing.T) {
	lost := func(context.Context, *fakeHandle) error { return broker.ErrLeaseLost }
	for name, c := range map[string]struct {
		key    string
		opts   []broker.SubscribeOption
		result error
	}{
		"prefetched, by a drain": {"", []broker.SubscribeOption{broker.Prefetch(1)}, nil},
		"in a lane, by a drain":  {"k", []broker.SubscribeOption{broker.Concurrency(2)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *fakeReceiver) {
				r.extend = lost
				var mu sync.Mutex
				told := map[string]bool{}
				sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error {
					<-broker.Draining(ctx)
					time.Sleep(time.Second)
					return c.result
				}, append(c.opts, broker.OnError(func(_ context.Context, d *broker.Delivery, err error) {
					mu.Lock()
					defer mu.Unlock()
					if d != nil && errors.Is(err, broker.ErrLeaseLost) {
						told[d.ID] = true
					}
				}))...)
				r.put(30*time.Second, message("a", c.key), message("b", c.key))
				time.Sleep(20 * time.Second)
				report := drain(t, sub)
				for _, e := range r.log() {
					if strings.HasPrefix(e, "release b") {
						t.Errorf("settled %q", r.log())
					}
				}
				if want := (broker.Report{Subject: "q", Finished: 1, Abandoned: 1}); report != want {
					t.Errorf("report: %+v, want %+v", report, want)
				}
				if !told["b"] {
					t.Errorf("told of lost leases of %v, want b too", told)
				}
			})
		})
	}
}

// The context that settlements share ends with the subscription.
func TestSettlingContextEndsWithTheSubscription(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		var over func() error
		r.settle = func(ctx context.Context, _, _ string) { over = ctx.Err }
		sub := consume(t, r, succeed)
		r.put(0, message("a", ""))
		synctest.Wait()
		drain(t, sub)
		if over == nil || over() == nil {
			t.Error("the context outlives the subscription")
		}
	})
}
