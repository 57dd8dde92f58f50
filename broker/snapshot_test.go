package broker_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func TestSnapshotTellsTheOldest(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, func(context.Context, *broker.Delivery) error {
			time.Sleep(time.Minute)
			return nil
		}, broker.Concurrency(2))
		wantOldest := func(want time.Duration) {
			t.Helper()
			synctest.Wait()
			if got := sub.Snapshot().Oldest; got != want {
				t.Errorf("oldest: got %v, want %v", got, want)
			}
		}
		wantOldest(0)
		r.put(time.Hour, message("a", ""))
		time.Sleep(20 * time.Second)
		r.put(time.Hour, message("b", ""))
		wantOldest(20 * time.Second)
		time.Sleep(50 * time.Second) // a is done
		wantOldest(50 * time.Second)
		time.Sleep(time.Minute)
		wantOldest(0)
		drain(t, sub)
	})
}

func TestCountsTellRedeliveries(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, succeed)
		for attempt := range 4 { // 0: the backend does not count them
			d := message("a", "")
			d.Attempt = attempt
			r.put(0, d)
		}
		synctest.Wait()
		drain(t, sub)
		if c := sub.Counts(); c.Received != 4 || c.Redelivered != 2 {
			t.Errorf("%+v, want two of four redelivered", c)
		}
	})
}
