package broker_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func TestCircuit(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		down := errors.New("the database is down")
		var broken atomic.Bool
		broken.Store(true)
		var mu sync.Mutex
		var times []time.Duration
		calls := func() []time.Duration {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(times)
		}
		began := time.Now()
		sub := consume(t, r, func(context.Context, *broker.Delivery) error {
			mu.Lock()
			times = append(times, time.Since(began))
			mu.Unlock()
			if broken.Load() {
				return down
			}
			return nil
		}, broker.Circuit{Failures: 3, Pause: 10 * time.Second})
		for i := range 20 {
			r.put(0, message(fmt.Sprint(i), ""))
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if snap := sub.Snapshot(); !errors.Is(snap.Open, down) || len(calls()) != 3 {
			t.Fatalf("after three failures: %d calls, open because of %v", len(calls()), snap.Open)
		}
		time.Sleep(60 * time.Second) // tries after 10, then 20 s more
		synctest.Wait()
		if want := []time.Duration{0, 0, 0, 10 * time.Second, 30 * time.Second}; !slices.Equal(calls(), want) {
			t.Errorf("called at %v, want %v", calls(), want)
		}
		broken.Store(false)
		time.Sleep(10 * time.Second) // 40 s after the last try
		synctest.Wait()
		if snap := sub.Snapshot(); snap.Open != nil || sub.Counts().Succeeded != 15 {
			t.Errorf("open because of %v, %+v", snap.Open, snap.Counts)
		}
		drain(t, sub)
	})
}

func TestCircuitIgnoresRetryAfter(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, func(context.Context, *broker.Delivery) error { return broker.RetryAfter(time.Second, nil) },
			broker.Circuit{Failures: 1, Pause: time.Hour})
		for i := range 5 {
			r.put(0, message(fmt.Sprint(i), ""))
		}
		synctest.Wait()
		drain(t, sub)
		if n := sub.Counts().Released; n != 5 {
			t.Errorf("released: got %d, want 5", n)
		}
	})
}

// Messages that nobody can handle do not stop those that can be.
func TestCircuitIgnoresReject(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, func(_ context.Context, d *broker.Delivery) error {
			if d.ID == "good" {
				return nil
			}
			return broker.Reject(errors.New("cannot be decoded"))
		}, broker.Circuit{Failures: 3, Pause: time.Hour})
		for i := range 5 {
			r.put(0, message(fmt.Sprint(i), ""))
		}
		r.put(0, message("good", ""))
		synctest.Wait()
		if counts := sub.Counts(); counts.Rejected != 5 || counts.Deleted != 1 {
			t.Errorf("%+v, want 5 rejected and one deleted", counts)
		}
		drain(t, sub)
	})
}

// What was in hand as the circuit opened decides nothing, however it ends: the
// trial does, and comes when nothing else is in hand.
func TestCircuitIsDecidedByTheTrial(t *testing.T) {
	for _, fails := range []bool{false, true} {
		t.Run(fmt.Sprintf("the straggler fails=%v", fails), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *fakeReceiver) {
				var mu sync.Mutex
				calls := map[string]time.Duration{}
				began := time.Now()
				sub := consume(t, r, func(_ context.Context, d *broker.Delivery) error {
					mu.Lock()
					calls[d.ID] = time.Since(began)
					mu.Unlock()
					switch {
					case d.ID == "straggler":
						time.Sleep(90 * time.Second)
						if !fails {
							return nil
						}
					case strings.HasPrefix(d.ID, "good"):
						return nil
					case d.ID == "bad 3": // the slots of the others are free by then, and a receive under way
						time.Sleep(time.Second / 2)
					}
					return errors.New("down")
				}, broker.Circuit{Failures: 3, Pause: time.Minute}, broker.Concurrency(4))
				r.put(0, message("straggler", ""), message("bad 1", ""), message("bad 2", ""), message("bad 3", ""))
				time.Sleep(time.Second)
				r.put(0, message("good 0", "")) // for the receive under way
				synctest.Wait()
				r.put(0, message("good 1", ""), message("good 2", ""))
				time.Sleep(88 * time.Second)
				if n := sub.Counts().Received; n != 5 || sub.Snapshot().Open == nil {
					t.Errorf("%d received, open because of %v", n, sub.Snapshot().Open)
				}
				time.Sleep(10 * time.Second)
				want := map[string]time.Duration{
					"straggler": 0, "bad 1": 0, "bad 2": 0, "bad 3": 0,
					"good 0": time.Second, "good 1": 90 * time.Second, "good 2": 90 * time.Second,
				}
				drain(t, sub)
				if sub.Snapshot().Open != nil || !maps.Equal(calls, want) {
					t.Errorf("open because of %v, called at %v, want %v", sub.Snapshot().Open, calls, want)
				}
			})
		})
	}
}

