package broker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// What comes for a key while its failed message is released must not run
// before that comes again, whatever the backend holds back.
func TestLaneArrivalWhileReleasing(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		r.settle = func(_ context.Context, op, id string) {
			if op == "release" && id == "k1" {
				r.put(0, message("k2", "k"))
				time.Sleep(time.Second)
			}
		}
		sub := consume(t, r, func(_ context.Context, d *broker.Delivery) error {
			if d.ID == "k1" {
				return errors.New("failed")
			}
			t.Errorf("%s ran", d.ID)
			return nil
		}, broker.Concurrency(2))
		r.put(0, message("k1", "k"))
		time.Sleep(time.Minute)
		drain(t, sub)
		if log := r.log(); len(log) != 2 || log[1] != "release k2 0s" {
			t.Errorf("settled %q, want k1 and k2 released", log)
		}
	})
}
