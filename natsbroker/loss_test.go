package natsbroker_test

import (
	"context"
	"encoding/binary"
	"errors"
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

// takeDown stops the server and waits until the broker has noticed.
func takeDown(t *testing.T, s *server.Server, b *natsbroker.Broker) (port int) {
	t.Helper()
	port = s.Addr().(*net.TCPAddr).Port
	stopServer(s)
	eventually(t, "the connection is down", func() bool { return !b.Conn().IsConnected() })
	return port
}

func onPort(port int) func(*server.Options) { return func(o *server.Options) { o.Port = port } }

// What waits in the buffer is sent after the reconnect, and what the buffer does
// not take is an error: nothing in between.
func TestCoreBufferOverflowIsAnError(t *testing.T) {
	s := startServer(t)
	b := connect(t, s, nil, quick, nats.ReconnectBufSize(1000))
	h, got := inbox(100)
	subscribe(t, b, "a", h)
	port := takeDown(t, s, b)
	accepted := 0
	m := broker.Message{Subject: "a", Body: make([]byte, 100)}
	var err error
	for accepted < 100 {
		if _, err = b.Publish(t.Context(), m); err != nil {
			break
		}
		accepted++
	}
	if !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrOutcomeUnknown) || !strings.Contains(err.Error(), "1000 bytes") {
		t.Errorf("got %v, want ErrUnavailable that names the buffer's size", err)
	}
	if accepted == 0 || accepted == 100 {
		t.Fatalf("%d messages were accepted", accepted)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := b.Request(ctx, m); !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrOutcomeUnknown) {
		t.Errorf("a request: got %v, want ErrUnavailable and nothing sent", err)
	}

	startServer(t, onPort(port))
	if err := b.Flush(soon(t)); err != nil {
		t.Errorf("nothing was lost: got %v", err)
	}
	for range accepted {
		receive(t, got, "what waited in the buffer")
	}
	if len(got) > 0 || b.Losses() != (natsbroker.Loss{}) {
		t.Errorf("%d more came, %+v lost", len(got), b.Losses())
	}
}

func TestCoreRefuseWhileDown(t *testing.T) {
	refusing := &natsbroker.Options{RefuseWhileDown: true}
	s := startServer(t)
	b := connect(t, s, refusing, quick)
	publish(t, b, broker.Message{Subject: "a"})
	if err := b.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
	port := takeDown(t, s, b)
	m := broker.Message{Subject: "a"}
	calls := map[string]func() error{
		"Publish":      func() error { _, err := b.Publish(t.Context(), m); return err },
		"PublishBatch": func() error { _, err := b.PublishBatch(t.Context(), []broker.Message{m}); return err },
		"Request":      func() error { _, err := b.Request(soon(t), m); return err },
	}
	for name, call := range calls {
		err := call()
		if !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrOutcomeUnknown) || !strings.Contains(err.Error(), "RefuseWhileDown") {
			t.Errorf("%s: got %v, want ErrUnavailable that says why, and nothing sent", name, err)
		}
	}
	s = startServer(t, onPort(port))
	eventually(t, "the connection is back", b.Conn().IsConnected)
	publish(t, b, m)
	if err := b.Flush(soon(t)); err != nil || b.Losses() != (natsbroker.Loss{}) {
		t.Errorf("got %v and %+v, want nothing lost", err, b.Losses())
	}
	var arrived int64 // the server counts a little later than it answers
	eventually(t, "the message after the reconnect has arrived", func() bool {
		z, err := s.Varz(nil)
		if err == nil {
			arrived = z.InMsgs
		}
		return arrived > 0
	})
	if arrived != 1 {
		t.Errorf("%d messages have arrived, want 1", arrived)
	}

	for name, make := range map[string]func() (*natsbroker.Broker, error){
		"a connection that buffers": func() (*natsbroker.Broker, error) { return natsbroker.New(dial(t, s), refusing) },
		"an option that buffers": func() (*natsbroker.Broker, error) {
			return natsbroker.Connect(soon(t), s.ClientURL(), refusing, nats.ReconnectBufSize(10))
		},
	} {
		b, err := make()
		if field, ok := errors.AsType[*broker.FieldError](err); b != nil || !ok || field.Field != "RefuseWhileDown" {
			t.Errorf("%s: got %v, want a FieldError", name, err)
		}
	}
	brokerOn(t, dial(t, s, nats.ReconnectBufSize(-1)), refusing)
}

