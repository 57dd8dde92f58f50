package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// The counters of a Dispatcher are kept without a lock. While they are read
// and a drain begins, whenever that is: nothing is negative, nothing goes
// back, the drain ends, its report and the counts then tell all.
func TestDispatcherCountsBesideADrain(t *testing.T) {
	for name, concurrency := range map[string]int{"one at a time": 1, "concurrently": 3} {
		t.Run(name, func(t *testing.T) {
			for i := range 500 {
				countBesideADrain(t, concurrency, i%20)
			}
		})
	}
}

func countBesideADrain(t *testing.T, concurrency, before int) {
	t.Helper()
	const messages = 40
	boom := errors.New("boom")
	var handled atomic.Int64
	begin, delivered := make(chan struct{}), make(chan struct{})
	p, err := broker.NewDispatcher(t.Context(), "fake", "s", func(_ context.Context, d *broker.Delivery) error {
		if handled.Add(1) == int64(before) {
			close(begin)
		}
		if d.Attempt > 1 {
			return boom
		}
		return nil
	}, broker.Concurrency(concurrency))
	if err != nil {
		t.Fatal(err)
	}
	p.Run(func(context.Context) int { <-delivered; return 0 })
	if before == 0 {
		close(begin)
	}
	sub := p.Subscription()
	var beside sync.WaitGroup
	beside.Go(func() {
		defer close(delivered)
		for i := range messages {
			p.Dispatch(&broker.Delivery{Attempt: 1 + i%5/4}) // each fifth fails
		}
	})
	beside.Go(func() { watchCounts(t, sub) })
	<-begin
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	report, err := sub.Drain(ctx)
	if err != nil {
		t.Fatalf("%v: %+v", err, sub.Counts())
	}
	beside.Wait()
	if want := (broker.Counts{Received: messages, Redelivered: messages / 5, Succeeded: messages * 4 / 5, Failed: messages / 5}); sub.Counts() != want {
		t.Errorf("got %+v, want %+v", sub.Counts(), want)
	}
	if most := messages - max(before-concurrency, 0); report.Finished > most || report.Abandoned != 0 {
		t.Errorf("got %+v after %d were handled, want at most %d", report, before, most)
	}
}

// watchCounts reads the counts until the subscription is over.
func watchCounts(t *testing.T, sub *broker.Subscription) {
	t.Helper()
	var last broker.Counts
	for {
		c := sub.Snapshot().Counts
		if c.InFlight < 0 || c.Received < last.Received || c.Succeeded < last.Succeeded || c.Received != c.Succeeded+c.Failed+uint64(c.InFlight) {
			t.Errorf("got %+v after %+v", c, last)
		}
		last = c
		select {
		case <-sub.Done():
			return
		default:
		}
	}
}

// Of what was handled before the drain began, the report says nothing; of what
// ran then or came later, it tells each once.
func TestDispatcherReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		leave := make(chan struct{})
		p, err := broker.NewDispatcher(t.Context(), "fake", "s", func(_ context.Context, d *broker.Delivery) error {
			if d.ID == "quick" {
				return nil
			}
			<-leave
			return errors.New("late")
		}, broker.Concurrency(2))
		if err != nil {
			t.Fatal(err)
		}
		sub := p.Subscription()
		p.Run(func(context.Context) int {
			p.Dispatch(message("quick", ""))
			close(leave)
			return 0
		})
		for range 3 {
			p.Dispatch(message("quick", ""))
		}
		p.Dispatch(message("slow", ""))
		synctest.Wait()
		if c := sub.Snapshot(); c.InFlight != 1 || c.Running != 1 || c.Idle != 1 || c.Received != 4 {
			t.Errorf("got %+v with one handler of two", c)
		}
		if got, want := drain(t, sub), (broker.Report{Subject: "s", Finished: 2}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// A hook that ends its goroutine ends nothing else: neither the backend's, nor
// with that the subscription.
func TestDispatcherHookThatEndsItsGoroutine(t *testing.T) {
	for _, concurrency := range []broker.Concurrency{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			p, err := broker.NewDispatcher(t.Context(), "fake", "s", func(context.Context, *broker.Delivery) error {
				return errors.New("boom")
			}, concurrency, broker.OnError(func(context.Context, *broker.Delivery, error) { goexit() }))
			if err != nil {
				t.Fatal(err)
			}
			p.Run(func(context.Context) int { return 0 })
			over := false
			go func() {
				for range 5 {
					p.Dispatch(message("x", ""))
				}
				p.Drop(2, broker.ErrDropped)
				p.Tell(broker.ErrThrottled)
				over = true
			}()
			synctest.Wait()
			report, want := drain(t, p.Subscription()), broker.Counts{Received: 5, Failed: 5, Dropped: 2, Errors: 1}
			if got := p.Subscription().Counts(); got != want || !over || report.Finished != 0 {
				t.Errorf("over %v, got %+v and %+v; want %+v", over, got, report, want)
			}
		})
	}
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
