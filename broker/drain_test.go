package broker_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func TestDrainFinishesWorkOnLiveContext(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error {
			<-broker.Draining(ctx)
			time.Sleep(time.Second)
			return ctx.Err() // nil: a drain alone does not cancel
		}, broker.Concurrency(2))
		r.put(0, message("a", ""))
		r.put(0, message("b", ""))
		synctest.Wait()
		r.put(0, message("c", "")) // no slot: stays in the queue
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		report, err := sub.Drain(ctx)
		if want := (broker.Report{Subject: "q", Finished: 2}); report != want || err != nil {
			t.Errorf("Drain() = %+v, %v; want %+v", report, err, want)
		}
		if n := len(r.log()); n != 2 {
			t.Errorf("settled %q, want a and b only", r.log())
		}
		again, err := sub.Drain(ctx)
		if again != report || err != nil {
			t.Errorf("the second Drain() = %+v, %v", again, err)
		}
		select {
		case <-sub.Done():
		default:
			t.Error("Done is not closed after Drain")
		}
		if sub.Err() != nil {
			t.Errorf("Err() = %v after a drain that was asked for", sub.Err())
		}
	})
}

func TestDrainReleasesWhatHasNotStarted(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error {
			<-broker.Draining(ctx)
			time.Sleep(time.Second)
			return nil
		}, broker.Concurrency(10))
		r.put(time.Minute, message("k1", "k"), message("k2", "k"), message("k3", "k"))
		synctest.Wait()
		report := drain(t, sub)
		if want := (broker.Report{Subject: "q", Finished: 1, Released: 2}); report != want {
			t.Errorf("report: got %+v, want %+v", report, want)
		}
		wantLog(t, r, "release k3 0s", "release k2 0s", "delete k1")
		if got, want := sub.Counts(), (broker.Counts{Received: 3, Succeeded: 1, Deleted: 1, Released: 2}); got != want {
			t.Errorf("counts: got %+v, want %+v", got, want)
		}
	})
}

// A receive that is cancelled may still return messages: they must not start.
func TestDrainReleasesWhatALateReceiveBrings(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		late := &lateReceiver{fakeReceiver: r}
		sub := consume(t, late, func(context.Context, *broker.Delivery) error {
			t.Error("a handler started after the drain had begun")
			return nil
		})
		synctest.Wait()
		report := drain(t, sub)
		if report.Released != 1 || report.Abandoned != 0 {
			t.Errorf("report: %+v", report)
		}
		wantLog(t, r, "release late 0s")
	})
}

// lateReceiver hands out a message although its context has ended.
type lateReceiver struct{ *fakeReceiver }

func (*lateReceiver) Receive(ctx context.Context, _ string, _ int, _ ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	<-ctx.Done()
	return []*broker.Delivery{message("late", "")}, nil
}

func TestDrainEndsPausesOfTheIntake(t *testing.T) {
	for name, c := range map[string]struct {
		fails bool
		opts  []broker.SubscribeOption
	}{
		"after a failed receive": {true, nil},
		"by a rate":              {false, []broker.SubscribeOption{broker.Rate(0.001)}},
		"by the circuit":         {false, []broker.SubscribeOption{broker.Circuit{Failures: 1, Pause: time.Hour}}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *fakeReceiver) {
				if c.fails {
					r.receive = func() error { return broker.ErrUnavailable }
				}
				sub := consume(t, r, func(context.Context, *broker.Delivery) error { return errors.New("down") }, c.opts...)
				r.put(0, message("a", ""), message("b", ""))
				time.Sleep(time.Minute)
				synctest.Wait()
				began := time.Now()
				drain(t, sub)
				if took := time.Since(began); took != 0 {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestDrainDeadlineCancelsHandlers(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error {
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), broker.ErrDraining) {
				t.Errorf("cause: %v", context.Cause(ctx))
			}
			return ctx.Err()
		})
		r.put(time.Hour, message("a", ""))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		report, err := sub.Drain(ctx)
		if want := (broker.Report{Subject: "q", Released: 1}); report != want || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain() = %+v, %v; want %+v and DeadlineExceeded", report, err, want)
		}
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %v, want 3s", took)
		}
		wantLog(t, r, "release a 0s") // interrupted work goes back at once
		if got, want := sub.Counts(), (broker.Counts{Received: 1, Failed: 1, Released: 1, Interrupted: 1}); got != want {
			t.Errorf("counts: got %+v, want %+v", got, want)
		}
	})
}

func TestDrainAbandonsAHandlerThatDoesNotReturn(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		gate := make(chan struct{})
		sub := consume(t, r, func(context.Context, *broker.Delivery) error { <-gate; return nil })
		r.put(time.Hour, message("a", ""))
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		report, err := sub.Drain(ctx)
		if report.Abandoned != 1 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Drain() = %+v, %v", report, err)
		}
		if took := time.Since(began); took != 8*time.Second {
			t.Errorf("took %v, want the deadline of 3s and 5s of grace", took)
		}
		beats := r.beats()
		time.Sleep(2 * time.Hour)
		if r.beats() != beats {
			t.Error("an abandoned message's lease was renewed for ever")
		}
		close(gate)
		<-sub.Done()
	})
}