// The buffer goes with the connection: by Close, or because the server never
// comes back.
func TestCoreDiscardedMessagesAreCounted(t *testing.T) {
	t.Run("closed before the reconnect", func(t *testing.T) {
		s := startServer(t)
		losses := make(chan natsbroker.Loss, 10)
		b := connect(t, s, &natsbroker.Options{
			RequestTimeout: 5 * time.Millisecond, OnLoss: func(l natsbroker.Loss) { losses <- l },
		})
		publish(t, b, broker.Message{Subject: "a"})
		if err := b.Flush(soon(t)); err != nil {
			t.Fatal(err)
		}
		takeDown(t, s, b)
		for range 7 {
			publish(t, b, broker.Message{Subject: "a"})
		}
		err := b.Close(t.Context())
		wantUnknown(t, err, context.DeadlineExceeded)
		if lost, ok := errors.AsType[*natsbroker.LossError](err); !ok || lost.Loss != (natsbroker.Loss{Discarded: 7}) || !strings.Contains(err.Error(), "7 messages") {
			t.Errorf("got %v, want 7 discarded", err)
		}
		if got := receive(t, losses, "the loss"); got.Discarded != 7 || got.Uncertain != 0 {
			t.Errorf("OnLoss was told %+v, want 7 discarded", got)
		}
	})
	t.Run("the server never comes back", func(t *testing.T) {
		s := startServer(t)
		losses := make(chan natsbroker.Loss, 10)
		published := make(chan struct{})
		b := connect(t, s, &natsbroker.Options{OnLoss: func(l natsbroker.Loss) { losses <- l }}, nats.MaxReconnects(2),
			nats.CustomReconnectDelay(func(int) time.Duration { <-published; return time.Millisecond }))
		publish(t, b, broker.Message{Subject: "a"})
		if err := b.Flush(soon(t)); err != nil {
			t.Fatal(err)
		}
		takeDown(t, s, b)
		for range 7 {
			publish(t, b, broker.Message{Subject: "a"})
		}
		close(published)
		if got := receive(t, losses, "the loss"); got != (natsbroker.Loss{Discarded: 7}) || got != b.Losses() {
			t.Errorf("OnLoss was told %+v, and Losses %+v; want 7 discarded", got, b.Losses())
		}
		if _, err := b.Publish(t.Context(), broker.Message{Subject: "a"}); !errors.Is(err, broker.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	})
}

// Attempts to reconnect that fail after they got a connection change nothing about
// what waits: it was sent nowhere.
func TestCoreFailedHandshakesLoseNothing(t *testing.T) {
	const waiting = 7
	// outage is a broker behind a link that lets go what it takes, again and again.
	outage := func(t *testing.T, o *natsbroker.Options) (*natsbroker.Broker, *link, <-chan *broker.Delivery) {
		t.Helper()
		s := startServer(t)
		l := linkTo(t, s.Addr().String())
		h, got := inbox(100)
		subscribe(t, newBroker(t, s, nil), "a", h)
		b := connectTo(t, l.url(), o, quick)
		publish(t, b, broker.Message{Subject: "a"})
		if err := b.Flush(soon(t)); err != nil {
			t.Fatal(err)
		}
		receive(t, got, "the first message")
		l.refuse()
		eventually(t, "the connection is down", func() bool { return !b.Conn().IsConnected() })
		return b, l, got
	}
	wait := func(t *testing.T, b *natsbroker.Broker) {
		t.Helper()
		for range waiting {
			publish(t, b, broker.Message{Subject: "a"})
		}
	}
	fail := func(t *testing.T, l *link) { // more often than nats.go has room to tell
		t.Helper()
		before := l.refused.Load()
		eventually(t, "attempts have failed", func() bool { return l.refused.Load() > before+15 })
	}
	t.Run("what waits is sent", func(t *testing.T) {
		b, l, got := outage(t, nil)
		wait(t, b)
		fail(t, l)
		if lost := b.Losses(); lost != (natsbroker.Loss{}) {
			t.Errorf("while it waits: got %+v, want nothing lost", lost)
		}
		l.refusing.Store(false)
		if err := b.Flush(soon(t)); err != nil || b.Losses() != (natsbroker.Loss{}) {
			t.Errorf("got %v and %+v, want nothing lost", err, b.Losses())
		}
		for range waiting {
			receive(t, got, "what waited")
		}
	})
	t.Run("what waits is discarded", func(t *testing.T) {
		b, l, _ := outage(t, &natsbroker.Options{RequestTimeout: 5 * time.Millisecond})
		wait(t, b)
		fail(t, l)
		err := b.Close(t.Context())
		if lost, ok := errors.AsType[*natsbroker.LossError](err); !ok || lost.Loss != (natsbroker.Loss{Discarded: waiting}) {
			t.Errorf("got %v, want %d discarded", err, waiting)
		}
	})
	t.Run("a confirmed publish goes through", func(t *testing.T) {
		b, l, got := outage(t, &natsbroker.Options{Confirm: true})
		over := make(chan error, 1)
		go func() {
			_, err := b.Publish(soon(t), broker.Message{Subject: "a"})
			over <- err
		}()
		eventually(t, "it waits", func() bool { n, err := b.Conn().Buffered(); return err == nil && n > 0 })
		fail(t, l)
		l.refusing.Store(false)
		if err := receive(t, over, "the publish"); err != nil {
			t.Error(err)
		}
		receive(t, got, "what waited")
	})
	t.Run("a loss before is counted", func(t *testing.T) {
		b, l, _ := outage(t, nil)
		l.refusing.Store(false)
		if err := b.Flush(soon(t)); err != nil {
			t.Fatal(err)
		}
		l.silence()
		wait(t, b)
		eventually(t, "it is sent", func() bool { n, err := b.Conn().Buffered(); return err == nil && n == 0 })
		l.refuse()
		fail(t, l)
		if lost := b.Losses(); lost != (natsbroker.Loss{Uncertain: waiting}) {
			t.Errorf("got %+v, want %d uncertain", lost, waiting)
		}
	})
}

// The number of messages that nobody knows of is told by Flush and by OnLoss,
// once each.
func TestCoreUncertainMessagesAreCounted(t *testing.T) {
	f := startFaultyServer(t, "PUB last")
	losses := make(chan natsbroker.Loss, 10)
	b := connectTo(t, f.address, &natsbroker.Options{OnLoss: func(l natsbroker.Loss) { losses <- l }}, quick)
	for _, subject := range []string{"a", "b"} {
		publish(t, b, broker.Message{Subject: subject})
	}
	if err := b.Flush(soon(t)); err != nil { // of those nobody need be in doubt
		t.Fatal(err)
	}
	publish(t, b, broker.Message{Subject: "last"})
	if got := receive(t, losses, "the loss"); got != (natsbroker.Loss{Uncertain: 1}) {
		t.Errorf("OnLoss was told %+v, want 1 uncertain", got)
	}
	err := b.Flush(soon(t))
	wantUnknown(t, err, broker.ErrUnavailable)
	if lost, ok := errors.AsType[*natsbroker.LossError](err); !ok || lost.Loss != (natsbroker.Loss{Uncertain: 1}) {
		t.Errorf("got %v, want 1 uncertain", err)
	}
	if err := b.Flush(soon(t)); err != nil || len(losses) > 0 {
		t.Errorf("told again: %v, %d", err, len(losses))
	}
}

// Close tells of a loss that nobody was told of, also on a connection that is not
// its own and down.
func TestCoreCloseTellsOfLosses(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil, nats.ReconnectWait(time.Hour))
	publish(t, b, broker.Message{Subject: "a"})
	takeDown(t, s, b)
	err := b.Close(soon(t))
	wantUnknown(t, err, broker.ErrUnavailable)
	if lost, ok := errors.AsType[*natsbroker.LossError](err); !ok || lost.Loss != (natsbroker.Loss{Uncertain: 1}) {
		t.Errorf("got %v, want 1 uncertain", err)
	}
	if err := b.Close(soon(t)); err != nil {
		t.Errorf("told again: %v", err)
	}
}