// A pause that cannot double stays what it is.
func TestCircuitWithTheLongestPause(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, func(context.Context, *broker.Delivery) error { return errors.New("down") },
			broker.Circuit{Failures: 1, Pause: math.MaxInt64})
		for i := range 5 {
			r.put(0, message(fmt.Sprint(i), ""))
		}
		time.Sleep(time.Hour)
		if n := sub.Counts().Failed; n != 1 {
			t.Errorf("%d handlers failed, want one: the circuit is open", n)
		}
		drain(t, sub)
	})
}

// A trial whose handler asks for another time has shown that the handler works.
func TestCircuitClosesOnRetryAfter(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		var down atomic.Bool
		down.Store(true)
		sub := consume(t, r, func(context.Context, *broker.Delivery) error {
			if down.Load() {
				return errors.New("down")
			}
			return broker.RetryAfter(time.Second, nil)
		}, broker.Circuit{Failures: 2, Pause: time.Minute}, broker.Concurrency(4))
		for i := range 20 {
			r.put(0, message(fmt.Sprint(i), ""))
		}
		time.Sleep(time.Second)
		if sub.Snapshot().Open == nil {
			t.Fatal("the circuit is closed although every handler fails")
		}
		down.Store(false)
		time.Sleep(time.Minute)
		if snap := sub.Snapshot(); snap.Open != nil || snap.Received != 20 {
			t.Errorf("after a trial that asked for another time: open because of %v, %d of 20 received", snap.Open, snap.Received)
		}
		drain(t, sub)
	})
}

// Each trial that fails doubles the pause, up to 16 times.
func TestCircuitPauseGrowsToSixteenTimes(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		var pauses []int // in minutes
		last := time.Now()
		sub := consume(t, r, func(context.Context, *broker.Delivery) error {
			pauses = append(pauses, int(time.Since(last)/time.Minute))
			last = time.Now()
			return errors.New("down")
		}, broker.Circuit{Failures: 1, Pause: time.Minute})
		for i := range 9 {
			r.put(0, message(fmt.Sprint(i), ""))
		}
		time.Sleep(24 * time.Hour)
		drain(t, sub)
		if want := []int{0, 1, 2, 4, 8, 16, 16, 16, 16}; !slices.Equal(pauses, want) {
			t.Errorf("pauses of %v minutes, want %v", pauses, want)
		}
	})
}

// Work that a drain interrupts says nothing of the handler.
func TestCircuitIgnoresInterruptedWork(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error {
			<-ctx.Done()
			return ctx.Err()
		}, broker.Circuit{Failures: 1, Pause: time.Hour}, broker.Concurrency(2))
		r.put(time.Hour, message("a", ""), message("b", ""))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if report, _ := sub.Drain(ctx); report.Released != 2 {
			t.Errorf("%+v, want both released", report)
		}
		if err := sub.Snapshot().Open; err != nil {
			t.Errorf("the circuit is open because of %v", err)
		}
	})
}
