package natsbroker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

func TestSubscribeIsActiveWhenItReturns(t *testing.T) {
	s := startServer(t)
	publisher, subscriber := newBroker(t, s, nil), newBroker(t, s, nil)
	for i := range 100 {
		subject := fmt.Sprintf("s%d", i)
		h, got := inbox(1)
		subscribe(t, subscriber, subject, h)
		publish(t, publisher, broker.Message{Subject: subject})
		receive(t, got, "the message")
	}
}

func TestFanOutAndQueueGroups(t *testing.T) {
	const n = 200
	s := startServer(t)
	b := newBroker(t, s, nil)
	var all, first, second atomic.Int64
	done := make(chan struct{}, 4*n)
	count := func(c *atomic.Int64) broker.Handler {
		return func(context.Context, *broker.Delivery) error {
			c.Add(1)
			done <- struct{}{}
			return nil
		}
	}
	subscribe(t, b, "orders.>", count(&all))
	subscribe(t, b, "orders.*", count(&all))
	subscribe(t, b, "orders.placed", count(&first), broker.Group("g"))
	subscribe(t, newBroker(t, s, nil), "orders.placed", count(&second), broker.Group("g"))
	for range n {
		publish(t, b, broker.Message{Subject: "orders.placed"})
	}
	for range 3 * n {
		receive(t, done, "a delivery")
	}
	if got := all.Load(); got != 2*n {
		t.Errorf("plain subscriptions: got %d, want %d", got, 2*n)
	}
	if a, b := first.Load(), second.Load(); a+b != n || a == 0 || b == 0 {
		t.Errorf("members of the group: got %d and %d, want both to share %d", a, b, n)
	}
}

func TestSubjectsTable(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, &natsbroker.Options{Subjects: map[string]string{"in": "eu.orders.*", "out": "eu.orders.placed", "answers": "eu.answers"}})
	h, got := inbox(1)
	sub := subscribe(t, b, "in", h)
	publish(t, b, broker.Message{Subject: "out", ReplyTo: "answers"})
	if d := receive(t, got, "the message"); d.Subject != "eu.orders.placed" || d.Source != "eu.orders.*" || d.ReplyTo != "eu.answers" {
		t.Errorf("got %+v", d)
	}
	if sub.Subject() != "in" {
		t.Errorf("got %q, want the caller's name", sub.Subject())
	}
}

func TestSubscribeRefusesBadInput(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil)
	tests := []struct {
		name    string
		subject string
		handler broker.Handler
		opts    []broker.SubscribeOption
		want    error
		field   string
	}{
		{"empty", "", discard, nil, broker.ErrInvalid, "Subject"},
		{"empty token", "a..b", discard, nil, broker.ErrInvalid, "Subject"},
		{"rest in the middle", "a.>.b", discard, nil, broker.ErrInvalid, "Subject"}, // the server would close the connection
		{"space", "a b", discard, nil, broker.ErrInvalid, "Subject"},
		{"too long", strings.Repeat("a", 4001), discard, nil, broker.ErrTooLarge, "Subject"}, // as above
		{"too long with the group", strings.Repeat("a", 2001), discard, []broker.SubscribeOption{broker.Group(strings.Repeat("g", 2000))}, broker.ErrTooLarge, "Group"},
		{"no handler", "a", nil, nil, broker.ErrInvalid, "Handler"},
		{"empty group", "a", discard, []broker.SubscribeOption{broker.Group("")}, broker.ErrInvalid, "Group"},
		{"space in group", "a", discard, []broker.SubscribeOption{broker.Group("a b")}, broker.ErrInvalid, "Group"},
		{"concurrency", "a", discard, []broker.SubscribeOption{broker.Concurrency(0)}, broker.ErrInvalid, "Concurrency"},
		{"negative messages", "a", discard, []broker.SubscribeOption{broker.PendingLimits{Messages: -1}}, broker.ErrInvalid, "PendingLimits.Messages"},
		{"negative bytes", "a", discard, []broker.SubscribeOption{broker.PendingLimits{Bytes: -1}}, broker.ErrInvalid, "PendingLimits.Bytes"},
		{"lease", "a", discard, []broker.SubscribeOption{broker.Lease(time.Second)}, errors.ErrUnsupported, ""},
		{"backoff", "a", discard, []broker.SubscribeOption{broker.Backoff{Max: 1}}, errors.ErrUnsupported, ""},
		{"a stranger's option", "a", discard, []broker.SubscribeOption{strangeOption{}}, errors.ErrUnsupported, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sub, err := b.Subscribe(t.Context(), tt.subject, tt.handler, tt.opts...)
			if sub != nil || !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if field, ok := errors.AsType[*broker.FieldError](err); tt.field != "" && (!ok || field.Field != tt.field) {
				t.Errorf("got %v, want a FieldError for %s", err, tt.field)
			}
		})
	}
	if err := b.Ping(soon(t)); err != nil {
		t.Error(err)
	}
	if got := b.Conn().NumSubscriptions(); got != 0 {
		t.Errorf("%d subscriptions are left over", got)
	}
}

