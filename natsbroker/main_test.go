package natsbroker_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for. It is reached by failures only.
const patience = 10 * time.Second

// startServer runs a server in this process, on a port of its own choice
// unless the options name one.
func startServer(tb testing.TB, change ...func(*server.Options)) *server.Server {
	tb.Helper()
	o := &server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true}
	for _, c := range change {
		c(o)
	}
	s, err := server.NewServer(o)
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		tb.Fatal("the server does not start")
	}
	tb.Cleanup(func() { stopServer(s) })
	return s
}

func stopServer(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// dial connects with nats.go itself.
func dial(tb testing.TB, s *server.Server, opts ...nats.Option) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect(s.ClientURL(), opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

// newBroker makes a Broker on a connection of its own.
func newBroker(tb testing.TB, s *server.Server, o *natsbroker.Options, opts ...nats.Option) *natsbroker.Broker {
	tb.Helper()
	return brokerOn(tb, dial(tb, s, opts...), o)
}

func brokerOn(tb testing.TB, nc *nats.Conn, o *natsbroker.Options) *natsbroker.Broker {
	tb.Helper()
	b, err := natsbroker.New(nc, o)
	if err != nil {
		tb.Fatal(err)
	}
	closeAtEnd(tb, b)
	return b
}

// closeAtEnd closes b when the test is over, also if a handler hangs.
func closeAtEnd(tb testing.TB, b *natsbroker.Broker) {
	tb.Helper()
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(tb.Context()), patience)
		defer cancel()
		_ = b.Close(ctx)
	})
}

func soon(tb testing.TB) context.Context {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), patience)
	tb.Cleanup(cancel)
	return ctx
}

// receive takes one value, or fails.
func receive[T any](tb testing.TB, from <-chan T, what string) T {
	tb.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		tb.Fatalf("waited in vain for %s", what)
		panic("unreachable")
	}
}

// eventually polls a server's state, which has no other way of being awaited.
func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	within(tb, patience, what, holds)
}

// within is eventually, for what takes longer.
func within(tb testing.TB, limit time.Duration, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !holds(); <-tick.C {
		if time.Now().After(end) {
			tb.Fatalf("never came true: %s", what)
		}
	}
}

func subscribe(tb testing.TB, s broker.Subscriber, subject string, h broker.Handler, opts ...broker.SubscribeOption) *broker.Subscription {
	tb.Helper()
	sub, err := s.Subscribe(soon(tb), subject, h, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	return sub
}

func publish(tb testing.TB, p broker.Publisher, m broker.Message) {
	tb.Helper()
	if _, err := p.Publish(soon(tb), m); err != nil {
		tb.Fatal(err)
	}
}

// inbox is a handler that hands its deliveries over.
func inbox(size int) (broker.Handler, <-chan *broker.Delivery) {
	got := make(chan *broker.Delivery, size)
	return func(_ context.Context, d *broker.Delivery) error {
		got <- d
		return nil
	}, got
}

func discard(context.Context, *broker.Delivery) error { return nil }

// errorLog is an OnError that remembers.
type errorLog struct {
	mu   sync.Mutex
	errs []error
	rang chan error // each error once more
}

func newErrorLog() *errorLog { return &errorLog{rang: make(chan error, 100)} }

func (l *errorLog) option() broker.OnError {
	return func(_ context.Context, _ *broker.Delivery, err error) {
		l.mu.Lock()
		l.errs = append(l.errs, err)
		l.mu.Unlock()
		l.rang <- err
	}
}

// raw sends bytes over a connection without a client.
func raw(tb testing.TB, s *server.Server, protocol string) {
	tb.Helper()
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "CONNECT {\"headers\":true,\"verbose\":false}\r\n"+protocol+"PING\r\n"); err != nil {
		tb.Fatal(err)
	}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if lines.Text() == "PONG" {
			return
		}
	}
	tb.Fatal("the server did not answer")
}
