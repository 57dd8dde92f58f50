package broker_test

import (
	"context"
	"errors"
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
