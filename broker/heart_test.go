package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func TestConsumeHeartbeat(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		var ends []time.Time
		sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error {
			for range 3 {
				time.Sleep(30 * time.Second)
				if ctx.Err() != nil {
					t.Errorf("cancelled: %v", context.Cause(ctx))
				}
				end, ok := broker.LeaseEnd(ctx)
				if !ok || !end.After(time.Now()) {
					t.Errorf("LeaseEnd() = %v, %v at %v", end, ok, time.Now())
				}
				ends = append(ends, end)
			}
			return nil
		})
		r.put(30*time.Second, message("slow", ""))
		time.Sleep(2 * time.Minute)
		drain(t, sub)
		wantLog(t, r, "delete slow")
		// 90 s of work, renewed after 10 to 15 s each time
		if n := r.beats(); n < 5 || n > 9 {
			t.Errorf("heartbeats: got %d, want 5 to 9", n)
		}
		if got := sub.Counts(); got.LeasesLost != 0 || got.Extended != uint64(r.beats()) {
			t.Errorf("counts: %+v with %d heartbeats", got, r.beats())
		}
		if !slices.IsSortedFunc(ends, time.Time.Compare) {
			t.Errorf("the lease's end moved back: %v", ends)
		}
	})
}

func TestConsumeQuickHandlersCauseNoHeartbeat(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, func(context.Context, *broker.Delivery) error { time.Sleep(time.Millisecond); return nil })
		for i := range 10_000 {
			r.put(30*time.Second, message(fmt.Sprint(i), ""))
		}
		time.Sleep(time.Minute)
		drain(t, sub)
		if r.beats() != 0 || sub.Counts().Deleted != 10_000 {
			t.Errorf("%d heartbeats, %+v", r.beats(), sub.Counts())
		}
	})
}

func TestConsumeHeartbeatServesManyInOneCall(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, func(context.Context, *broker.Delivery) error { time.Sleep(time.Minute); return nil },
			broker.Concurrency(100))
		for i := range 100 {
			r.put(30*time.Second, message(fmt.Sprint(i), ""))
		}
		time.Sleep(2 * time.Minute)
		drain(t, sub)
		if n := r.beats(); n > 40 {
			t.Errorf("%d calls for 100 messages and some 5 renewals of each", n)
		}
	})
}

func TestConsumeLeaseLost(t *testing.T) {
	throttled := &broker.Error{Backend: "fake", Op: "extend", Kind: broker.ErrThrottled}
	for name, c := range map[string]struct {
		extend func(ctx context.Context, h *fakeHandle) error
		lostBy time.Duration // after the receive
	}{
		"told by the backend": {
			func(context.Context, *fakeHandle) error { return broker.ErrLeaseLost }, 15 * time.Second,
		},
		"throttled to the end": {
			func(context.Context, *fakeHandle) error { return throttled }, 30 * time.Second,
		},
		"a call that hangs": {
			func(ctx context.Context, _ *fakeHandle) error { <-ctx.Done(); return ctx.Err() }, 30 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *fakeReceiver) {
				r.extend = c.extend
				began := time.Now()
				sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error {
					<-ctx.Done()
					if !errors.Is(context.Cause(ctx), broker.ErrLeaseLost) {
						t.Errorf("cause: %v", context.Cause(ctx))
					}
					if took := time.Since(began); took > c.lostBy {
						t.Errorf("cancelled after %v, want at most %v", took, c.lostBy)
					}
					return ctx.Err()
				})
				r.put(30*time.Second, message("a", ""))
				time.Sleep(time.Minute)
				drain(t, sub)
				wantLog(t, r) // somebody else has it: nothing to settle
				if got := sub.Counts().LeasesLost; got != 1 {
					t.Errorf("leases lost: got %d, want 1", got)
				}
			})
		})
	}
}

