package natsbroker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

func TestPublishCarriesTheMessage(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil)
	h, got := inbox(1)
	subscribe(t, newBroker(t, s, nil), "orders.*", h)

	body := []byte("body")
	receipt, err := b.Publish(t.Context(), broker.Message{
		Subject: "orders.placed", Body: body, ReplyTo: "answers", Header: broker.Header{"Trace-Id": "1", "trace-id": "2", "e": ""},
	})
	if err != nil || receipt != (broker.Receipt{Outcome: broker.OutcomeSent}) {
		t.Fatalf("got %+v and %v, want sent", receipt, err)
	}
	copy(body, "XXXX") // the caller may reuse it
	d := receive(t, got, "the message")
	if d.Subject != "orders.placed" || d.Source != "orders.*" || string(d.Body) != "body" || d.ReplyTo != "answers" {
		t.Errorf("got %+v", d)
	}
	if d.Attempt != 0 || d.ID != "" || !d.Time.IsZero() || d.Sequence.Present() {
		t.Errorf("core NATS tells none of: %+v", d)
	}
	if len(d.Header) != 3 || d.Header["Trace-Id"] != "1" || d.Header["trace-id"] != "2" || d.Header["e"] != "" {
		t.Errorf("got header %v", d.Header)
	}
}

func TestPublishRefusesBadInput(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, &natsbroker.Options{Subjects: map[string]string{"all": "orders.>"}})
	long := strings.Repeat("a", 4001)
	half := strings.Repeat("a", 2001)
	tests := []struct {
		name     string
		m        broker.Message
		field    string
		tooLarge bool
	}{
		{"empty subject", broker.Message{}, "Subject", false},
		{"empty token", broker.Message{Subject: "a..b"}, "Subject", false},
		{"ends in a dot", broker.Message{Subject: "a."}, "Subject", false},
		{"begins with a dot", broker.Message{Subject: ".a"}, "Subject", false},
		{"space", broker.Message{Subject: "a b"}, "Subject", false},
		{"line break", broker.Message{Subject: "a\r\nPUB b 0"}, "Subject", false},
		{"NUL", broker.Message{Subject: "a\x00"}, "Subject", false},
		{"star", broker.Message{Subject: "a.*"}, "Subject", false},
		{"rest", broker.Message{Subject: "a.>"}, "Subject", false},
		{"wildcard from the table", broker.Message{Subject: "all"}, "Subject", false},
		{"long subject", broker.Message{Subject: long}, "Subject", true},
		{"bad reply subject", broker.Message{Subject: "a", ReplyTo: "b.*"}, "ReplyTo", false},
		{"two halves of a long line", broker.Message{Subject: half, ReplyTo: half}, "ReplyTo", true},
		{"header key", broker.Message{Subject: "a", Header: broker.Header{"a:b": "c"}}, "Header", false},
		{"header injection", broker.Message{Subject: "a", Header: broker.Header{"a": "b\r\nc: d"}}, "Header[a]", false},
		{"header that keeps it from being delivered", broker.Message{Subject: "a", Header: broker.Header{"Nats-Trace-Only": "true"}}, "Header", false},
		{"header NUL", broker.Message{Subject: "a", Header: broker.Header{"a": "\x00"}}, "Header[a]", false},
		{"header that would be trimmed", broker.Message{Subject: "a", Header: broker.Header{"a": " b"}}, "Header[a]", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			receipt, err := b.Publish(t.Context(), tt.m)
			field, ok := errors.AsType[*broker.FieldError](err)
			if !ok || field.Field != tt.field || !errors.Is(err, broker.ErrInvalid) || receipt.Outcome != broker.OutcomeUnknown {
				t.Fatalf("got %+v and %v, want a FieldError for %s", receipt, err, tt.field)
			}
			if errors.Is(err, broker.ErrTooLarge) != tt.tooLarge {
				t.Errorf("too large: got %v, want %v", !tt.tooLarge, tt.tooLarge)
			}
			if len(err.Error()) > 300 {
				t.Errorf("the error shows all of the value: %d bytes", len(err.Error()))
			}
		})
	}
	// The connection survived all that.
	if err := b.Ping(soon(t)); err != nil {
		t.Error(err)
	}
	if got := b.Conn().Stats().OutMsgs; got != 0 {
		t.Errorf("%d messages were sent, want 0", got)
	}
}

