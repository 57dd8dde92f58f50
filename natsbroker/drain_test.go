package natsbroker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
)

func TestDrainHandlesWhatHasArrived(t *testing.T) {
	const n = 50
	for _, concurrency := range []broker.Concurrency{1, 4} {
		t.Run(fmt.Sprint(concurrency), func(t *testing.T) {
			s := startServer(t)
			b := newBroker(t, s, nil)
			var handled atomic.Int64
			entered, leave := make(chan struct{}, n), make(chan struct{})
			sub := subscribe(t, b, "a", func(ctx context.Context, _ *broker.Delivery) error {
				entered <- struct{}{}
				<-leave
				if ctx.Err() == nil {
					handled.Add(1)
				}
				return nil
			}, concurrency)
			for range n {
				publish(t, b, broker.Message{Subject: "a"})
			}
			receive(t, entered, "the first message")
			drained := make(chan broker.Report, 1)
			go func() {
				report, err := sub.Drain(soon(t))
				if err != nil {
					t.Error(err)
				}
				drained <- report
			}()
			// A drain has begun when the server knows no subscription any more.
			eventually(t, "the server has no subscription left", func() bool { return clientSubscriptions(s) == 0 })
			close(leave)
			report := receive(t, drained, "the drain")
			if handled.Load() != n || report.Finished != n || report.Abandoned != 0 {
				t.Errorf("handled %d of %d, report %+v", handled.Load(), n, report)
			}
			noSubscriptions(t, s, b)
		})
	}
}

func TestDrainOfAnIdleSubscription(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil)
	for range 20 {
		sub := subscribe(t, b, "a", discard)
		if report, err := sub.Drain(soon(t)); err != nil || report.Abandoned != 0 {
			t.Fatalf("got %+v and %v", report, err)
		}
		if _, err := sub.Drain(soon(t)); err != nil { // again
			t.Fatal(err)
		}
		if sub.Err() != nil {
			t.Errorf("got %v, want nil after a drain that was asked for", sub.Err())
		}
	}
	noSubscriptions(t, s, b)
}

func TestDrainGivesUpAtItsDeadline(t *testing.T) {
	for _, concurrency := range []broker.Concurrency{1, 3} {
		t.Run(fmt.Sprint(concurrency), func(t *testing.T) {
			const n = 10
			s := startServer(t)
			b := newBroker(t, s, nil)
			entered := make(chan struct{}, n)
			sub := subscribe(t, b, "a", func(ctx context.Context, _ *broker.Delivery) error {
				entered <- struct{}{}
				<-ctx.Done()
				return context.Cause(ctx)
			}, concurrency)
			for range n {
				publish(t, b, broker.Message{Subject: "a"})
			}
			if err := b.Flush(soon(t)); err != nil {
				t.Fatal(err)
			}
			for range concurrency {
				receive(t, entered, "a handler")
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			report, err := sub.Drain(ctx)
			if !errors.Is(err, context.Canceled) || report.Finished+report.Abandoned != n || report.Finished < int(concurrency) {
				t.Errorf("got %+v and %v, want each of %d messages accounted for once", report, err, n)
			}
			noSubscriptions(t, s, b)
		})
	}
}

// A handler that does not return holds the drain up, and not what is known of
// the rest.
func TestDrainCountsWhatItDiscards(t *testing.T) {
	for _, concurrency := range []broker.Concurrency{1, 3} {
		t.Run(fmt.Sprint(concurrency), func(t *testing.T) {
			const n = 10
			b := newBroker(t, startServer(t), nil)
			entered, leave := make(chan struct{}, n), make(chan struct{})
			sub := subscribe(t, b, "a", func(context.Context, *broker.Delivery) error {
				entered <- struct{}{}
				<-leave
				return nil
			}, concurrency)
			for range n {
				publish(t, b, broker.Message{Subject: "a"})
			}
			if err := b.Flush(soon(t)); err != nil {
				t.Fatal(err)
			}
			for range concurrency {
				receive(t, entered, "a handler")
			}
			begun := n
			eventually(t, "no more message begins", func() bool {
				begun = int(sub.Counts().Received)
				return concurrency == 1 || begun == int(concurrency)+1 // one waits for a free handler
			})
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			drained := make(chan broker.Report, 1)
			go func() {
				report, _ := sub.Drain(ctx)
				drained <- report
			}()
			eventually(t, "the rest is discarded", func() bool { return int(sub.Counts().Dropped) == n-begun })
			close(leave)
			if report := receive(t, drained, "the drain"); report.Finished != begun || report.Abandoned != n-begun {
				t.Errorf("got %+v, want %d finished and %d abandoned", report, begun, n-begun)
			}
		})
	}
}

// nats.go counts the message being handled as pending, so that its own drain
// would wait for the handler that waits for it.
func TestDrainFromAHandler(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil)
	var sub *broker.Subscription
	ready, result := make(chan struct{}), make(chan error, 1)
	sub = subscribe(t, b, "a", func(ctx context.Context, _ *broker.Delivery) error {
		<-ready
		_, err := sub.Drain(ctx)
		result <- err
		return nil
	})
	close(ready)
	publish(t, b, broker.Message{Subject: "a"})
	if err := receive(t, result, "the drain"); err != nil {
		t.Error(err)
	}
	receive(t, sub.Done(), "the end")
	noSubscriptions(t, s, b)
}

