package memory_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// One message after the other, each once, whatever the handler returns and however
// long it takes; a consumer that is lost is made anew.
func TestJetStreamOrdered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJetStream(t, memory.StreamConfig{}, memory.ConsumerConfig{})
		must(t, b.DeleteConsumer("ORDERS", "c"))
		put(t, b, "1", "2", "3")
		var got []string
		told := 0
		sub, err := b.Subscribe(t.Context(), "orders.*", func(_ context.Context, d *broker.Delivery) error {
			got = append(got, fmt.Sprint(string(d.Body), d.Attempt))
			if !d.LeaseEnd.IsZero() {
				t.Errorf("leased until %v", d.LeaseEnd)
			}
			time.Sleep(time.Hour)
			return errors.New("no good")
		}, broker.Ordered{}, broker.FromSequence(2), broker.OnError(func(context.Context, *broker.Delivery, error) { told++ }))
		must(t, err)
		must(t, b.WaitIdle(t.Context()))
		must(t, b.DeleteConsumer("ORDERS", "ordered-1"))
		put(t, b, "4")
		synctest.Wait() // there is a consumer again
		must(t, b.WaitIdle(t.Context()))
		synctest.Wait()
		if fmt.Sprint(got) != "[21 31 41]" || told != 3 {
			t.Errorf("got %v, %d errors", got, told)
		}
		_, err = sub.Drain(t.Context())
		must(t, err)
		put(t, b, "5")
		synctest.Wait()
		if len(got) != 3 {
			t.Errorf("got %v after the drain", got)
		}
		if _, err := b.Contents("ORDERS/ordered-2"); !errors.Is(err, broker.ErrNotFound) {
			t.Errorf("its consumer is left: %v", err)
		}
	})
}

func TestJetStreamOrderedEndsWithItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJetStream(t, memory.StreamConfig{}, memory.ConsumerConfig{})
		sub, err := b.Subscribe(t.Context(), "orders.*", discard, broker.Ordered{})
		must(t, err)
		must(t, b.DeleteStream("ORDERS"))
		<-sub.Done()
		wantErr(t, sub.Err(), broker.ErrClosed, broker.ErrNotFound)
	})
}

func TestJetStreamOrderedRefuses(t *testing.T) {
	b := newJetStream(t, memory.StreamConfig{Retention: memory.InterestRetention}, memory.ConsumerConfig{})
	must(t, b.CreateStream(memory.StreamConfig{Name: "KEPT", Subjects: []string{"kept"}}))
	for name, test := range map[string]struct {
		subject string
		opts    []broker.SubscribeOption
	}{
		"interest":    {"orders.new", nil},
		"group":       {"kept", []broker.SubscribeOption{broker.Group("g")}},
		"concurrency": {"kept", []broker.SubscribeOption{broker.Concurrency(2)}},
		"lease":       {"kept", []broker.SubscribeOption{broker.Lease(time.Minute)}},
	} {
		_, err := b.Subscribe(t.Context(), test.subject, discard, append(test.opts, broker.Ordered{})...)
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// The handler may drain its own subscription.
func TestJetStreamOrderedDrainsItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJetStream(t, memory.StreamConfig{}, memory.ConsumerConfig{})
		subs := make(chan *broker.Subscription, 1)
		calls := 0
		sub, err := b.Subscribe(t.Context(), "orders.*", func(context.Context, *broker.Delivery) error {
			calls++
			go func() { _, _ = (<-subs).Drain(context.Background()) }()
			time.Sleep(time.Second)
			return nil
		}, broker.Ordered{})
		must(t, err)
		subs <- sub
		put(t, b, "1", "2")
		<-sub.Done()
		if calls != 1 {
			t.Errorf("%d calls", calls)
		}
	})
}