// A Broker that publishes nothing has nothing to lose by what others send on
// its connection.
func TestCoreLossesAreOfThosePublishing(t *testing.T) {
	f := startFaultyServer(t, "PUB last")
	b := connectTo(t, f.address, nil, quick)
	if err := b.Conn().Publish("last", nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection is made again", func() bool { return b.Conn().Stats().Reconnects > 0 })
	if err := b.Flush(soon(t)); err != nil || b.Losses() != (natsbroker.Loss{}) {
		t.Errorf("got %v and %+v", err, b.Losses())
	}
}

// With OnLoss, what was published is confirmed without anybody's asking.
func TestCoreOnLossBoundsWhatIsUncertain(t *testing.T) {
	s := startServer(t)
	losses := make(chan natsbroker.Loss, 10)
	b := newBroker(t, s, &natsbroker.Options{OnLoss: func(l natsbroker.Loss) { losses <- l }}, quick)
	publish(t, b, broker.Message{Subject: "a"})
	eventually(t, "a confirmation", func() bool { return b.Unconfirmed() == 0 })
	if err := b.Conn().ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection is made again", func() bool { return b.Conn().Stats().Reconnects > 0 })
	if err := b.Flush(soon(t)); err != nil || len(losses) > 0 {
		t.Errorf("got %v and %d losses, want none of what was confirmed", err, len(losses))
	}
}

// A server that goes and comes back three times under load: what was published
// and not received is told.
func TestCoreServerRestartUnderLoad(t *testing.T) {
	s := startServer(t)
	port := s.Addr().(*net.TCPAddr).Port
	var told natsbroker.Loss
	b := connect(t, s, &natsbroker.Options{OnLoss: func(l natsbroker.Loss) {
		told.Uncertain += l.Uncertain
		told.Discarded += l.Discarded
	}}, quick)
	// The receiver shares the publisher's connection, so that it misses nothing
	// for a reason of its own.
	received, count := map[uint64]int{}, atomic.Uint64{}
	sub := subscribe(t, b, "load", func(_ context.Context, d *broker.Delivery) error {
		received[binary.BigEndian.Uint64(d.Body)]++
		count.Add(1)
		return nil
	})
	load := startLoad(t, b)
	loaded := func() { // long enough for what is uncertain to be bounded
		before, end := count.Load(), time.Now().Add(300*time.Millisecond)
		eventually(t, "messages come", func() bool { return count.Load() > before+1000 && time.Now().After(end) })
	}
	for range 3 {
		loaded()
		stopServer(s)
		s = startServer(t, onPort(port))
		eventually(t, "the connection is back", b.Conn().IsConnected)
	}
	loaded()
	published, refused := load()
	if _, err := sub.Drain(soon(t)); err != nil {
		t.Error(err)
	}
	err := b.Flush(soon(t))
	if lost, ok := errors.AsType[*natsbroker.LossError](err); !ok || lost.Loss != b.Losses() {
		t.Errorf("a flush tells %v, want %+v", err, b.Losses())
	}
	if err := b.Close(soon(t)); err != nil {
		t.Error(err)
	}
	reported, lost := b.Losses(), published-uint64(len(received))
	t.Logf("published %d (and %d refused), received %d, lost %d, reported %+v", published, refused, len(received), lost, reported)
	if told != reported {
		t.Errorf("OnLoss was told %+v in all, want %+v", told, reported)
	}
	if lost > reported.Uncertain+reported.Discarded {
		t.Errorf("%d messages are lost, and only %+v are reported", lost, reported)
	}
	if reported.Uncertain == 0 || reported.Uncertain > published*3/4 {
		t.Errorf("reported %+v of %d: nothing, or too much to be of use", reported, published)
	}
	for n, times := range received {
		if times > 1 || n >= published {
			t.Errorf("message %d came %d times", n, times)
		}
	}
}

// startLoad publishes to "load", numbered, until the function it returns is
// called, which tells how many were accepted and refused.
func startLoad(t *testing.T, b *natsbroker.Broker) (stop func() (published, refused uint64)) {
	t.Helper()
	over := make(chan struct{})
	var publisher sync.WaitGroup
	var published, refused uint64
	publisher.Go(func() {
		pause := time.NewTicker(time.Millisecond)
		defer pause.Stop()
		for {
			for range 50 {
				m := broker.Message{Subject: "load", Body: binary.BigEndian.AppendUint64(nil, published)}
				if _, err := b.Publish(context.WithoutCancel(t.Context()), m); err != nil {
					refused++
				} else {
					published++
				}
			}
			select {
			case <-over:
				return
			case <-pause.C:
			}
		}
	})
	return func() (uint64, uint64) {
		close(over)
		publisher.Wait()
		return published, refused
	}
}
