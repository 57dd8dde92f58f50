package brokertest

import (
	"context"
	"fmt"
	"sync"

	"github.com/candidmq/candidmq/broker"
)

func concurrencyCases() []Case {
	return []Case{{
		Name: "concurrency/publishers-and-handlers",
		Rule: "Many publishers and handlers at once lose nothing and make nothing up.",
		run:  concurrentPublishers,
	}, {
		Name:  "concurrency/receivers",
		Rule:  "Many receivers at once get each message once.",
		needs: RoleReceiver, absence: true,
		run: concurrentReceivers,
	}, {
		Name: "concurrency/subscribe-and-drain",
		Rule: "Subscriptions may come and go while others work.",
		run:  concurrentSubscriptions,
	}}
}

// flood publishes from many goroutines, and returns the bodies.
func (d dest) flood(publishers, each int) []string {
	d.Helper()
	var wg sync.WaitGroup
	var want []string
	errs := make(chan error, publishers*each)
	for p := range publishers {
		ms := make([]broker.Message, each)
		for i := range ms {
			body := fmt.Sprintf("%d/%d", p, i)
			ms[i] = d.message(body)
			want = append(want, body)
		}
		wg.Go(func() {
			for _, m := range ms {
				if _, err := d.b.Publish(d.Context(), m); err != nil {
					errs <- err
				}
			}
		})
	}
	d.within("Publish", wg.Wait)
	select {
	case err := <-errs:
		d.Fatalf("Publish: %v", err)
	default:
	}
	return want
}

func concurrentPublishers(e *env) {
	d := e.open(Config{})
	got := make(chan *broker.Delivery, room)
	d.subscribe(func(_ context.Context, m *broker.Delivery) error {
		got <- m
		return nil
	}, broker.Concurrency(8))
	want := d.flood(8, 25)
	in := inbox{d, got}
	e.wantBodies(in.take(len(want)), want)
	e.calm()
	if len(got) > 0 {
		e.Errorf("%d deliveries too many", len(got))
	}
}

func concurrentReceivers(e *env) {
	d := e.open(Config{})
	want := d.flood(4, 25)
	r := e.receiver()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var got []*broker.Delivery
	errs := make(chan error, room)
	for range 4 {
		wg.Go(func() {
			for {
				ds, err := r.Receive(e.Context(), d.name, 10, broker.Wait(e.h.Poll))
				if err == nil && len(ds) == 0 {
					return
				}
				if err == nil {
					err = r.Delete(e.Context(), ds...)
				}
				if err != nil {
					errs <- err
					return
				}
				mu.Lock()
				got = append(got, ds...)
				mu.Unlock()
			}
		})
	}
	e.within("the receivers", wg.Wait)
	select {
	case err := <-errs:
		e.Fatalf("a receiver: %v", err)
	default:
	}
	e.wantBodies(got, want)
}

func concurrentSubscriptions(e *env) {
	d := e.open(Config{})
	in := d.inbox()
	var wg sync.WaitGroup
	errs := make(chan error, room)
	other := e.open(Config{})
	for range 8 {
		wg.Go(func() {
			sub, err := e.b.Subscribe(e.Context(), other.name, discard, other.grouped(nil)...)
			if err == nil {
				_, err = sub.Drain(e.soon())
			}
			if err != nil {
				errs <- err
			}
		})
	}
	want := d.flood(2, 10)
	e.within("the subscriptions", wg.Wait)
	select {
	case err := <-errs:
		e.Fatalf("a subscription: %v", err)
	default:
	}
	want = append(want, d.flood(2, 10)...) // the first must work on when the others have gone
	e.wantBodies(in.take(len(want)), want)
}