func TestDrainFromAHandler(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		var sub *broker.Subscription
		ready := make(chan struct{})
		sub = consume(t, r, func(ctx context.Context, d *broker.Delivery) error {
			<-ready
			if d.ID == "other" {
				time.Sleep(time.Second)
				return nil
			}
			report, err := sub.Drain(context.WithoutCancel(ctx))
			if err != nil || report.Abandoned != 0 {
				t.Errorf("%s: Drain() = %+v, %v", d.ID, report, err)
			}
			return nil
		}, broker.Concurrency(3))
		r.put(0, message("one", ""), message("two", ""), message("other", ""))
		close(ready)
		<-sub.Done()
		if n := sub.Counts().Deleted; n != 3 {
			t.Errorf("deleted: got %d, want 3", n)
		}
	})
}

func TestDispatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		var told []error
		p, err := broker.NewDispatcher(t.Context(), "fake", "s", func(_ context.Context, d *broker.Delivery) error {
			switch d.ID {
			case "fails":
				return boom
			case "panics":
				panic(boom)
			}
			return nil
		}, broker.OnError(func(_ context.Context, _ *broker.Delivery, err error) { told = append(told, err) }))
		if err != nil {
			t.Fatal(err)
		}
		p.Run(func(context.Context) int { return 3 })
		for _, id := range []string{"works", "fails", "panics"} {
			p.Dispatch(message(id, ""))
		}
		p.Drop(5, fmt.Errorf("%w: 5 messages", broker.ErrDropped))
		p.Tell(broker.ErrThrottled)
		sub := p.Subscription()
		report := drain(t, sub)
		if want := (broker.Report{Subject: "s", Abandoned: 3}); report != want {
			t.Errorf("report: got %+v, want %+v", report, want)
		}
		want := broker.Counts{Received: 3, Succeeded: 1, Failed: 2, Panicked: 1, Dropped: 8, Errors: 1}
		if got := sub.Counts(); got != want {
			t.Errorf("counts: got %+v, want %+v", got, want)
		}
		if len(told) != 4 || !errors.Is(told[1], boom) || !errors.Is(told[2], broker.ErrDropped) || !errors.Is(told[3], broker.ErrThrottled) {
			t.Errorf("told %v", told)
		}
	})
}

func TestDispatcherConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		p, err := broker.NewDispatcher(t.Context(), "fake", "s", func(context.Context, *broker.Delivery) error {
			<-gate
			return nil
		}, broker.Concurrency(2))
		if err != nil {
			t.Fatal(err)
		}
		p.Run(func(context.Context) int { return 0 })
		dispatched := 0
		go func() {
			for range 3 {
				p.Dispatch(message("x", ""))
				dispatched++
			}
		}()
		synctest.Wait()
		if dispatched != 2 {
			t.Errorf("%d were dispatched with two slots", dispatched)
		}
		close(gate)
		synctest.Wait()
		drain(t, p.Subscription())
		if n := p.Subscription().Counts().Succeeded; n != 3 {
			t.Errorf("succeeded: got %d, want 3", n)
		}
	})
}

// A handler that ends the backend's delivering goroutine must not leave a
// subscription that looks alive.
func TestDispatcherGoexitEndsTheSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := broker.NewDispatcher(t.Context(), "fake", "s", func(context.Context, *broker.Delivery) error {
			goexit()
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		stopped := false
		p.Run(func(context.Context) int { stopped = true; return 0 })
		go p.Dispatch(message("x", ""))
		sub := p.Subscription()
		<-sub.Done()
		if !stopped || sub.Err() == nil || !strings.Contains(sub.Err().Error(), "Goexit") {
			t.Errorf("stopped %v, Err() = %v", stopped, sub.Err())
		}
	})
}

func TestDispatcherEndedBeforeRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, err := broker.NewDispatcher(t.Context(), "fake", "s", func(context.Context, *broker.Delivery) error { return nil })
		if err != nil {
			t.Fatal(err)
		}
		p.End(broker.ErrClosed)
		<-p.Subscription().Done()
		stopped := 0
		p.Run(func(context.Context) int { stopped++; return 0 })
		if stopped != 1 {
			t.Errorf("stop was called %d times, want once", stopped)
		}
		if err := p.Subscription().Err(); !errors.Is(err, broker.ErrClosed) {
			t.Errorf("Err() = %v", err)
		}
	})
}

func TestDispatcherRefusesOptions(t *testing.T) {
	h := func(context.Context, *broker.Delivery) error { return nil }
	for _, opt := range []broker.SubscribeOption{broker.Lease(time.Second), broker.Backoff{}, broker.Group("g"), broker.FromNew(), broker.Ordered{}, broker.Backend("b"), strangeOption{}} {
		if _, err := broker.NewDispatcher(t.Context(), "fake", "s", h, opt); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%T: got %v, want an error matching ErrUnsupported", opt, err)
		}
	}
	if _, err := broker.NewDispatcher(t.Context(), "fake", "s", nil); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("a nil handler: %v", err)
	}
}