func TestConsumeHeartbeatSurvivesThrottling(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		calls := 0
		r.extend = func(context.Context, *fakeHandle) error {
			calls++
			if calls%2 == 1 {
				return broker.ErrThrottled
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

// A heartbeat in flight when the handler returns must not overwrite the delay
// that the release sets.
func TestConsumeStopsHeartbeatBeforeSettling(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		extending := false
		r.extend = func(context.Context, *fakeHandle) error {
			extending = true
			time.Sleep(5 * time.Second)
			extending = false
			return nil
		}
		r.settle = func(context.Context, string, string) {
			if extending {
				t.Error("settled while an Extend call was in flight")
			}
		}
		sub := consume(t, r, func(context.Context, *broker.Delivery) error {
			time.Sleep(16 * time.Second) // the first heartbeat begins after 10 to 15 s
			return errors.New("failed")
		})
		r.put(30*time.Second, message("a", ""))
		time.Sleep(time.Minute)
		drain(t, sub)
		if n := r.beats(); n != 1 {
			t.Errorf("heartbeats: got %d, want 1", n)
		}
	})
}

// Whenever the retries of a failing heartbeat fall, the handler hears that its
// lease is lost before it ends: at its end somebody else may begin.
func TestConsumeLeaseLostBeforeItsEnd(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		r.extend = func(context.Context, *fakeHandle) error { return broker.ErrThrottled }
		sub := consume(t, r, func(ctx context.Context, d *broker.Delivery) error {
			<-ctx.Done()
			if left := time.Until(d.LeaseEnd); left < 500*time.Millisecond {
				t.Errorf("%s: cancelled %v before the end of its lease, want a fiftieth of it", d.ID, left)
			}
			return ctx.Err()
		}, broker.Concurrency(200))
		for i := range 200 {
			r.put(30*time.Second, message(fmt.Sprint(i), ""))
			time.Sleep(700 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		drain(t, sub)
		if got := sub.Counts().LeasesLost; got != 200 {
			t.Errorf("leases lost: got %d, want 200", got)
		}
	})
}

// bareHandle does not tell when its lease ends.
type bareHandle struct{}

func (bareHandle) As(any) bool { return false }

func TestHandleWithoutLeaseEnd(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		var told []error
		sub := consume(t, r, func(ctx context.Context, d *broker.Delivery) error {
			if d.ID == "leased" {
				time.Sleep(2 * time.Second)
				return ctx.Err()
			}
			<-ctx.Done()
			left := time.Until(d.LeaseEnd)
			if !errors.Is(context.Cause(ctx), broker.ErrLeaseLost) || left <= 0 || left > time.Second {
				t.Errorf("%s: cancelled %v before the end of its lease: %v", d.ID, left, context.Cause(ctx))
			}
			return ctx.Err()
		}, broker.Concurrency(3), broker.OnError(func(_ context.Context, d *broker.Delivery, err error) {
			if d == nil {
				told = append(told, err)
			}
		}))
		for i := range 2 {
			d := message(fmt.Sprint(i), "")
			d.Handle, d.LeaseEnd = bareHandle{}, time.Now().Add(30*time.Second)
			r.put(0, d)
		}
		time.Sleep(27 * time.Second)
		r.put(3*time.Second, message("leased", "")) // its heartbeat comes when theirs would be due soon
		time.Sleep(time.Minute)
		drain(t, sub)
		if c := sub.Counts(); c.LeasesLost != 2 || c.Extended != 1 || r.beats() != 1 {
			t.Errorf("%d heartbeats, %+v; want one, of the leased one, and 2 leases lost", r.beats(), c)
		}
		if len(told) != 1 || !errors.Is(told[0], errors.ErrUnsupported) {
			t.Errorf("told %q, want once that there is no heartbeat", told)
		}
	})
}

// A server that takes most of what is left of a short lease still renews it; and
// one that hangs once does not cost a long lease.
func TestHeartbeatOnASlowServer(t *testing.T) {
	for _, c := range []struct {
		name  string
		lease time.Duration
		call  func(n int) time.Duration // how long the n-th takes
	}{
		{"a short lease", time.Second, func(int) time.Duration { return 400 * time.Millisecond }},
		{"calls that hang now and then", 30 * time.Second, func(n int) time.Duration { return time.Duration(n%2) * time.Hour }},
		{"a lease of some seconds whose first call hangs", 5 * time.Second, func(n int) time.Duration { return time.Duration(n%2) * time.Hour }},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *fakeReceiver) {
				n := 0
				r.extend = func(ctx context.Context, _ *fakeHandle) error {
					n++
					answer := time.NewTimer(c.call(n))
					defer answer.Stop()
					select {
					case <-answer.C:
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error {
					time.Sleep(10 * c.lease)
					return context.Cause(ctx)
				})
				for i := range 50 { // with chance
					r.put(c.lease, message(fmt.Sprint(i), ""))
				}
				time.Sleep(600 * c.lease)
				drain(t, sub)
				if got := sub.Counts(); got.Deleted != 50 || got.LeasesLost != 0 {
					t.Errorf("%d calls, %+v", n, got)
				}
			})
		})
	}
}
