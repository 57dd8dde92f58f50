package memory_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

func TestHealthOfAQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := memory.New(nil)
		defer func() { _ = b.Close(context.Background()) }()
		err := errors.Join(
			b.SQS().CreateQueue("dead", memory.QueueOptions{Retention: 14 * 24 * time.Hour}),
			b.SQS().CreateQueue("q", memory.QueueOptions{DeadLetter: "dead", MaxReceives: 1}),
		)
		if err != nil {
			t.Fatal(err)
		}
		for _, delay := range []time.Duration{0, 0, 0, time.Minute} {
			if _, err := b.Publish(t.Context(), broker.Message{Subject: "q", Body: []byte("x"), Delay: delay}); err != nil {
				t.Fatal(err)
			}
		}
		ds, err := b.Receive(t.Context(), "q", 2)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Reject(t.Context(), "bad", ds[0]); err != nil {
			t.Fatal(err)
		}
		h, err := b.Health(t.Context(), "q")
		if err != nil {
			t.Fatal(err)
		}
		for what, c := range map[string]struct{ got, want string }{
			"ready":       {h.Ready.String(), "1"},
			"in flight":   {h.InFlight.String(), "1"},
			"delayed":     {h.Delayed.String(), "1"},
			"dropped":     {h.Dropped.String(), "none"},
			"oldest":      {h.OldestAge.String(), "unknown"},
			"dead":        {h.DeadLetterReady.String(), "1"},
			"exists":      {h.DeadLetterExists.String(), "yes"},
			"keeps age":   {h.DeadLetterKeepsAge.String(), "yes"},
			"retention":   {h.DeadLetterRetention.String(), "336h"},
			"dead oldest": {h.DeadLetterOldest.String(), "unknown"},
		} {
			if c.got != c.want {
				t.Errorf("%s: got %s, want %s", what, c.got, c.want)
			}
		}
		if h, err = b.Health(t.Context(), "dead"); err != nil || h.DeadLetterExists.State != broker.StateNone {
			t.Errorf("a queue without a dead-letter queue: %+v, %v", h.DeadLetterExists, err)
		}
		if err := b.SQS().DeleteQueue("dead"); err != nil {
			t.Fatal(err)
		}
		if h, err = b.Health(t.Context(), "q"); err != nil || h.DeadLetterExists.String() != "no" || h.DeadLetterReady.String() != "unknown" {
			t.Errorf("with its dead-letter queue gone: %+v, %v", h, err)
		}
		if _, err := b.SQS().Health(t.Context(), "absent"); !errors.Is(err, broker.ErrNotFound) {
			t.Errorf("a queue that does not exist: %v", err)
		}
		b.SQS().FailNext(memory.OpHealth, 1, broker.ErrDenied)
		if _, err := b.Health(t.Context(), "q"); !errors.Is(err, broker.ErrDenied) {
			t.Errorf("FailNext: %v", err)
		}
	})
}

// Looking must not take a message nearer to the dead-letter queue.
func TestHealthDoesNotReceive(t *testing.T) {
	b := memory.NewSQS(nil)
	defer func() { _ = b.Close(context.Background()) }()
	if err := b.CreateQueue("q", memory.QueueOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Publish(t.Context(), broker.Message{Subject: "q", Body: []byte("x")}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := b.Health(t.Context(), "q"); err != nil {
			t.Fatal(err)
		}
	}
	ds, err := b.Receive(t.Context(), "q", 1)
	if err != nil || len(ds) != 1 || ds[0].Attempt != 1 {
		t.Errorf("received %v, %v; want the first attempt", ds, err)
	}
}

func TestHealthOfASubject(t *testing.T) {
	b := memory.NewCoreNATS(nil)
	defer func() { _ = b.Close(context.Background()) }()
	gate := make(chan struct{})
	sub, err := b.Subscribe(t.Context(), "orders.*", func(context.Context, *broker.Delivery) error { <-gate; return nil },
		broker.PendingLimits{Messages: 1})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := b.Publish(t.Context(), broker.Message{Subject: "orders.placed"}); err != nil {
			t.Fatal(err)
		}
	}
	close(gate)
	if _, err := sub.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	h, err := b.Health(t.Context(), "orders.placed")
	if err != nil || h.Dropped.V != 9 || h.Ready.State != broker.StateNone {
		t.Errorf("health: %+v, %v; want 9 dropped", h, err)
	}
	if h, err = b.Health(t.Context(), "prices"); err != nil || h.Dropped.String() != "0" {
		t.Errorf("another subject: %+v, %v", h.Dropped, err)
	}
	if _, err := b.Health(t.Context(), "orders.*"); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("a wildcard: %v", err)
	}
}