func TestPublishRefusesFieldsThatItCannotHonour(t *testing.T) {
	s := startServer(t)
	all := broker.Message{Subject: "a", Key: "k", Tenant: "t", DedupID: "d", Delay: time.Second, TTL: time.Second}
	b := newBroker(t, s, nil)
	for _, m := range []broker.Message{
		{Subject: "a", Key: "k"}, {Subject: "a", Tenant: "t"}, {Subject: "a", DedupID: "d"},
		{Subject: "a", Delay: time.Second}, {Subject: "a", Delay: -1}, {Subject: "a", TTL: time.Second},
	} {
		_, err := b.Publish(t.Context(), m)
		unsupported, ok := errors.AsType[*broker.UnsupportedError](err)
		if !ok || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%v: got %v, want an UnsupportedError", m.Fields(), err)
			continue
		}
		if unsupported.What != "Message."+m.Fields().String() || unsupported.Why == "" || unsupported.Instead == "" {
			t.Errorf("%v: says too little: %v", m.Fields(), err)
		}
	}
	all.ReplyTo = "r"
	h, got := inbox(1)
	subscribe(t, b, "a", h)
	lenient := newBroker(t, s, &natsbroker.Options{Ignore: all.Fields() &^ broker.FieldReplyTo})
	publish(t, lenient, all)
	if d := receive(t, got, "the message"); d.ReplyTo != "r" {
		t.Errorf("ReplyTo is lost: %+v", d)
	}
}

func TestPublishUpToMaxPayloadAndNotOneByteMore(t *testing.T) {
	const limit = 1000
	s := startServer(t, func(o *server.Options) { o.MaxPayload = limit })
	b := newBroker(t, s, nil)
	h, got := inbox(2)
	subscribe(t, b, "a", h)
	header := broker.Header{"k": "value"}
	headerSize := len("NATS/1.0\r\nk: value\r\n\r\n")
	tests := []struct {
		name   string
		header broker.Header
		size   int
	}{
		{"body", nil, limit},
		{"body and header", header, limit - headerSize},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := broker.Message{Subject: "a", Body: make([]byte, tt.size), Header: tt.header}
			publish(t, b, m)
			if d := receive(t, got, "the message"); len(d.Body) != tt.size {
				t.Errorf("got %d bytes, want %d", len(d.Body), tt.size)
			}
			m.Body = make([]byte, tt.size+1)
			_, err := b.Publish(t.Context(), m)
			wantTooLarge(t, err)
			_, err = b.Request(t.Context(), m)
			wantTooLarge(t, err)
			_, err = b.PublishBatch(t.Context(), []broker.Message{m})
			wantTooLarge(t, err)
		})
	}
	if err := b.Ping(soon(t)); err != nil {
		t.Error(err)
	}
}

func wantTooLarge(t *testing.T, err error) {
	t.Helper()
	field, ok := errors.AsType[*broker.FieldError](err)
	if !ok || !errors.Is(err, broker.ErrTooLarge) || !errors.Is(err, broker.ErrInvalid) || field.Field != "Body" {
		t.Fatalf("got %v, want a FieldError for Body that matches ErrTooLarge", err)
	}
	if !strings.Contains(field.Value, "1001") && !strings.Contains(field.Limit, "1000") {
		t.Errorf("names neither size nor limit: %v", err)
	}
}

// nats.go would buffer a message of any size, and lose the connection for good
// when it sends that.
func TestPublishBeforeTheFirstConnectionIsRefused(t *testing.T) {
	address := freeAddress(t)
	connected := make(chan struct{})
	nc, err := nats.Connect("nats://"+address.String(), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1),
		nats.ReconnectWait(time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ConnectHandler(func(*nats.Conn) { close(connected) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	b := brokerOn(t, nc, nil)
	_, err = b.Publish(t.Context(), broker.Message{Subject: "a", Body: make([]byte, 2<<20)})
	if !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrOutcomeUnknown) {
		t.Fatalf("got %v, want ErrUnavailable and nothing sent", err)
	}
	startServer(t, func(o *server.Options) { o.Port = address.Port })
	receive(t, connected, "the connection")
	publish(t, b, broker.Message{Subject: "a"})
	if err := b.Flush(soon(t)); err != nil {
		t.Error(err)
	}
}

func freeAddress(t *testing.T) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr)
}