func TestBackoffDelay(t *testing.T) {
	b := broker.Backoff{Min: time.Second, Max: 10 * time.Second}
	var low, high []time.Duration
	for attempt := range 8 {
		low = append(low, b.Delay(attempt, 0))
		high = append(high, b.Delay(attempt, 1))
	}
	wantLow := slices.Repeat([]time.Duration{time.Second}, 8)
	wantHigh := []time.Duration{
		2 * time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second,
		10 * time.Second, 10 * time.Second, 10 * time.Second, 10 * time.Second,
	}
	if !slices.Equal(low, wantLow) || !slices.Equal(high, wantHigh) {
		t.Errorf("low %v\nhigh %v", low, high)
	}
	for _, c := range []struct {
		b    broker.Backoff
		want time.Duration // of the first attempt, at most
	}{
		{broker.Backoff{}, 2 * time.Second}, {broker.Backoff{Min: 2 * time.Second}, 4 * time.Second},
		{broker.Backoff{Min: 3 * time.Second, Max: 3 * time.Second}, 3 * time.Second},
		{broker.Backoff{Max: 100 * time.Millisecond}, 100 * time.Millisecond}, {broker.Backoff{Min: time.Hour}, time.Hour},
	} {
		if got := c.b.Delay(1, 1); got != c.want {
			t.Errorf("%+v: %v, want %v", c.b, got, c.want)
		}
	}
	if got := (broker.Backoff{}).Delay(1<<40, 1); got != broker.DefaultBackoff.Max {
		t.Errorf("the zero Backoff: %v", got)
	}
	for _, b := range []broker.Backoff{{Min: time.Second, Max: math.MaxInt64}, {Min: 3, Max: math.MaxInt64}} {
		for attempt := range 200 {
			if d, least := b.Delay(attempt, 0.5), b.Delay(attempt-1, 0.5); d < least {
				t.Fatalf("%+v: %v after attempt %d, %v before", b, d, attempt, least)
			}
		}
		if got := b.Delay(200, 0.5); got < math.MaxInt64/2 {
			t.Errorf("%+v: %v, want half of the most at least", b, got)
		}
	}
}

// What the client had received when the drain began is dispatched while the
// intake stops: the drain must wait for it, although nothing ran at its begin.
func TestDrainWaitsForWhatStopDispatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handled := false
		p, err := broker.NewDispatcher(t.Context(), "fake", "s", func(context.Context, *broker.Delivery) error {
			time.Sleep(time.Second)
			handled = true
			return nil
		}, broker.Concurrency(2))
		if err != nil {
			t.Fatal(err)
		}
		p.Run(func(context.Context) int {
			time.Sleep(time.Second)
			p.Dispatch(message("late", ""))
			return 0
		})
		report := drain(t, p.Subscription())
		if !handled || report.Finished != 1 {
			t.Errorf("drained before the last handler returned: %+v", report)
		}
	})
}

// A drain that a handler leaves to a goroutine waits for the others, also after
// that handler has returned.
func TestDrainThatOutlivesItsHandler(t *testing.T) {
	for name, before := range map[string]bool{"begun before it returned": true, "begun afterwards": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *fakeReceiver) {
				var sub *broker.Subscription
				reports := make(chan broker.Report, 1)
				returned := make(chan struct{})
				began := time.Now()
				sub = consume(t, r, func(ctx context.Context, d *broker.Delivery) error {
					if d.ID == "long" {
						time.Sleep(10 * time.Second)
						return nil
					}
					time.Sleep(time.Second)
					go func() {
						if !before {
							<-returned
						}
						report, err := sub.Drain(context.WithoutCancel(ctx))
						if err != nil {
							t.Error(err)
						}
						reports <- report
					}()
					if before {
						<-broker.Draining(ctx)
					}
					return nil
				}, broker.Concurrency(2))
				r.put(time.Minute, message("drains", ""), message("long", ""))
				time.Sleep(2 * time.Second)
				close(returned)
				got, want := <-reports, broker.Report{Subject: "q", Finished: 2}
				if !before {
					want.Finished = 1
				}
				if took := time.Since(began); took != 10*time.Second || got != want {
					t.Errorf("after %v: %+v; want %+v after 10s", took, got, want)
				}
				<-sub.Done()
			})
		})
	}
}

// Two drains of one handler are one handler that is not waited for.
func TestDrainTwiceFromOneHandler(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		var sub *broker.Subscription
		began := time.Now()
		sub = consume(t, r, func(ctx context.Context, d *broker.Delivery) error {
			if d.ID == "long" {
				time.Sleep(10 * time.Second)
				return nil
			}
			time.Sleep(time.Second)
			var both sync.WaitGroup
			for range 2 {
				both.Go(func() {
					if _, err := sub.Drain(ctx); err != nil {
						t.Error(err)
					}
				})
			}
			both.Wait()
			if took := time.Since(began); took != 10*time.Second {
				t.Errorf("drained after %v, want 10s", took)
			}
			return nil
		}, broker.Concurrency(2))
		r.put(time.Minute, message("drains", ""), message("long", ""))
		<-sub.Done()
	})
}
