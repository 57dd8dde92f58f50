package natsbroker_test

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// Of what comes while the first message is handled, the limits keep the
// oldest; every drop is counted and told, with the number and while the handler
// still blocks, and without the owner's handler being replaced.
func TestSlowConsumer(t *testing.T) {
	tests := []struct {
		name   string
		limits broker.PendingLimits
		sent   int
		kept   int
	}{
		{"messages", broker.PendingLimits{Messages: 10}, 100, 10},
		{"bytes", broker.PendingLimits{Bytes: 1000}, 100, 10},
		{"one", broker.PendingLimits{Messages: 1}, 5, 1},
		{"neither", broker.PendingLimits{}, 100, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := startServer(t)
			owners := make(chan error, 1)
			b := newBroker(t, s, nil, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
				select {
				case owners <- err:
				default:
				}
			}))
			log, entered, leave := newErrorLog(), make(chan struct{}, tt.sent), make(chan struct{})
			sub := subscribe(t, b, "slow", func(context.Context, *broker.Delivery) error {
				entered <- struct{}{}
				<-leave
				return nil
			}, tt.limits, log.option())
			publish(t, b, broker.Message{Subject: "slow", Body: make([]byte, 100)})
			receive(t, entered, "the first message")
			flood(t, b, tt.sent-1)
			dropped := uint64(tt.sent - tt.kept)
			if dropped > 0 { // told while the handler blocks
				if got := receiveDrops(t, log.rang, 0, dropped); got != dropped {
					t.Errorf("%d drops are told, want %d", got, dropped)
				}
				if c := sub.Counts(); c.Dropped != dropped || c.InFlight != 1 {
					t.Errorf("got %+v while the handler blocks, want %d dropped", c, dropped)
				}
				if err := receive(t, owners, "the owner's error handler"); !errors.Is(err, nats.ErrSlowConsumer) {
					t.Errorf("the owner is told %v", err)
				}
			}
			close(leave)
			if _, err := sub.Drain(soon(t)); err != nil {
				t.Fatal(err)
			}
			if c := sub.Counts(); c.Dropped != dropped || c.Received != uint64(tt.kept) {
				t.Errorf("got %d dropped and %d received, want %d and %d", c.Dropped, c.Received, dropped, tt.kept)
			}
		})
	}
}

// receiveDrops takes what is told until n drops are, and checks the running
// total, which is before so far.
func receiveDrops(t *testing.T, from <-chan error, before, n uint64) (told uint64) {
	t.Helper()
	for told < n {
		err := receive(t, from, "the drops")
		e, ok := errors.AsType[*broker.DropError](err)
		if !ok || !errors.Is(err, broker.ErrDropped) || !errors.Is(err, nats.ErrSlowConsumer) {
			t.Fatalf("got %v, want a DropError that matches ErrDropped", err)
		}
		told += e.Messages
		if e.Total != before+told {
			t.Errorf("got %+v, want a total of %d", e, before+told)
		}
	}
	return told
}

// flood publishes n messages of 100 bytes and waits until the connection of b
// has read them.
func flood(t *testing.T, b *natsbroker.Broker, n int) {
	t.Helper()
	for range n {
		publish(t, b, broker.Message{Subject: "slow", Body: make([]byte, 100)})
	}
	if err := b.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
}

// While one handler blocks, each further drop is told too; a second episode as
// well, and none is counted twice.
func TestSlowConsumerAgain(t *testing.T) {
	b := newBroker(t, startServer(t), nil, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	log, entered, leave := newErrorLog(), make(chan *broker.Delivery, 100), make(chan struct{})
	sub := subscribe(t, b, "slow", func(_ context.Context, d *broker.Delivery) error {
		entered <- d
		<-leave
		return nil
	}, broker.PendingLimits{Messages: 2}, log.option())
	total := uint64(0)
	for episode := range 3 {
		flood(t, b, 10)
		receive(t, entered, "the first message")
		total += receiveDrops(t, log.rang, total, 8)
		flood(t, b, 5) // behind the same handler
		total += receiveDrops(t, log.rang, total, 5)
		if got, want := sub.Counts().Dropped, uint64(13*(episode+1)); got != want || total != want {
			t.Fatalf("episode %d: got %d dropped and %d told, want %d", episode, got, total, want)
		}
		leave <- struct{}{}
		var native *nats.Msg
		receive(t, entered, "the second message").As(&native)
		leave <- struct{}{}
		// nats.go counts the second message for an instant longer.
		eventually(t, "nothing is pending", func() bool {
			pending, _, err := native.Sub.Pending()
			return err == nil && pending == 0
		})
	}
	close(leave)
}

// What is dropped behind a handler that hangs is told by the drain.
func TestSlowConsumerIsToldByTheDrain(t *testing.T) {
	b := newBroker(t, startServer(t), nil, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	log := newErrorLog()
	sub := subscribe(t, b, "slow", func(context.Context, *broker.Delivery) error {
		entered <- struct{}{}
		<-leave
		return nil
	}, broker.PendingLimits{Messages: 3}, log.option())
	flood(t, b, 10)
	receive(t, entered, "the first message")
	drained := make(chan error, 1)
	go func() {
		_, err := sub.Drain(soon(t))
		drained <- err
	}()
	if err := receive(t, log.rang, "the drops"); !errors.Is(err, broker.ErrDropped) {
		t.Errorf("got %v, want ErrDropped", err)
	}
	if c := sub.Counts(); c.Dropped != 7 {
		t.Errorf("got %d dropped, want the 7 over the limit", c.Dropped)
	}
	close(leave)
	if err := receive(t, drained, "the drain"); err != nil {
		t.Error(err)
	}
	if c := sub.Counts(); c.Dropped != 7 || c.Succeeded != 3 {
		t.Errorf("got %+v, want 3 handled and 7 dropped", c)
	}
}
