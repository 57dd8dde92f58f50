package natsbroker_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

var confirming = &natsbroker.Options{Confirm: true}

// pingCounter dials connections that count the pings that are written to them.
type pingCounter struct{ pings atomic.Int64 }

func (c *pingCounter) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return &pingedConn{conn, c}, err
}

type pingedConn struct {
	net.Conn
	counter *pingCounter
}

func (c *pingedConn) Write(p []byte) (int, error) {
	c.counter.pings.Add(int64(bytes.Count(p, []byte("PING\r\n"))))
	return c.Conn.Write(p)
}

// A receipt that says "received" is true: what a server has read reaches who
// subscribed before, without a further flush.
func TestCoreConfirmedPublish(t *testing.T) {
	s := startServer(t)
	counter := &pingCounter{}
	b := newBroker(t, s, confirming, nats.SetCustomDialer(counter))
	h, got := inbox(4)
	subscribe(t, newBroker(t, s, nil), "a", h)
	m := broker.Message{Subject: "a"}

	before := counter.pings.Load()
	receipt, err := b.Publish(t.Context(), m)
	if err != nil || receipt != (broker.Receipt{Outcome: broker.OutcomeReceived}) {
		t.Fatalf("got %+v and %v, want received", receipt, err)
	}
	if pings := counter.pings.Load() - before; pings != 1 {
		t.Errorf("%d round trips for one message", pings)
	}
	if err := broker.Require(t.Context(), b, "a", broker.NeedReceived()); err != nil {
		t.Errorf("what is confirmed is received: %v", err)
	}
	before = counter.pings.Load()
	receipts, err := b.PublishBatch(t.Context(), []broker.Message{m, m, m})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range receipts {
		if r.Outcome != broker.OutcomeReceived {
			t.Errorf("item %d: got %v, want received", i, r.Outcome)
		}
	}
	if pings := counter.pings.Load() - before; pings != 1 {
		t.Errorf("%d round trips for a batch of 3, want 1", pings)
	}
	for range 4 {
		receive(t, got, "a message")
	}
	if _, err := b.PublishBatch(t.Context(), nil); err != nil || counter.pings.Load()-before != 1 {
		t.Errorf("an empty batch: %v, or a round trip", err)
	}
}

func TestCoreConfirmedPublishesShareRoundTrips(t *testing.T) {
	const callers, each = 64, 50
	s := startServer(t)
	counter := &pingCounter{}
	b := newBroker(t, s, confirming, nats.SetCustomDialer(counter))
	before := counter.pings.Load()
	var publishers sync.WaitGroup
	for range callers {
		publishers.Go(func() {
			for range each {
				if r, err := b.Publish(t.Context(), broker.Message{Subject: "a"}); err != nil || r.Outcome != broker.OutcomeReceived {
					t.Errorf("got %v and %v, want received", r.Outcome, err)
				}
			}
		})
	}
	publishers.Wait()
	pings := counter.pings.Load() - before
	t.Logf("%d round trips for %d confirmed publishes of %d callers", pings, callers*each, callers)
	if pings > callers*each/4 {
		t.Errorf("%d round trips for %d publishes: they are not shared", pings, callers*each)
	}
}

// A connection that dies between a message and its confirmation.
func TestCoreConfirmedPublishOnALostConnection(t *testing.T) {
	f := startFaultyServer(t, "PUB")
	b := connectTo(t, f.address, confirming, quick)
	receipt, err := b.Publish(soon(t), broker.Message{Subject: "a"})
	if receipt.Outcome != broker.OutcomeUnknown {
		t.Errorf("got %v, want no outcome", receipt.Outcome)
	}
	wantUnknown(t, err, broker.ErrUnavailable)
	receipts, err := b.PublishBatch(soon(t), []broker.Message{{Subject: "a"}, {Subject: "b", ReplyTo: "c"}})
	for i := range receipts {
		wantUnknown(t, broker.ItemError(err, i), broker.ErrUnavailable)
		if receipts[i].Outcome != broker.OutcomeUnknown {
			t.Errorf("item %d: got %v, want no outcome", i, receipts[i].Outcome)
		}
	}
}

