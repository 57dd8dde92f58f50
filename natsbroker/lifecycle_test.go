package natsbroker_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

func TestNewRefusesBadInput(t *testing.T) {
	nc := dial(t, startServer(t))
	tests := []struct {
		name  string
		nc    *nats.Conn
		o     natsbroker.Options
		field string
	}{
		{"no connection", nil, natsbroker.Options{}, "nc"},
		{"time-out", nc, natsbroker.Options{RequestTimeout: -1}, "RequestTimeout"},
		{"ignore", nc, natsbroker.Options{Ignore: broker.FieldReplyTo | broker.FieldKey}, "Ignore"},
		{"no name", nc, natsbroker.Options{Subjects: map[string]string{"": "a"}}, "Subjects"},
		{"no subject", nc, natsbroker.Options{Subjects: map[string]string{"a": ""}}, "Subjects[a]"},
		{"a subject that would close the connection", nc, natsbroker.Options{Subjects: map[string]string{"a": "b.>.c"}}, "Subjects[a]"},
		{"a long subject", nc, natsbroker.Options{Subjects: map[string]string{"a": strings.Repeat("b", 4001)}}, "Subjects[a]"},
		{"bad subject", nc, natsbroker.Options{Subjects: map[string]string{"a": "b..c"}}, "Subjects[a]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := natsbroker.New(tt.nc, &tt.o)
			field, ok := errors.AsType[*broker.FieldError](err)
			if b != nil || !ok || field.Field != tt.field {
				t.Errorf("got %v, want a FieldError for %s", err, tt.field)
			}
		})
	}
	_, err := natsbroker.New(nil, &natsbroker.Options{RequestTimeout: -1, Subjects: map[string]string{"a": ">.b"}})
	for _, field := range []string{"nc", "RequestTimeout", "Subjects[a]"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func TestCloseDrainsAndLeavesTheConnection(t *testing.T) {
	s := startServer(t)
	nc := dial(t, s)
	b := brokerOn(t, nc, nil)
	leave, result := make(chan struct{}), make(chan error, 1)
	entered := make(chan (<-chan struct{}), 1)
	subscribe(t, b, "a", func(ctx context.Context, _ *broker.Delivery) error {
		entered <- broker.Draining(ctx)
		<-leave
		_, err := b.Publish(ctx, broker.Message{Subject: "done"}) // still possible while draining
		result <- err
		return nil
	})
	for i := range 3 {
		subscribe(t, b, "b", discard, broker.Concurrency(i+1))
	}
	publish(t, b, broker.Message{Subject: "a"})
	draining := receive(t, entered, "the handler")
	closed := make(chan error, 3)
	for range cap(closed) { // several at once: each waits for the end
		go func() { closed <- b.Close(soon(t)) }()
	}
	receive(t, draining, "the drain's begin")
	close(leave)
	if err := receive(t, result, "the handler's publish"); err != nil {
		t.Errorf("publishing while the broker drains: %v", err)
	}
	for range cap(closed) {
		if err := receive(t, closed, "Close"); err != nil {
			t.Error(err)
		}
	}
	if nc.IsClosed() {
		t.Error("the connection was closed, and it is not ours")
	}
	noSubscriptions(t, s, b)
	if err := b.Close(t.Context()); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestUseAfterClose(t *testing.T) {
	b := newBroker(t, startServer(t), nil)
	if err := b.Close(soon(t)); err != nil {
		t.Fatal(err)
	}
	m, ctx := broker.Message{Subject: "a"}, t.Context()
	calls := map[string]func() error{
		"Publish":      func() error { _, err := b.Publish(ctx, m); return err },
		"PublishBatch": func() error { _, err := b.PublishBatch(ctx, []broker.Message{m}); return err },
		"Subscribe":    func() error { _, err := b.Subscribe(ctx, "a", discard); return err },
		"Respond":      func() error { _, err := b.Respond(ctx, "a", answer("x")); return err },
		"Request":      func() error { _, err := b.Request(ctx, m); return err },
		"Flush":        func() error { return b.Flush(ctx) },
		"Ping":         func() error { return b.Ping(ctx) },
		"Describe":     func() error { _, err := b.Describe(ctx, "a"); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, broker.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", name, err)
		}
	}
}

func TestCloseAtItsDeadline(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil)
	entered := make(chan struct{})
	subscribe(t, b, "a", func(ctx context.Context, _ *broker.Delivery) error {
		close(entered)
		<-ctx.Done()
		return nil
	})
	publish(t, b, broker.Message{Subject: "a"})
	receive(t, entered, "the handler")
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := b.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
	noSubscriptions(t, s, b)
}

// A subscription ends with the connection, whoever closes that.
func TestTheConnectionIsClosedUnderneath(t *testing.T) {
	for name, end := range map[string]func(*nats.Conn) error{
		"closed":  func(nc *nats.Conn) error { nc.Close(); return nil },
		"drained": (*nats.Conn).Drain,
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, startServer(t), nil)
			idle := subscribe(t, b, "idle", discard)
			entered, leave := make(chan struct{}), make(chan struct{})
			busy := subscribe(t, b, "busy", func(context.Context, *broker.Delivery) error {
				close(entered)
				<-leave
				return nil
			})
			publish(t, b, broker.Message{Subject: "busy"})
			receive(t, entered, "the handler")
			if err := end(b.Conn()); err != nil {
				t.Fatal(err)
			}
			receive(t, idle.Done(), "the idle subscription's end")
			close(leave)
			receive(t, busy.Done(), "the busy subscription's end")
			for _, sub := range []*broker.Subscription{idle, busy} {
				if !errors.Is(sub.Err(), broker.ErrClosed) || !errors.Is(sub.Err(), nats.ErrConnectionClosed) {
					t.Errorf("got %v, want ErrClosed with its cause", sub.Err())
				}
				if _, err := sub.Drain(soon(t)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestSubscribeAndCloseAtOnce(t *testing.T) {
	s := startServer(t)
	for range 20 {
		b := newBroker(t, s, nil)
		var subscribers sync.WaitGroup
		for range 4 {
			subscribers.Go(func() {
				sub, err := b.Subscribe(soon(t), "a", discard)
				if err != nil && !errors.Is(err, broker.ErrClosed) {
					t.Error(err)
				}
				if err == nil {
					receive(t, sub.Done(), "the end that Close brings")
				}
			})
		}
		if err := b.Close(soon(t)); err != nil {
			t.Error(err)
		}
		subscribers.Wait()
		noSubscriptions(t, s, b)
	}
}
