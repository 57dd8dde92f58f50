package queue_test

import (
	"errors"
	"testing"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

func TestAgain(t *testing.T) {
	tests := []struct {
		name   string
		before func(e *queue.Engine, got []queue.Message) error
		lease  time.Duration
		want   error
	}{
		{name: "as it was", lease: -1},
		{name: "after a part of the lease", lease: -1, before: func(*queue.Engine, []queue.Message) error {
			time.Sleep(29 * time.Second)
			return nil
		}},
		{name: "after the lease", want: queue.ErrExpired, before: func(*queue.Engine, []queue.Message) error {
			time.Sleep(30 * time.Second)
			return nil
		}},
		{name: "one was received anew", want: queue.ErrExpired, before: func(e *queue.Engine, _ []queue.Message) error {
			time.Sleep(30 * time.Second)
			_, err := e.Receive(t.Context(), "q", 2, 0, -1)
			return err
		}},
		{name: "one was deleted", want: queue.ErrGone, before: func(e *queue.Engine, got []queue.Message) error {
			return e.Delete("q", got[1].Receipt)
		}},
		{name: "one was extended", want: queue.ErrGone, before: func(e *queue.Engine, got []queue.Message) error {
			_, err := e.Extend("q", got[1].Receipt, time.Hour)
			return err
		}},
		{name: "the lease is too long", lease: 2 * time.Hour, want: queue.ErrTooLong},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := queue.Config{FIFO: true, Visibility: 30 * time.Second, MaxLease: time.Hour}
			bubble(t, config, func(t *testing.T, e *queue.Engine) {
				mustSend(t, e, "q", queue.Send{ID: "1"})
				mustSend(t, e, "q", queue.Send{ID: "2"})
				got := mustReceive(t, e, "q", "1 2")
				if tt.before != nil {
					if err := tt.before(e, got); err != nil {
						t.Fatal(err)
					}
				}
				held, err := e.Peek("q", queue.InFlight, 10)
				if err != nil {
					t.Fatal(err)
				}
				again, err := e.Again("q", got, tt.lease)
				if !errors.Is(err, tt.want) {
					t.Fatalf("got %v, want %v", err, tt.want)
				}
				if err != nil { // then nothing is changed
					now, err := e.Peek("q", queue.InFlight, 10)
					if err != nil || len(now) != len(held) {
						t.Fatalf("in flight %d, %v, want %d", len(now), err, len(held))
					}
					for i := range now {
						same(t, now[i], held[i])
					}
					return
				}
				for i := range got {
					got[i].LeaseEnd = time.Now().Add(30 * time.Second)
					same(t, again[i], got[i])
				}
				time.Sleep(29999 * time.Millisecond)
				mustReceive(t, e, "q", "")
				time.Sleep(time.Millisecond)
				mustReceive(t, e, "q", "1 2")
			})
		})
	}
}