type strangeOption struct{}

func (strangeOption) SubscribeOption() {}

func TestSubscribeNamesAllProblemsAtOnce(t *testing.T) {
	b := newBroker(t, startServer(t), nil)
	_, err := b.Subscribe(t.Context(), "a..b", nil, broker.Group(""), broker.Concurrency(0))
	for _, field := range []string{"Subject", "Group"} {
		if !strings.Contains(fmt.Sprint(err), field) {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func TestSubscribeWithAContextThatHasEnded(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Subscribe(ctx, "a", discard); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestHandlersInheritValuesAndNotTheEnd(t *testing.T) {
	type key struct{}
	b := newBroker(t, startServer(t), nil)
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	got := make(chan error, 1)
	sub, err := b.Subscribe(ctx, "a", func(ctx context.Context, _ *broker.Delivery) error {
		if v := ctx.Value(key{}); v != "value" {
			got <- fmt.Errorf("got %v, want the caller's value", v)
		}
		got <- ctx.Err()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	publish(t, b, broker.Message{Subject: "a"})
	if err := receive(t, got, "the handler"); err != nil {
		t.Error(err)
	}
	select {
	case <-sub.Done():
		t.Error("the subscription ended with the context")
	default:
	}
}

func TestSubscribeThatTheServerDenies(t *testing.T) {
	s := startServer(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{
			Subscribe: &server.SubjectPermission{Deny: []string{"secret", "a>b\"c", "shared g"}},
		}}}
	})
	var asynchronous atomic.Int64
	b := newBroker(t, s, nil, nats.UserInfo("u", "p"), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {
		asynchronous.Add(1)
	}))
	tests := []struct {
		subject string
		group   broker.Group
		denied  bool
	}{
		{"secret", "", true},
		{"secret", "", true}, // again: not taken for the first denial
		{"open", "", false},
		{"secret", "g", true},
		{"open", "g", false},
		{"a>b\"c", "", true}, // quoted by the server
		{"shared", "g", true},
		{"shared", "", false}, // not taken for the denial before
	}
	for _, tt := range tests {
		var opts []broker.SubscribeOption
		if tt.group != "" {
			opts = append(opts, tt.group)
		}
		_, err := b.Subscribe(soon(t), tt.subject, discard, opts...)
		if tt.denied != errors.Is(err, broker.ErrDenied) || tt.denied != errors.Is(err, nats.ErrPermissionViolation) || (err != nil) != tt.denied {
			t.Errorf("%s %s: got %v, want denied: %v", tt.subject, tt.group, err, tt.denied)
		}
	}
	if got := b.Conn().NumSubscriptions(); got != 3 {
		t.Errorf("got %d subscriptions, want the 3 that are allowed", got)
	}
	if asynchronous.Load() == 0 {
		t.Error("the owner's error handler was replaced")
	}
}

func TestErrorsAndPanicsOfHandlersAreTold(t *testing.T) {
	b := newBroker(t, startServer(t), nil)
	boom, log := errors.New("boom"), newErrorLog()
	sub := subscribe(t, b, "a", func(_ context.Context, d *broker.Delivery) error {
		if string(d.Body) == "panic" {
			panic(boom)
		}
		return boom
	}, log.option())
	publish(t, b, broker.Message{Subject: "a"})
	if err := receive(t, log.rang, "the error"); !errors.Is(err, boom) {
		t.Errorf("got %v, want the handler's error", err)
	}
	publish(t, b, broker.Message{Subject: "a", Body: []byte("panic")})
	p, ok := errors.AsType[*broker.PanicError](receive(t, log.rang, "the panic"))
	if !ok || !strings.Contains(string(p.Stack), "TestErrorsAndPanicsOfHandlersAreTold") {
		t.Errorf("got %v, want a PanicError with the handler's stack", p)
	}
	if _, err := sub.Drain(soon(t)); err != nil {
		t.Error(err)
	}
	if c := sub.Counts(); c.Received != 2 || c.Failed != 2 || c.Panicked != 1 {
		t.Errorf("got %+v", c)
	}
}

// The goroutine that would handle the rest is gone.
func TestGoexitInAHandlerEndsTheSubscription(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil)
	leave := make(chan struct{})
	sub := subscribe(t, b, "a", func(context.Context, *broker.Delivery) error {
		<-leave
		runtime.Goexit()
		return nil
	})
	for range 3 {
		publish(t, b, broker.Message{Subject: "a"})
	}
	if err := b.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
	close(leave)
	receive(t, sub.Done(), "the end")
	if c := sub.Counts(); sub.Err() == nil || c.Received != 1 || c.Dropped != 2 {
		t.Errorf("got %v and %+v, want an end with a reason and 2 messages dropped", sub.Err(), c)
	}
	noSubscriptions(t, s, b)
}

// noSubscriptions waits until neither the client nor the server has one left.
func noSubscriptions(t *testing.T, s *server.Server, b *natsbroker.Broker) {
	t.Helper()
	if got := b.Conn().NumSubscriptions(); got != 0 {
		t.Errorf("the client has %d subscriptions left", got)
	}
	eventually(t, "the server has no subscription left", func() bool { return clientSubscriptions(s) == 0 })
}

// clientSubscriptions counts those of clients; the server has its own.
func clientSubscriptions(s *server.Server) int {
	z, err := s.Connz(&server.ConnzOptions{})
	if err != nil {
		return -1
	}
	n := 0
	for _, c := range z.Conns {
		n += int(c.NumSubs)
	}
	return n
}

func TestConcurrency(t *testing.T) {
	const n = 4
	b := newBroker(t, startServer(t), nil)
	entered, leave := make(chan struct{}, n), make(chan struct{})
	sub := subscribe(t, b, "a", func(context.Context, *broker.Delivery) error {
		entered <- struct{}{}
		<-leave
		return nil
	}, broker.Concurrency(n))
	for range n {
		publish(t, b, broker.Message{Subject: "a"})
	}
	for range n {
		receive(t, entered, "a handler beside the others")
	}
	close(leave)
	if report, err := sub.Drain(soon(t)); err != nil || report.Finished+int(sub.Counts().Succeeded) < n {
		t.Errorf("got %+v and %v", report, err)
	}
}

// Messages of foreign publishers: several values of a key reach the native
// message, and none is a reason to fail.
func TestForeignHeaders(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil)
	h, got := inbox(1)
	subscribe(t, b, "a", h)
	foreign := dial(t, s)
	m := &nats.Msg{Subject: "a", Header: nats.Header{"k": {"1", "2"}, "none": {}, "odd": {"\x00\xff\t%"}}}
	if err := foreign.PublishMsg(m); err != nil {
		t.Fatal(err)
	}
	d := receive(t, got, "the message")
	if len(d.Header) != 2 || d.Header["k"] != "1" || d.Header["odd"] != "\x00\xff\t%" {
		t.Errorf("got %q", d.Header)
	}
	var native *nats.Msg
	if !d.As(&native) || len(native.Header["k"]) != 2 || native.Header["k"][1] != "2" {
		t.Errorf("got %v, want both values", native)
	}
	var other *nats.Conn
	if d.As(&other) || d.As(nil) || d.As((**nats.Msg)(nil)) || d.As(native) {
		t.Error("As claims to know a type that it does not")
	}
}

// A message whose headers nats.go cannot parse is delivered without them.
func TestForeignHeadersThatCannotBeParsed(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	h, got := inbox(2)
	subscribe(t, b, "a", h)
	raw(t, s, "HPUB a 20 24\r\nNATS/1.0\r\nnocolon\r\n\rbody\r\n")
	publish(t, b, broker.Message{Subject: "a", Body: []byte("next")})
	if d := receive(t, got, "the broken message"); len(d.Header) != 0 || string(d.Body) != "body" {
		t.Errorf("got %q %q", d.Header, d.Body)
	}
	if d := receive(t, got, "the next message"); string(d.Body) != "next" {
		t.Errorf("got %q", d.Body)
	}
}
