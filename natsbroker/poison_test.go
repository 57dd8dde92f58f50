package natsbroker_test

import (
	"context"
	"errors"
	"runtime"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
)

// One bad message, or one bad handler, is nobody else's: what comes behind it is
// handled, other subscriptions go on, and each failure is told.
func TestCorePoison(t *testing.T) {
	boom := errors.New("boom")
	tests := []struct {
		name    string
		handler func() // for the poison
		told    error
	}{
		{"a handler that fails", nil, boom},
		{"a handler that panics", func() { panic(boom) }, boom},
		{"a handler that panics with nothing", func() { panic(nil) }, nil}, //nolint:govet // that is the point
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBroker(t, startServer(t), nil)
			log, handled := newErrorLog(), make(chan string, 10)
			sub := subscribe(t, b, "a", func(_ context.Context, d *broker.Delivery) error {
				if string(d.Body) != "poison" {
					handled <- string(d.Body)
					return nil
				}
				if tt.handler != nil {
					tt.handler()
				}
				return boom
			}, log.option())
			other, got := inbox(10)
			subscribe(t, b, ">", other)
			for _, body := range []string{"poison", "good", "poison", "better"} {
				publish(t, b, broker.Message{Subject: "a", Body: []byte(body)})
			}
			for range 2 {
				if err := receive(t, log.rang, "the failure"); tt.told != nil && !errors.Is(err, tt.told) {
					t.Errorf("told %v, want %v", err, tt.told)
				}
			}
			if a, b := receive(t, handled, "the next"), receive(t, handled, "the next"); a != "good" || b != "better" {
				t.Errorf("got %s and %s", a, b)
			}
			for range 4 {
				receive(t, got, "what the other subscription gets")
			}
			if _, err := sub.Drain(soon(t)); err != nil {
				t.Error(err)
			}
			if c := sub.Counts(); c.Failed != 2 || c.Succeeded != 2 || c.Dropped != 0 {
				t.Errorf("got %+v, want 2 failed and 2 succeeded", c)
			}
		})
	}
}

// A handler that does not return holds up its own subscription alone, and with
// Concurrency not even that.
func TestCorePoisonHandlerThatOverruns(t *testing.T) {
	b := newBroker(t, startServer(t), nil)
	hold := make(chan struct{})
	handler := func(handled chan<- string) broker.Handler {
		return func(_ context.Context, d *broker.Delivery) error {
			if string(d.Body) == "poison" {
				<-hold
			}
			handled <- string(d.Body)
			return nil
		}
	}
	alone, beside, elsewhere := make(chan string, 10), make(chan string, 10), make(chan string, 10)
	subscribe(t, b, "a", handler(alone))
	subscribe(t, b, "a", handler(beside), broker.Concurrency(2))
	subscribe(t, b, "b", handler(elsewhere))
	publish(t, b, broker.Message{Subject: "a", Body: []byte("poison")})
	publish(t, b, broker.Message{Subject: "a", Body: []byte("good")})
	publish(t, b, broker.Message{Subject: "b", Body: []byte("good")})
	receive(t, beside, "what comes beside the handler that overruns")
	receive(t, elsewhere, "another subscription's message")
	if len(alone) > 0 {
		t.Error("handlers ran at once without Concurrency")
	}
	close(hold)
	for _, want := range []string{"poison", "good"} {
		if got := receive(t, alone, "what was held up"); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A message whose headers nats.go cannot parse is delivered without them, and
// that is told: code that relies on a header would take it for one that has none.
func TestCorePoisonHeaders(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	h, got := inbox(10)
	log := newErrorLog()
	sub := subscribe(t, b, "a", h, log.option())
	broken := []string{
		"HPUB a 20 24\r\nNATS/1.0\r\nnocolon\r\n\rbody\r\n",
		"HPUB a 12 16\r\nGARBAGE/1.0\nbody\r\n",
		"HPUB a reply 4 8\r\n\x00\xff\r\nbody\r\n",
	}
	for _, protocol := range broken {
		raw(t, s, protocol)
		if d := receive(t, got, "the broken message"); len(d.Header) != 0 || string(d.Body) != "body" {
			t.Errorf("got %q %q", d.Header, d.Body)
		}
		if err := receive(t, log.rang, "what is told"); !errors.Is(err, nats.ErrBadHeaderMsg) || !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("told %v, want ErrBadHeaderMsg", err)
		}
	}
	// Nothing of that is told of messages without headers, or with none in them.
	foreign := dial(t, s)
	for _, m := range []*nats.Msg{
		{Subject: "a"}, {Subject: "a", Reply: "r", Data: []byte("x")}, {Subject: "a", Header: nats.Header{}}, {Subject: "a", Header: nats.Header{"k": {}}},
	} {
		if err := foreign.PublishMsg(m); err != nil {
			t.Fatal(err)
		}
		receive(t, got, "a message")
	}
	raw(t, s, "HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n")
	receive(t, got, "a message with an empty header")
	if len(log.rang) > 0 {
		t.Errorf("told %v", <-log.rang)
	}
	if c := sub.Counts(); c.Dropped != 0 {
		t.Errorf("%d dropped, want none", c.Dropped)
	}
}

// A reply whose headers cannot be parsed may be an error's, and is no answer.
func TestCorePoisonReplies(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	foreign := dial(t, s)
	asked := make(chan string, 1)
	if _, err := foreign.Subscribe("ask", func(m *nats.Msg) { asked <- m.Reply }); err != nil {
		t.Fatal(err)
	}
	if err := foreign.Flush(); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func() error{
		"Request": func() error {
			_, err := b.Request(soon(t), broker.Message{Subject: "ask"})
			return err
		},
		"Gather": func() error {
			_, err := gather(soon(t), b, broker.Replies(1))
			return err
		},
	} {
		result := make(chan error, 1)
		go func() { result <- call() }()
		raw(t, s, "HPUB "+receive(t, asked, "the request")+" 20 24\r\nNATS/1.0\r\nnocolon\r\n\rbody\r\n")
		if err := receive(t, result, "the reply"); !errors.Is(err, nats.ErrBadHeaderMsg) {
			t.Errorf("%s: got %v, want ErrBadHeaderMsg", name, err)
		}
	}
}

// A subscription costs the goroutine that nats.go has for it, and no other.
func TestCoreIdleSubscriptionsCostNoGoroutine(t *testing.T) {
	const n = 200
	s := startServer(t)
	goroutines := func(open func(i int)) int {
		before := runtime.NumGoroutine()
		for i := range n {
			open(i)
		}
		return runtime.NumGoroutine() - before
	}
	nc, b := dial(t, s), newBroker(t, s, nil)
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	native := goroutines(func(int) {
		if _, err := nc.Subscribe("raw", func(*nats.Msg) {}); err != nil {
			t.Fatal(err)
		}
	})
	count, handled := inbox(n)
	ours := goroutines(func(i int) { subscribe(t, b, "ours", count, broker.Concurrency(1+i%3)) })
	if native < n-n/50 || ours > native+n/50 { // the server's own come and go
		t.Errorf("%d subscriptions cost %d goroutines, with nats.go itself %d", n, ours, native)
	}
	before := runtime.NumGoroutine()
	publish(t, b, broker.Message{Subject: "ours"})
	for range n {
		receive(t, handled, "a message")
	}
	eventually(t, "what was busy is idle again", func() bool { return runtime.NumGoroutine() <= before+native/50 })
	t.Logf("%d subscriptions: %d goroutines, with nats.go itself %d", n, ours, native)
}