// A round trip on a new connection says nothing of what was sent on the old one.
func TestCoreConfirmationIsOfTheSameConnection(t *testing.T) {
	b := newBroker(t, startServer(t), nil, quick)
	reconnect := func() {
		publish(t, b, broker.Message{Subject: "a"})
		if err := b.Conn().ForceReconnect(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the connection is made again", func() bool { return b.Conn().Stats().Reconnects > 0 && b.Conn().IsConnected() })
	}
	if err := b.AwaitReceived(soon(t), reconnect); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the loss of the connection", err)
	}
	if err := b.AwaitReceived(soon(t), func() { publish(t, b, broker.Message{Subject: "a"}) }); err != nil {
		t.Error(err)
	}
}

// faultyServer greets, answers pings, and hangs up when it reads the word.
type faultyServer struct {
	address string
	conns   sync.WaitGroup
}

func startFaultyServer(t *testing.T, word string) *faultyServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &faultyServer{address: "nats://" + l.Addr().String()}
	f.conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f.conns.Go(func() { serve(conn, word) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		f.conns.Wait()
	})
	return f
}

func serve(conn net.Conn, word string) {
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, `INFO {"server_id":"x","version":"2.15.2","proto":1,"headers":true,"max_payload":1048576}`+"\r\n")
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		switch line := lines.Text(); {
		case strings.HasPrefix(line, word):
			return
		case strings.HasPrefix(line, "PING"):
			_, _ = io.WriteString(conn, "PONG\r\n")
		}
	}
}

// quick reconnects at once.
var quick = nats.CustomReconnectDelay(func(int) time.Duration { return time.Millisecond })

// A peer that does not answer holds a publish to its context only.
func TestCoreConfirmedPublishEndsWithItsContext(t *testing.T) {
	s := startServer(t)
	b := connect(t, s, confirming, quick)
	publish(t, b, broker.Message{Subject: "a"})
	port := s.Addr().(*net.TCPAddr).Port
	stopServer(s)
	eventually(t, "the connection is down", func() bool { return !b.Conn().IsConnected() })
	waiting := func() bool {
		buffered, err := b.Conn().Buffered()
		return err == nil && buffered > 0
	}
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() {
		_, err := b.Publish(ctx, broker.Message{Subject: "a"})
		result <- err
	}()
	eventually(t, "the message waits", waiting)
	cancel()
	wantUnknown(t, receive(t, result, "the end"), context.Canceled)

	// One that may wait outlasts the reconnect.
	go func() {
		r, err := b.Publish(soon(t), broker.Message{Subject: "a"})
		if err == nil && r.Outcome != broker.OutcomeReceived {
			err = errors.New(r.Outcome.String())
		}
		result <- err
	}()
	startServer(t, func(o *server.Options) { o.Port = port })
	if err := receive(t, result, "the confirmation"); err != nil {
		t.Error(err)
	}
}

// Close does not wait for those who have all the time in the world.
func TestCoreConfirmedPublishEndsWithItsBroker(t *testing.T) {
	s := startServer(t)
	nc := dial(t, s, nats.MaxReconnects(-1), nats.ReconnectWait(time.Hour))
	b := brokerOn(t, nc, &natsbroker.Options{Confirm: true, RequestTimeout: time.Millisecond})
	publish(t, b, broker.Message{Subject: "a"})
	takeDown(t, s, b)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	far, cancelFar := context.WithTimeout(ctx, time.Hour)
	defer cancelFar()
	const n = 10
	results := make(chan error, n)
	for range n {
		go func() {
			_, err := b.Publish(far, broker.Message{Subject: "a"})
			results <- err
		}()
	}
	eventually(t, "all of them wait", func() bool { return b.WaitingForTrips() == n-1 })
	wantUnknown(t, b.Close(t.Context()), context.DeadlineExceeded)
	for range n - 1 {
		wantUnknown(t, receive(t, results, "a publish"), broker.ErrClosed)
	}
	cancel() // the one that made a round trip of its own
	wantUnknown(t, receive(t, results, "the first publish"), context.Canceled)
}

func TestCoreConfirmRefusesBadInput(t *testing.T) {
	b := newBroker(t, startServer(t), confirming)
	if _, err := b.Publish(t.Context(), broker.Message{Subject: "a.*"}); !errors.Is(err, broker.ErrInvalid) || errors.Is(err, broker.ErrOutcomeUnknown) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	b.Conn().Close()
	if _, err := b.Publish(t.Context(), broker.Message{Subject: "a"}); !errors.Is(err, broker.ErrClosed) || errors.Is(err, broker.ErrOutcomeUnknown) {
		t.Errorf("got %v, want ErrClosed and nothing sent", err)
	}
}
