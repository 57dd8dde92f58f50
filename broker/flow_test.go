package broker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func succeed(context.Context, *broker.Delivery) error { return nil }

func TestPrefetchHoldsMoreAndKeepsItAlive(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		var running, most atomic.Int32
		sub := consume(t, r, func(context.Context, *broker.Delivery) error {
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(40 * time.Second)
			running.Add(-1)
			return nil
		}, broker.Concurrency(2), broker.Prefetch(4))
		for i := range 8 {
			r.put(30*time.Second, message(fmt.Sprint(i), ""))
		}
		synctest.Wait()
		snap := sub.Snapshot()
		if snap.InFlight != 6 || snap.Running != 2 || snap.Waiting != 4 || snap.Idle != 0 {
			t.Errorf("with 2 slots and a prefetch of 4: %+v", snap)
		}
		time.Sleep(5 * time.Minute)
		drain(t, sub)
		counts := sub.Counts()
		if counts.Deleted != 8 || counts.LeasesLost != 0 || most.Load() != 2 {
			t.Errorf("%d ran at once; %+v", most.Load(), counts)
		}
	})
}

func TestDrainReleasesPrefetched(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, func(context.Context, *broker.Delivery) error { time.Sleep(time.Second); return nil },
			broker.Prefetch(2))
		r.put(30*time.Second, message("a", ""), message("b", ""), message("c", ""))
		synctest.Wait()
		report := drain(t, sub)
		if report.Finished != 1 || report.Released != 2 {
			t.Errorf("report: %+v", report)
		}
		wantLog(t, r, "release c 0s", "release b 0s", "delete a")
	})
}

func TestSetConcurrencyWhileRunning(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, func(context.Context, *broker.Delivery) error { time.Sleep(time.Second); return nil })
		for i := range 40 {
			r.put(0, message(fmt.Sprint(i), ""))
		}
		running := func() int { synctest.Wait(); return sub.Snapshot().Running }
		if n := running(); n != 1 {
			t.Errorf("at first: %d", n)
		}
		for _, want := range []int{8, 3} {
			if err := sub.SetConcurrency(want); err != nil {
				t.Fatal(err)
			}
			time.Sleep(1500 * time.Millisecond)
			if n := running(); n != want {
				t.Errorf("after SetConcurrency(%d): %d", want, n)
			}
		}
		if err := sub.SetConcurrency(0); !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("SetConcurrency(0): %v", err)
		}
		drain(t, sub)
	})
}

func TestPauseAndResume(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, succeed)
		r.put(0, message("a", ""))
		synctest.Wait()
		if err := sub.Pause(); err != nil {
			t.Fatal(err)
		}
		r.put(0, message("b", "")) // the receive under way may still bring it
		synctest.Wait()
		r.put(0, message("c", ""))
		time.Sleep(time.Hour)
		wantLog(t, r, "delete a", "delete b")
		if !sub.Snapshot().Paused {
			t.Error("the snapshot does not say that it is paused")
		}
		if err := sub.Resume(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		wantLog(t, r, "delete a", "delete b", "delete c")
		drain(t, sub)
	})
}

func TestDrainWhilePaused(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, succeed)
		synctest.Wait()
		if err := sub.Pause(); err != nil {
			t.Fatal(err)
		}
		drain(t, sub)
	})
}

func TestRate(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		var at []time.Duration
		began := time.Now()
		sub := consume(t, r, func(context.Context, *broker.Delivery) error {
			at = append(at, time.Since(began))
			return nil
		}, broker.Rate(10))
		for i := range 101 {
			r.put(0, message(fmt.Sprint(i), ""))
		}
		time.Sleep(time.Minute)
		drain(t, sub)
		if len(at) != 101 {
			t.Fatalf("handled %d of 101", len(at))
		}
		// a burst of ten, and then ten a second
		if last := at[100]; last < 9*time.Second || last > 9200*time.Millisecond {
			t.Errorf("101 messages at 10 a second took %v", last)
		}
		for i := 20; i < len(at); i++ {
			if n := at[i] - at[i-10]; n < 900*time.Millisecond {
				t.Errorf("ten messages within %v", n)
			}
		}
	})
}

// slowReceiver takes a while for each receive, like a network, and gives at
// most ten.
type slowReceiver struct {
	*fakeReceiver
	polls, most atomic.Int32
}

func (s *slowReceiver) Receive(ctx context.Context, queue string, limit int, opts ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	s.most.Store(max(s.most.Load(), s.polls.Add(1)))
	defer s.polls.Add(-1)
	time.Sleep(5 * time.Millisecond)
	wait, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	ds, err := s.fakeReceiver.Receive(wait, queue, min(limit, 10), opts...)
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return nil, nil
	}
	return ds, err
}

func TestPollsGrowUnderLoadAndFallToOne(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeReceiver) {
		r := &slowReceiver{fakeReceiver: f}
		for i := range 2000 {
			f.put(0, message(fmt.Sprint(i), ""))
		}
		sub := consume(t, r, succeed, broker.Concurrency(64), broker.Batch(10))
		time.Sleep(time.Minute)
		// six full batches, and one of what is left
		if n := r.most.Load(); n < 2 || n > 7 {
			t.Errorf("at most %d receives at once, want 2 to 7 for 64 slots", n)
		}
		if n := r.polls.Load(); n != 1 {
			t.Errorf("%d receives wait while idle, want 1", n)
		}
		if n := sub.Counts().Deleted; n != 2000 {
			t.Errorf("deleted: got %d, want 2000", n)
		}
		if n := sub.Snapshot().Polls; n != 1 {
			t.Errorf("the snapshot says %d polls", n)
		}
		drain(t, sub)
	})
}

