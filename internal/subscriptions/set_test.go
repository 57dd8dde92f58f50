package subscriptions_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/subscriptions"
)

// running returns a subscription and what its handlers wait for.
func running(t *testing.T, busy bool) (*broker.Subscription, chan struct{}) {
	t.Helper()
	gate := make(chan struct{})
	p, err := broker.NewDispatcher(t.Context(), "fake", "s", func(context.Context, *broker.Delivery) error {
		<-gate
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	p.Run(func(context.Context) int { return 0 })
	if busy {
		go p.Dispatch(&broker.Delivery{})
		synctest.Wait()
	}
	return p.Subscription(), gate
}

func TestCloseDrainsAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var set subscriptions.Set
		idle, _ := running(t, false)
		busy1, gate1 := running(t, true)
		busy2, gate2 := running(t, true)
		for _, sub := range []*broker.Subscription{idle, busy1, busy2} {
			if !set.Add(sub) {
				t.Fatal("an open set refused a subscription")
			}
		}
		time.AfterFunc(time.Second, func() { close(gate1) })
		time.AfterFunc(2*time.Second, func() { close(gate2) })
		began := time.Now()
		if err := set.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("took %v, want 2s: all drain at once", took)
		}
		for _, sub := range []*broker.Subscription{idle, busy1, busy2} {
			<-sub.Done()
		}
		if !set.Closed() || set.Add(idle) {
			t.Error("a closed set takes subscriptions")
		}
		if err := set.Close(t.Context()); err != nil {
			t.Errorf("the second Close: %v", err)
		}
	})
}

func TestCloseReportsTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var set subscriptions.Set
		sub, gate := running(t, true)
		set.Add(sub)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := set.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want DeadlineExceeded", err)
		}
		close(gate)
		if err := set.Close(t.Context()); err != nil {
			t.Errorf("closing again, with the handler done: %v", err)
		}
	})
}

// Ended subscriptions must not pile up in a broker that lives for long.
func TestEndedSubscriptionsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var set subscriptions.Set
		for range 1000 {
			sub, _ := running(t, false)
			if _, err := sub.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
			set.Add(sub)
		}
		if n := set.Len(); n > 16 {
			t.Errorf("%d ended subscriptions are kept", n)
		}
	})
}