func TestPublishWithAContextThatHasEnded(t *testing.T) {
	b := newBroker(t, startServer(t), nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Publish(ctx, broker.Message{Subject: "a"})
	if !errors.Is(err, context.Canceled) || errors.Is(err, broker.ErrOutcomeUnknown) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if _, err := b.PublishBatch(ctx, []broker.Message{{Subject: "a"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if got := b.Conn().Stats().OutMsgs; got != 0 {
		t.Errorf("%d messages were sent, want 0", got)
	}
}

func TestPublishOnAClosedConnection(t *testing.T) {
	b := newBroker(t, startServer(t), nil)
	b.Conn().Close()
	_, err := b.Publish(t.Context(), broker.Message{Subject: "a"})
	if !errors.Is(err, broker.ErrClosed) || !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("got %v, want ErrClosed with nats.go's error as its cause", err)
	}
}

func TestPublishBatchKeepsOrder(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil)
	h, got := inbox(100)
	subscribe(t, newBroker(t, s, nil), "a", h)
	var batch []broker.Message
	for i := range 100 {
		batch = append(batch, broker.Message{Subject: "a", Body: fmt.Append(nil, i)})
	}
	receipts, err := b.PublishBatch(t.Context(), batch)
	if err != nil || len(receipts) != 100 {
		t.Fatalf("got %d receipts and %v", len(receipts), err)
	}
	for i := range batch {
		if receipts[i].Outcome != broker.OutcomeSent {
			t.Errorf("item %d: %v, want sent", i, receipts[i].Outcome)
		}
		if d := receive(t, got, "a message"); string(d.Body) != fmt.Sprint(i) {
			t.Fatalf("got %s, want %d", d.Body, i)
		}
	}
	if receipts, err := b.PublishBatch(t.Context(), nil); len(receipts) != 0 || err != nil {
		t.Errorf("an empty batch: got %v and %v", receipts, err)
	}
}

func TestPublishBatchChecksAllBeforeItSendsOne(t *testing.T) {
	b := newBroker(t, startServer(t), nil)
	receipts, err := b.PublishBatch(t.Context(), []broker.Message{{Subject: "a"}, {Subject: "a.*"}, {Subject: "b", Key: "k"}})
	if _, ok := errors.AsType[*broker.BatchError](err); !ok || len(receipts) != 3 {
		t.Fatalf("got %d receipts and %v, want a BatchError", len(receipts), err)
	}
	for i, want := range []error{broker.ErrSkipped, broker.ErrInvalid, errors.ErrUnsupported} {
		if got := broker.ItemError(err, i); !errors.Is(got, want) {
			t.Errorf("item %d: got %v, want %v", i, got, want)
		}
	}
	if mayPass(broker.ItemError(err, 0)) {
		t.Error("what stands behind bad input may not pass")
	}
	if got := b.Conn().Stats().OutMsgs; got != 0 {
		t.Errorf("%d messages were sent, want 0", got)
	}
}

// mayPass reports whether an error says that the same call may succeed later.
func mayPass(err error) bool {
	e, ok := errors.AsType[*broker.Error](err)
	return ok && e.Retryable
}

func TestPublishBatchOnAFullBuffer(t *testing.T) {
	s := startServer(t)
	disconnected := make(chan struct{}, 10)
	b := newBroker(t, s, nil, nats.ReconnectBufSize(-1), nats.ReconnectWait(time.Hour),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { disconnected <- struct{}{} }))
	stopServer(s)
	receive(t, disconnected, "the disconnect")
	receipts, err := b.PublishBatch(t.Context(), []broker.Message{{Subject: "a"}, {Subject: "a"}, {Subject: "b"}})
	for i, want := range []error{broker.ErrUnavailable, broker.ErrSkipped, broker.ErrUnavailable} {
		if got := broker.ItemError(err, i); !errors.Is(got, want) || errors.Is(got, broker.ErrOutcomeUnknown) {
			t.Errorf("item %d: got %v, want %v", i, got, want)
		}
		if receipts[i].Outcome != broker.OutcomeUnknown {
			t.Errorf("item %d: got %v, want no outcome", i, receipts[i].Outcome)
		}
		if !mayPass(broker.ItemError(err, i)) {
			t.Errorf("item %d: %v may pass", i, err)
		}
	}
}

// Without headers, publishing costs no allocation beyond nats.go's own, which
// are none.
func TestPublishDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	b := discardingBroker(t)
	m := broker.Message{Subject: "orders.placed.eu.west", Body: make([]byte, 128)}
	ctx := t.Context()
	allocs := testing.AllocsPerRun(1000, func() {
		if _, err := b.Publish(ctx, m); err != nil {
			t.Error(err)
		}
	})
	if allocs != 0 {
		t.Errorf("got %v allocations a publish, want 0", allocs)
	}
}
