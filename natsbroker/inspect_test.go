package natsbroker_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// What a given connection's settings lead to is found; one of ours has nothing.
func TestCoreInspectTellsOfTheConnection(t *testing.T) {
	s := startServer(t)
	tests := []struct {
		name string
		b    *natsbroker.Broker
		want []string
	}{
		{"nats.go's own defaults", newBroker(t, s, nil), []string{"slow-write", "slow-notice", "gives-up"}},
		{"ours", connect(t, s, nil), nil},
		{"by hand", newBroker(t, s, nil, nats.FlusherTimeout(time.Second), nats.PingInterval(time.Second), nats.MaxReconnects(-1)), nil},
		{"no pings", newBroker(t, s, nil, nats.FlusherTimeout(time.Second), nats.PingInterval(-1), nats.MaxReconnects(-1)), []string{"slow-notice"}},
		{"no reconnect", connect(t, s, nil, nats.NoReconnect()), []string{"gives-up"}},
		{"no write deadline", connect(t, s, nil, nats.FlusherTimeout(0)), []string{"slow-write"}},
	}
	for _, tt := range tests {
		found, err := tt.b.Inspect(t.Context(), "a")
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		var codes []string
		for _, f := range found {
			codes = append(codes, f.Code)
			if f.Severity != broker.SeverityWarning || f.Destination != "a" || f.Cause == "" || f.Remedy == "" {
				t.Errorf("%s: got %+v", tt.name, f)
			}
		}
		if !slices.Equal(codes, tt.want) {
			t.Errorf("%s: got %q, want %q", tt.name, codes, tt.want)
		}
	}
	if _, err := tests[1].b.Inspect(t.Context(), "a..b"); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

// Check tells them too, of a subject, a stream's subject and a consumer.
func TestCheckTellsOfTheConnection(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	for destination, d := range map[string]broker.Describer{
		"a": newBroker(t, r.server, nil), "orders.a": r.JetStream, "ORDERS/c": r.JetStream,
	} {
		found, err := broker.Check(soon(t), d, destination, broker.Usage{LossOK: true, Idempotent: true})
		if err != nil {
			t.Fatalf("%s: %v", destination, err)
		}
		for _, code := range []string{"slow-write", "slow-notice", "gives-up"} {
			if !slices.ContainsFunc(found, func(f broker.Finding) bool { return f.Code == code && f.Destination == destination }) {
				t.Errorf("%s: %s is not among the findings:\n%v", destination, code, found)
			}
		}
	}
}
