package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func TestMaxAttempts(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		ran := 0
		sub := consume(t, r, func(context.Context, *broker.Delivery) error { ran++; return errors.New("boom") },
			broker.MaxAttempts(3), broker.Backoff{})
		for attempt := 2; attempt <= 4; attempt++ {
			d := message(fmt.Sprint(attempt), "")
			d.Attempt = attempt
			r.put(0, d)
		}
		synctest.Wait()
		drain(t, sub)
		log := r.log()
		if len(log) != 3 || !strings.HasPrefix(log[0], "release 2 ") || !strings.HasPrefix(log[1], "reject 3 attempts used up") ||
			log[2] != "reject 4 attempts used up" {
			t.Errorf("settled %q", log)
		}
		if ran != 2 {
			t.Errorf("the handler ran %d times, want twice: not at the fourth attempt of three", ran)
		}
	})
}

// A limit that a backend's deliveries do not let count is told of, once.
func TestMaxAttemptsWithoutACount(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		var told []error
		sub := consume(t, r, func(context.Context, *broker.Delivery) error { return errors.New("boom") },
			broker.MaxAttempts(3), broker.OnError(func(_ context.Context, d *broker.Delivery, err error) {
				if d == nil {
					told = append(told, err)
				}
			}))
		for i := range 5 {
			d := message(fmt.Sprint(i), "")
			d.Attempt = 0
			r.put(0, d)
		}
		time.Sleep(time.Minute)
		drain(t, sub)
		if len(told) != 1 || !errors.Is(told[0], errors.ErrUnsupported) || !strings.Contains(told[0].Error(), "MaxAttempts") {
			t.Errorf("told %q, want one error that says that MaxAttempts has no effect", told)
		}
		if n := sub.Counts().Released; n != 5 {
			t.Errorf("released: got %d, want 5", n)
		}
	})
}
