package natsbroker_test

import (
	"context"
	"errors"
	"testing"

	"github.com/candidmq/candidmq/broker"
)

func TestHealthTellsDrops(t *testing.T) {
	b := newBroker(t, startServer(t), nil)
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
	if err := b.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	close(gate)
	if _, err := sub.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	dropped := int64(sub.Counts().Dropped) //nolint:gosec // at most ten
	h, err := b.Health(t.Context(), "orders.placed")
	if err != nil || dropped == 0 || h.Dropped.V != dropped || h.Ready.State != broker.StateNone {
		t.Errorf("health: %+v, %v; want %d dropped", h, err, dropped)
	}
	if h, err = b.Health(t.Context(), "prices"); err != nil || h.Dropped.String() != "0" {
		t.Errorf("another subject: %+v, %v", h.Dropped, err)
	}
	if _, err := b.Health(t.Context(), "orders.*"); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("a wildcard: %v", err)
	}
}
