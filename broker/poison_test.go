package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// order is what the handlers of these tests expect.
type order struct {
	Number int `json:"number"`
}

// poisoned is a queue with a limit of three attempts and ten orders, the first
// of which cannot be decoded; all of one key on a FIFO queue.
func poisoned(t *testing.T, name string) *memory.SQS {
	t.Helper()
	q := memory.NewSQS(nil)
	dead := "dead" + name[len("orders"):]
	err := errors.Join(
		q.CreateQueue(dead, memory.QueueOptions{}),
		q.CreateQueue(name, memory.QueueOptions{DeadLetter: dead, MaxReceives: 3}),
	)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		m := broker.Message{Subject: name, Body: fmt.Appendf(nil, `{"number":%d}`, i)}
		if i == 0 {
			m.Body = []byte("{number: none}")
		}
		if name == "orders.fifo" {
			m.Key, m.DedupID = "customer-1", fmt.Sprint(i)
		}
		if _, err := q.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	return q
}

// A message that cannot be decoded is that message's problem: it rests in the
// dead-letter queue, after one attempt if the handler rejects it and after all
// of them else, and the others are handled, also those of its key.
func TestPoison(t *testing.T) {
	for _, name := range []string{"orders", "orders.fifo"} {
		for how, c := range map[string]struct {
			wrap     func(error) error
			attempts int
		}{
			"rejected": {broker.Reject, 1},
			"failing":  {func(err error) error { return err }, 3},
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					q := poisoned(t, name)
					var mu sync.Mutex
					tries := 0
					var done []int
					sub, err := q.Subscribe(t.Context(), name, func(_ context.Context, d *broker.Delivery) error {
						mu.Lock()
						defer mu.Unlock()
						var o order
						if err := json.Unmarshal(d.Body, &o); err != nil {
							tries++
							return c.wrap(err)
						}
						done = append(done, o.Number)
						return nil
					}, broker.Group("billing"), broker.Concurrency(10))
					if err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Hour)
					drain(t, sub)
					slices.Sort(done)
					if want := []int{1, 2, 3, 4, 5, 6, 7, 8, 9}; !slices.Equal(done, want) || tries != c.attempts {
						t.Errorf("handled %v, and the poison %d times; want %v, and %d times", done, tries, want, c.attempts)
					}
					wantAtRest(t, q, name)
					if err := q.Close(t.Context()); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

func wantAtRest(t *testing.T, q *memory.SQS, name string) {
	t.Helper()
	state, err := q.Contents(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(state.Ready) != 0 || len(state.DeadLetters) != 1 || string(state.DeadLetters[0].Body) != "{number: none}" {
		t.Errorf("%d messages are left, at rest are %v; want the poison alone at rest", len(state.Ready), state.DeadLetters)
	}
}

// Received one by one, no message of a key spends an attempt for another one.
func TestPoisonReceivedOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := poisoned(t, "orders.fifo")
		var attempts []int
		sub, err := q.Subscribe(t.Context(), "orders.fifo", func(_ context.Context, d *broker.Delivery) error {
			if d.Body[1] == 'n' {
				return errors.New("cannot be decoded")
			}
			attempts = append(attempts, d.Attempt)
			return nil
		}, broker.Group("billing"), broker.Concurrency(10), broker.Batch(1))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		drain(t, sub)
		if want := []int{1, 1, 1, 1, 1, 1, 1, 1, 1}; !slices.Equal(attempts, want) {
			t.Errorf("the others were handled at their attempts %v, want %v", attempts, want)
		}
		wantAtRest(t, q, "orders.fifo")
		if err := q.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