func TestHandlersSeeTheDrain(t *testing.T) {
	b := newBroker(t, startServer(t), nil)
	entered := make(chan struct{})
	sub := subscribe(t, b, "a", func(ctx context.Context, _ *broker.Delivery) error {
		close(entered)
		<-broker.Draining(ctx)
		return ctx.Err()
	})
	publish(t, b, broker.Message{Subject: "a"})
	receive(t, entered, "the handler")
	if _, err := sub.Drain(soon(t)); err != nil {
		t.Error(err)
	}
	if c := sub.Counts(); c.Succeeded != 1 {
		t.Errorf("got %+v, want a live context during the drain", c)
	}
}

// nats.go's own drain, begun while the connection is down, leaves a dead
// member of the queue group on the server after the reconnect.
func TestDrainWhileReconnecting(t *testing.T) {
	s := startServer(t)
	states := make(chan nats.Status, 10)
	nc := dial(t, s, nats.MaxReconnects(-1), nats.CustomReconnectDelay(func(int) time.Duration { return time.Millisecond }),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { states <- nats.DISCONNECTED }),
		nats.ReconnectHandler(func(*nats.Conn) { states <- nats.CONNECTED }))
	b := brokerOn(t, nc, nil)
	entered, leave := make(chan (<-chan struct{}), 10), make(chan struct{})
	busy := subscribe(t, b, "busy", func(ctx context.Context, _ *broker.Delivery) error {
		entered <- broker.Draining(ctx)
		<-leave
		return nil
	}, broker.Group("g"))
	quiet := subscribe(t, b, "quiet", discard, broker.Group("g"))
	for range 3 {
		publish(t, b, broker.Message{Subject: "busy"})
	}
	if err := b.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
	draining := receive(t, entered, "the handler")
	address := s.Addr().(*net.TCPAddr)
	stopServer(s)
	receive(t, states, "the disconnect")

	if report, err := quiet.Drain(soon(t)); err != nil || report.Abandoned != 0 {
		t.Fatalf("got %+v and %v", report, err)
	}
	drained := make(chan broker.Report, 1)
	go func() {
		report, err := busy.Drain(soon(t))
		if err != nil {
			t.Error(err)
		}
		drained <- report
	}()
	receive(t, draining, "the drain's begin")
	s = startServer(t, func(o *server.Options) { o.Port = address.Port })
	receive(t, states, "the reconnect")
	close(leave)
	if report := receive(t, drained, "the drain"); report.Finished != 3 || report.Abandoned != 0 {
		t.Errorf("got %+v, want all 3 that had arrived to be handled", report)
	}
	noSubscriptions(t, s, b)
}

// The handler of the last message that waits may be what waits for the drain.
func TestDrainFromTheLastHandler(t *testing.T) {
	b := newBroker(t, startServer(t), nil)
	var sub *broker.Subscription
	entered, ready, result := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	sub = subscribe(t, b, "a", func(ctx context.Context, d *broker.Delivery) error {
		if string(d.Body) == "first" {
			close(entered)
			<-ready
			return nil
		}
		_, err := sub.Drain(ctx)
		result <- err
		return nil
	})
	publish(t, b, broker.Message{Subject: "a", Body: []byte("first")})
	publish(t, b, broker.Message{Subject: "a"})
	if err := b.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
	receive(t, entered, "the first handler")
	drained := make(chan error, 1)
	go func() {
		_, err := sub.Drain(soon(t))
		drained <- err
	}()
	eventually(t, "the drain waits for both", func() bool { return sub.Snapshot().Draining })
	close(ready)
	for _, from := range []chan error{result, drained} {
		if err := receive(t, from, "the drain"); err != nil {
			t.Error(err)
		}
	}
}

// Wherever in a burst a drain's deadline passes: each message has a handler or
// is discarded, none has both or neither, and no handler begins afterwards.
func TestDrainInABurst(t *testing.T) {
	const n = 2000
	s := startServer(t)
	b := newBroker(t, s, nil)
	passed, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 50 {
		var handled atomic.Int64
		reached, ready := make(chan struct{}), make(chan struct{})
		sub := subscribe(t, b, "a", func(context.Context, *broker.Delivery) error {
			if handled.Add(1) == 1 {
				<-ready
			}
			if handled.Load() == int64(2*i+1) {
				close(reached)
			}
			return nil
		})
		for range n {
			if _, err := b.Publish(t.Context(), broker.Message{Subject: "a"}); err != nil {
				t.Fatal(err)
			}
		}
		if err := b.Flush(soon(t)); err != nil {
			t.Fatal(err)
		}
		close(ready)
		receive(t, reached, "the handlers")
		_, _ = sub.Drain(passed) // cancelled before, and not waited for
		receive(t, sub.Done(), "the end")
		c := sub.Counts()
		if got := uint64(handled.Load()); got != c.Received || c.Received+c.Dropped != n {
			t.Fatalf("%d handled, %+v; want each of %d accounted for once", got, c, n)
		}
	}
	noSubscriptions(t, s, b)
}
