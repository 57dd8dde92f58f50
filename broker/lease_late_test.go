package broker_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// slowHand is a receive whose messages are long on their way.
type slowHand struct{ *fakeReceiver }

func (s slowHand) Receive(ctx context.Context, queue string, n int, opts ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	ds, err := s.fakeReceiver.Receive(ctx, queue, n, opts...)
	if len(ds) > 0 {
		time.Sleep(10 * time.Second)
	}
	return ds, err
}

// A message whose lease is over as it arrives is somebody else's: its handler
// does not run, and nothing settles it.
func TestLeaseOverOnArrival(t *testing.T) {
	for _, key := range []string{"", "k"} {
		t.Run("key="+key, func(t *testing.T) {
			bubble(t, func(t *testing.T, f *fakeReceiver) {
				var events, told []string
				sub := consume(t, slowHand{f}, func(_ context.Context, d *broker.Delivery) error {
					if d.ID == "late" {
						t.Error("the handler of the late message ran")
					}
					return nil
				}, broker.Observer(func(e broker.Event) {
					if e.Kind == broker.EventLeaseLost && errors.Is(e.Err, broker.ErrLeaseLost) {
						events = append(events, e.Delivery.ID)
					}
				}), broker.OnError(func(_ context.Context, d *broker.Delivery, err error) {
					if errors.Is(err, broker.ErrLeaseLost) {
						told = append(told, d.ID)
					}
				}))
				f.put(10*time.Second, message("late", key))
				time.Sleep(time.Minute)
				f.put(30*time.Second, message("next", key))
				time.Sleep(time.Minute)
				drain(t, sub)
				wantLog(t, f, "delete next")
				if len(events) != 1 || len(told) != 1 || events[0] != "late" || told[0] != "late" {
					t.Errorf("events of a lost lease: %q, told of %q; want the late one once each", events, told)
				}
				if n := sub.Counts(); n.LeasesLost != 1 || n.Received != 2 || n.Succeeded != 1 || n.Failed != 0 {
					t.Errorf("%+v", n)
				}
			})
		})
	}
}

// What has lost its lease while it waited for a slot does not start either.
func TestLeaseLostWhileWaitingForASlot(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		r.extend = func(context.Context, *fakeHandle) error { return broker.ErrLeaseLost }
		var mu sync.Mutex
		var ran, told []string
		sub := consume(t, r, func(_ context.Context, d *broker.Delivery) error {
			ran = append(ran, d.ID)
			if d.ID == "slow" {
				time.Sleep(time.Minute)
			}
			return nil
		}, broker.Prefetch(2), broker.OnError(func(_ context.Context, d *broker.Delivery, err error) {
			if errors.Is(err, broker.ErrLeaseLost) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, d.ID)
			}
		}))
		r.put(time.Hour, message("slow", ""))
		r.put(30*time.Second, message("lost", ""))
		r.put(time.Hour, message("next", ""))
		time.Sleep(time.Hour / 4)
		drain(t, sub)
		wantLog(t, r, "delete slow", "delete next")
		if len(ran) != 2 || ran[1] != "next" || len(told) == 0 || slices.Contains(told, "next") {
			t.Errorf("handlers ran of %q, told of lost leases of %q", ran, told)
		}
		if n := sub.Counts(); n.LeasesLost != 1 || n.Received != 3 || n.Succeeded != 2 {
			t.Errorf("%+v", n)
		}
	})
}
