package broker_test

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/candidmq/candidmq/broker"
)

// Room that comes while the poller is about to handle a message itself is seen.
func TestRoomThatComesWhileThePollerTurnsToAMessage(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		var handled atomic.Bool
		sub := consume(t, r, func(ctx context.Context, d *broker.Delivery) error {
			switch d.ID {
			case "quick":
				time.Sleep(time.Second / 2)
			case "long":
				<-broker.Draining(ctx)
			case "last":
				handled.Store(true)
			}
			return nil
		}, broker.Concurrency(2), broker.Observer(func(e broker.Event) {
			if e.Kind == broker.EventReceived {
				time.Sleep(time.Second / 3)
			}
		}))
		r.put(0, message("quick", ""))
		time.Sleep(time.Second / 3)
		r.put(0, message("long", ""))
		time.Sleep(time.Second)
		r.put(0, message("last", ""))
		time.Sleep(time.Minute)
		if !handled.Load() {
			t.Errorf("nobody polls although a slot is idle: %+v", sub.Snapshot())
		}
		drain(t, sub)
	})
}

// Room that comes as the lane of a busy key gets shorter is seen.
func TestRoomThatComesAsALaneGetsShorter(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		began := time.Now()
		var after atomic.Int64
		sub := consume(t, r, func(_ context.Context, d *broker.Delivery) error {
			if d.ID == "other" {
				after.Store(int64(time.Since(began)))
				return nil
			}
			time.Sleep(time.Second)
			return nil
		}, broker.Concurrency(2))
		for _, id := range []string{"k1", "k2", "k3", "k4", "k5"} {
			r.put(0, message(id, "k"))
		}
		synctest.Wait()
		r.put(0, message("other", ""))
		time.Sleep(time.Minute)
		if got := time.Duration(after.Load()); got != time.Second {
			t.Errorf("the message of another key was handled after %v, want 1s", got)
		}
		drain(t, sub)
	})
}

// A hook that ends the goroutine of a message that is at rest leaves the next
// one of its key to another goroutine.
func TestLaneOutlivesItsGoroutine(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, succeed, broker.Concurrency(3), broker.Observer(func(e broker.Event) {
			if e.Kind == broker.EventSettled {
				goexit()
			}
		}))
		r.put(0, message("k1", "k"), message("k2", "k"), message("k3", "k"))
		time.Sleep(time.Minute)
		wantLog(t, r, "delete k1", "delete k2", "delete k3")
		drain(t, sub)
	})
}

// What waits behind a message that ends while the intake still stops does not
// start.
func TestDrainStartsNothingWhileTheIntakeStops(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeReceiver) {
		r := &scriptedReceiver{fakeReceiver: f}
		r.answer = func(ctx context.Context, call, _ int) ([]*broker.Delivery, error) {
			if call == 0 {
				return []*broker.Delivery{message("k1", "k"), message("k2", "k")}, nil
			}
			<-ctx.Done()
			time.Sleep(5 * time.Second)
			return nil, ctx.Err()
		}
		sub := consume(t, r, func(ctx context.Context, d *broker.Delivery) error {
			if d.ID != "k1" {
				t.Errorf("%s started after the drain had begun", d.ID)
			}
			<-broker.Draining(ctx)
			time.Sleep(time.Second)
			return nil
		}, broker.Concurrency(3))
		synctest.Wait()
		if got, want := drain(t, sub), (broker.Report{Subject: "q", Finished: 1, Released: 1}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		wantLog(t, f, "delete k1", "release k2 0s")
	})
}

// Whoever keeps a handler's context keeps that delivery, not those that its
// goroutine has handled since.
func TestContextOfADeliveryDoesNotKeepLaterOnes(t *testing.T) {
	for name, key := range map[string]string{"a lane": "k", "what waited for a slot": ""} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *fakeReceiver) {
				kept := make(chan context.Context, 1)
				sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error {
					select {
					case kept <- ctx:
					default:
					}
					time.Sleep(time.Second)
					return nil
				}, broker.Prefetch(20))
				var later []weak.Pointer[broker.Delivery]
				for i := range 10 {
					d := message(fmt.Sprint(i), key)
					later = append(later, weak.Make(d))
					r.put(0, d)
				}
				time.Sleep(time.Minute)
				drain(t, sub)
				r.mu.Lock()
				r.queue = nil // its array
				r.mu.Unlock()
				runtime.GC()
				left := 0
				for _, d := range later[1:] {
					if d.Value() != nil {
						left++
					}
				}
				if left > 0 {
					t.Errorf("%d of 9 later deliveries are still held", left)
				}
				runtime.KeepAlive(<-kept)
			})
		})
	}
}