func TestObserver(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		var mu sync.Mutex
		seen := map[string]int{}
		sub := consume(t, r, func(_ context.Context, d *broker.Delivery) error {
			switch d.ID {
			case "slow":
				time.Sleep(20 * time.Second)
			case "fails":
				return errors.New("boom")
			case "rejected":
				return broker.Reject(nil)
			}
			return nil
		}, broker.Concurrency(4), broker.Observer(func(e broker.Event) {
			mu.Lock()
			defer mu.Unlock()
			seen[fmt.Sprint(e.Kind, e.Op)] += e.Messages
			if e.Subject != "q" {
				t.Errorf("%+v", e)
			}
		}))
		r.put(30*time.Second, message("slow", ""), message("fails", ""), message("rejected", ""))
		time.Sleep(time.Minute)
		drain(t, sub)
		want := map[string]int{
			fmt.Sprint(broker.EventReceived): 3, fmt.Sprint(broker.EventHandled): 3, fmt.Sprint(broker.EventExtended): 1,
			fmt.Sprint(broker.EventSettled, "delete"): 1, fmt.Sprint(broker.EventSettled, "release"): 1,
			fmt.Sprint(broker.EventSettled, "reject"): 1,
		}
		for k, n := range want {
			if seen[k] != n {
				t.Errorf("event %s: got %d, want %d", k, seen[k], n)
			}
		}
	})
}

func TestFlowControlNeedsLeases(t *testing.T) {
	p, err := broker.NewDispatcher(t.Context(), "fake", "s", succeed)
	if err != nil {
		t.Fatal(err)
	}
	sub := p.Subscription()
	for name, err := range map[string]error{"Pause": sub.Pause(), "Resume": sub.Resume(), "SetConcurrency": sub.SetConcurrency(3)} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	drain(t, sub)
}

func TestLogMiddleware(t *testing.T) {
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil))
	boom := errors.New("boom")
	d := message("id-1", "")
	d.Body = []byte("secret")
	for _, want := range []error{nil, boom} {
		h := broker.Log(log)(func(context.Context, *broker.Delivery) error { return want })
		if err := h(t.Context(), d); !errors.Is(err, want) {
			t.Errorf("got %v, want the handler's %v", err, want)
		}
	}
	text := out.String()
	if strings.Count(text, "id-1") != 2 || !strings.Contains(text, "level=WARN") || !strings.Contains(text, "boom") || strings.Contains(text, "secret") {
		t.Errorf("logged %s", text)
	}
}

func TestLeaseTimeout(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		began := time.Now()
		h := broker.LeaseTimeout(0.5)(func(ctx context.Context, _ *broker.Delivery) error {
			<-ctx.Done()
			if took := time.Since(began); took != 15*time.Second {
				t.Errorf("cancelled after %v, want half of the lease", took)
			}
			return ctx.Err()
		})
		sub := consume(t, r, h)
		r.put(30*time.Second, message("a", ""))
		time.Sleep(time.Minute)
		drain(t, sub)
	})
	if err := broker.LeaseTimeout(0.5)(succeed)(t.Context(), message("a", "")); err != nil {
		t.Errorf("without a lease: %v", err)
	}
}

func TestLeaseTimeoutRefusesShares(t *testing.T) {
	made := func(share float64) (why any) {
		defer func() { why = recover() }()
		broker.LeaseTimeout(share)
		return nil
	}
	for _, share := range []float64{math.SmallestNonzeroFloat64, 0.5, 1} {
		if why := made(share); why != nil {
			t.Errorf("%v: %v", share, why)
		}
	}
	for _, share := range []float64{0, -0.5, 1.1, 90, math.NaN(), math.Inf(1)} {
		if why, _ := made(share).(string); !strings.Contains(why, "LeaseTimeout") || !strings.Contains(why, fmt.Sprint(share)) {
			t.Errorf("%v: panicked with %q, want the function and the share", share, why)
		}
	}
}

func TestMostConcurrencyAndPrefetch(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, succeed, broker.Concurrency(math.MaxInt), broker.Prefetch(math.MaxInt))
		r.put(0, message("a", ""))
		time.Sleep(time.Minute)
		wantLog(t, r, "delete a")
		drain(t, sub)
	})
}

// A rate's burst is a second's worth, also after a receive that waited long.
func TestRateAfterAnIdleReceive(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, succeed, broker.Concurrency(100), broker.Rate(10))
		time.Sleep(time.Minute) // in which the receive under way has its tokens
		var ds []*broker.Delivery
		for i := range 100 {
			ds = append(ds, message(fmt.Sprint(i), ""))
		}
		r.put(0, ds...)
		synctest.Wait()
		if got := sub.Counts().Received; got != 10 {
			t.Errorf("taken in at once: %d, want 10", got)
		}
		time.Sleep(time.Second)
		if got := sub.Counts().Received; got < 19 || got > 20 {
			t.Errorf("taken in after a second: %d, want 20", got)
		}
		drain(t, sub)
	})
}
