package broker_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// Those behind a message that failed come after it, and soon after it, whatever
// delay it asked for: one that the backend refuses leaves it to its lease.
func TestLaneBehindALongDelay(t *testing.T) {
	const lease = 30 * time.Second
	for _, c := range []struct {
		delay, head, behind time.Duration
	}{
		{time.Minute, time.Minute, time.Minute + 2*time.Second},
		{time.Hour, time.Hour, time.Hour + 2*time.Second},
		{2 * time.Hour, 2 * time.Hour, 2 * time.Hour},
		{12 * time.Hour, 12 * time.Hour, 12 * time.Hour},
		{13 * time.Hour, lease, lease + 2*time.Second}, // SQS refuses it
	} {
		t.Run(fmt.Sprint(c.delay), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := memory.NewSQS(nil)
				if err := q.CreateQueue("q.fifo", memory.QueueOptions{Visibility: lease}); err != nil {
					t.Fatal(err)
				}
				for _, id := range []string{"1", "2", "3"} {
					if _, err := q.Publish(t.Context(), broker.Message{Subject: "q.fifo", Key: "k", DedupID: id, Body: []byte(id)}); err != nil {
						t.Fatal(err)
					}
				}
				began := time.Now()
				var got []string
				sub := consumeFIFO(t, q, func(_ context.Context, d *broker.Delivery) error {
					if string(d.Body) == "1" && d.Attempt == 1 {
						return broker.RetryAfter(c.delay, nil)
					}
					got = append(got, fmt.Sprintf("%s after %v", d.Body, time.Since(began)))
					return nil
				})
				time.Sleep(14 * time.Hour)
				drain(t, sub)
				want := []string{fmt.Sprintf("1 after %v", c.head), fmt.Sprintf("2 after %v", c.behind), fmt.Sprintf("3 after %v", c.behind)}
				if !slices.Equal(got, want) {
					t.Errorf("handled %q, want %q", got, want)
				}
				if err := q.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func consumeFIFO(t *testing.T, q *memory.SQS, h broker.Handler) *broker.Subscription {
	t.Helper()
	sub, err := q.Subscribe(t.Context(), "q.fifo", h, broker.Group("g"), broker.Concurrency(4))
	if err != nil {
		t.Fatal(err)
	}
	return sub
}
