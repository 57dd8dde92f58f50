package natsbroker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

func TestJetStreamReceiveReturnsAtTheFirstMessage(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	r.put("orders.new", "there")
	began := time.Now()
	ds, err := r.Receive(soon(t), "ORDERS/c", 10, broker.Wait(patience))
	if err != nil || len(ds) != 1 || time.Since(began) > time.Second {
		t.Errorf("got %d messages, %v, after %v", len(ds), err, time.Since(began))
	}
	got := make(chan []*broker.Delivery)
	go func() {
		ds, _ := r.Receive(context.WithoutCancel(t.Context()), "ORDERS/c", 10, broker.Wait(patience))
		got <- ds
	}()
	eventually(t, "the receive waits", func() bool { return r.info("ORDERS/c").NumWaiting == 1 })
	r.put("orders.new", "later")
	if ds := receive(t, got, "the message"); !slices.Equal(texts(ds), []string{"later"}) {
		t.Errorf("got %q", texts(ds))
	}
}

// Several receives on one consumer, fewer messages than they ask for together.
func TestJetStreamReceivesShareAConsumer(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	const waiting = 3
	got := make(chan int, waiting)
	for range waiting {
		go func() {
			n := 0
			for n == 0 {
				ds, err := r.Receive(context.WithoutCancel(t.Context()), "ORDERS/c", 100, broker.Wait(patience))
				if err != nil {
					t.Error(err)
					break
				}
				n += len(ds)
			}
			got <- n
		}()
	}
	eventually(t, "all wait", func() bool { return r.info("ORDERS/c").NumWaiting == waiting })
	for range waiting {
		r.put("orders.new", "m")
		receive(t, got, "a message")
	}
}

// With a message that may not be delivered yet, the server refuses a request that
// will not wait while another waits for more: it is made to wait.
func TestJetStreamReceiveBehindOneThatWaits(t *testing.T) {
	r := newRig(t, nil)
	r.orders(func(_ *jetstream.StreamConfig, c *jetstream.ConsumerConfig) { c.MaxAckPending = 1 })
	r.put("orders.new", "a")
	inHand := r.lease("ORDERS/c", 1)
	got := make(chan []*broker.Delivery, 2)
	for i := range 2 {
		go func() {
			ds, err := r.Receive(context.WithoutCancel(t.Context()), "ORDERS/c", 100, broker.Wait(patience))
			if err != nil {
				t.Error(err)
			}
			got <- ds
		}()
		eventually(t, "it waits", func() bool { return r.info("ORDERS/c").NumWaiting == i+1 })
		if i == 0 {
			r.put("orders.new", "b", "c")
		}
	}
	for range 2 {
		if err := r.Delete(soon(t), inHand...); err != nil {
			t.Fatal(err)
		}
		if inHand = receive(t, got, "the next message"); len(inHand) != 1 {
			t.Fatalf("%d messages", len(inHand))
		}
	}
}

// A stream of messages under receives that are cancelled at any moment: none is
// left leased to nobody, which would show as one that comes only after the lease
// of 30 s.
func TestJetStreamCancelledReceiveStrandsNothing(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	const total = 2000
	go func() {
		for range total {
			if _, err := r.Publish(context.WithoutCancel(t.Context()), broker.Message{Subject: "orders.new"}); err != nil {
				t.Error(err)
			}
		}
	}()
	seen := map[string]bool{}
	end := time.Now().Add(patience)
	for i := 0; len(seen) < total; i++ {
		if time.Now().After(end) {
			t.Fatalf("%d messages seen, the others are leased to nobody: %+v", len(seen), r.info("ORDERS/c"))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%7)*100*time.Microsecond+100*time.Microsecond)
		ds, err := r.Receive(ctx, "ORDERS/c", 10)
		cancel()
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		for _, d := range ds {
			seen[d.ID] = true
		}
		if err := r.Delete(soon(t), ds...); err != nil {
			t.Fatal(err)
		}
	}
}

func TestJetStreamReceiveOfWhatIsNotThere(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	_, err := r.Receive(soon(t), "ORDERS/none", 1)
	wantErr(t, err, broker.ErrNotFound)
	_, err = r.Receive(soon(t), "NONE/c", 1)
	wantErr(t, err, broker.ErrNotFound)
	_, err = r.Receive(soon(t), "orders.new", 1)
	wantErr(t, err, broker.ErrInvalid)

	ended := make(chan error)
	go func() {
		_, err := r.Receive(context.WithoutCancel(t.Context()), "ORDERS/c", 1, broker.Wait(time.Hour))
		ended <- err
	}()
	eventually(t, "the receive waits", func() bool { return r.info("ORDERS/c").NumWaiting == 1 })
	if err := r.js.DeleteConsumer(soon(t), "ORDERS", "c"); err != nil {
		t.Fatal(err)
	}
	wantErr(t, receive(t, ended, "the receive to end"), broker.ErrNotFound)
	_, err = r.Receive(soon(t), "ORDERS/c", 1) // it was known before
	wantErr(t, err, broker.ErrNotFound)
}

func TestJetStreamRefusesConsumersThatCannotBeReceivedFrom(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	if _, err := r.js.CreatePushConsumer(soon(t), "ORDERS", jetstream.ConsumerConfig{
		Durable: "push", DeliverSubject: "there", AckPolicy: jetstream.AckExplicitPolicy,
	}); err != nil {
		t.Fatal(err)
	}
	r.consumer("ORDERS", jetstream.ConsumerConfig{Durable: "all", AckPolicy: jetstream.AckAllPolicy})
	r.consumer("ORDERS", jetstream.ConsumerConfig{Durable: "heads", HeadersOnly: true})
	r.consumer("ORDERS", jetstream.ConsumerConfig{
		Durable: "groups", PriorityPolicy: jetstream.PriorityPolicyOverflow, PriorityGroups: []string{"g"},
	})
	for name, says := range map[string]string{"push": "push", "all": "ack_policy all", "heads": "headers", "groups": "priority"} {
		_, err := r.Receive(soon(t), "ORDERS/"+name, 1, broker.Wait(0))
		wantErr(t, err, errors.ErrUnsupported)
		wantText(t, err, says)
	}
}

// A connection that breaks ends no wait with "no messages": it is an error, and
// the next receive waits for the connection.
func TestJetStreamReceiveOutlastsTheServer(t *testing.T) {
	store := withJetStream(t)
	s := startServer(t, store)
	r := rigOn(t, s, nil)
	j, err := natsbroker.NewJetStream(dial(t, s, nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close(soon(t)) }()
	r.orders()
	ended := make(chan error)
	go func() {
		_, err := j.Receive(context.WithoutCancel(t.Context()), "ORDERS/c", 1, broker.Wait(time.Hour))
		ended <- err
	}()
	eventually(t, "the receive waits", func() bool { return r.info("ORDERS/c").NumWaiting == 1 })
	port := s.Addr().(*net.TCPAddr).Port
	stopServer(s)
	wantErr(t, receive(t, ended, "the receive to end"), broker.ErrUnavailable)

	got := make(chan []*broker.Delivery)
	go func() {
		for { // the connection may break once more while the server starts
			ds, err := j.Receive(context.WithoutCancel(t.Context()), "ORDERS/c", 1, broker.Wait(patience))
			if !errors.Is(err, broker.ErrUnavailable) {
				got <- ds
				return
			}
		}
	}()
	again := rigOn(t, startServer(t, store, func(o *server.Options) { o.Port = port }), nil)
	again.put("orders.new", "after the restart")
	if ds := receive(t, got, "the message"); len(ds) != 1 {
		t.Errorf("%d messages", len(ds))
	}
}

func TestJetStreamLeaseIsTheConsumers(t *testing.T) {
	r := newRig(t, nil)
	r.orders(func(_ *jetstream.StreamConfig, c *jetstream.ConsumerConfig) { c.AckWait = time.Minute })
	r.consumer("ORDERS", jetstream.ConsumerConfig{
		Durable: "backoff", AckPolicy: jetstream.AckExplicitPolicy, BackOff: []time.Duration{100 * time.Millisecond, time.Hour}, MaxDeliver: 5,
	})
	r.put("orders.new", "m")
	_, err := r.Receive(soon(t), "ORDERS/c", 1, broker.Lease(time.Second))
	wantErr(t, err, errors.ErrUnsupported)
	ds, err := r.Receive(soon(t), "ORDERS/c", 1, broker.Lease(time.Minute))
	if err != nil || len(ds) != 1 {
		t.Fatal(ds, err)
	}
	if left := time.Until(ds[0].LeaseEnd); left > time.Minute || left < 55*time.Second {
		t.Errorf("%v of the lease are left", left)
	}
	err = r.Extend(soon(t), time.Hour, ds...)
	wantErr(t, broker.ItemError(err, 0), errors.ErrUnsupported)
	wantErr(t, r.Extend(soon(t), time.Minute, ds...))

	first := r.lease("ORDERS/backoff", 1)[0]
	if left := time.Until(first.LeaseEnd); left > 100*time.Millisecond {
		t.Errorf("%v of the first lease are left", left)
	}
	second := r.lease("ORDERS/backoff", 1)[0]
	if left := time.Until(second.LeaseEnd); second.Attempt != 2 || left < 59*time.Minute {
		t.Errorf("attempt %d, %v of its lease are left", second.Attempt, left)
	}
}

func TestJetStreamDeleteIsConfirmed(t *testing.T) {
	r := newRig(t, nil)
	r.orders(func(s *jetstream.StreamConfig, _ *jetstream.ConsumerConfig) { s.Retention = jetstream.WorkQueuePolicy })
	r.put("orders.new", "a", "b", "c")
	ds := r.lease("ORDERS/c", 3)
	if err := r.Delete(soon(t), ds...); err != nil {
		t.Fatal(err)
	}
	if info := r.info("ORDERS/c"); info.NumAckPending != 0 || info.AckFloor.Stream != 3 {
		t.Errorf("got %+v right after the delete", info)
	}
}

func TestJetStreamDeleteOnAConsumerThatIsGone(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	r.put("orders.new", "a")
	ds := r.lease("ORDERS/c", 1)
	if err := r.js.DeleteConsumer(soon(t), "ORDERS", "c"); err != nil {
		t.Fatal(err)
	}
	wantErr(t, broker.ItemError(r.Delete(soon(t), ds...), 0), broker.ErrNotFound)
}

// While a consumer's leader is being replaced nobody hears an acknowledgement,
// and soon somebody does.
func TestJetStreamDeleteThatNobodyHears(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	r.put("orders.new", "a", "b")
	ds := r.lease("ORDERS/c", 2)
	replies := make([]string, len(ds))
	natives := make([]*nats.Msg, len(ds))
	for i, d := range ds {
		if !d.As(&natives[i]) {
			t.Fatal("no native message")
		}
		replies[i], natives[i].Reply = natives[i].Reply, "nobody.listens"
	}
	err := r.Delete(soon(t), ds...)
	for i := range ds {
		wantErr(t, broker.ItemError(err, i), broker.ErrUnavailable)
		if !mayPass(broker.ItemError(err, i)) {
			t.Errorf("got %v, want an error that may pass", err)
		}
		natives[i].Reply = replies[i]
	}
	if err := r.Delete(soon(t), ds...); err != nil {
		t.Errorf("the second try: %v", err)
	}
}

func TestJetStreamUnconfirmed(t *testing.T) {
	r := newRig(t, &natsbroker.JetStreamOptions{Unconfirmed: true})
	r.orders()
	r.put("orders.new", "a", "b")
	ds := r.lease("ORDERS/c", 2)
	if err := r.Delete(soon(t), ds...); err != nil {
		t.Fatal(err)
	}
	if err := r.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both are deleted", func() bool { return r.info("ORDERS/c").NumAckPending == 0 })
	wantErr(t, broker.ItemError(r.Release(soon(t), 0, ds...), 1), broker.ErrLeaseLost)
}

// A delete that nobody confirmed is told to be uncertain when the connection was
// lost after it.
func TestJetStreamFlushTellsOfUnconfirmedDeletesThatMayBeLost(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	r.put("orders.new", "a")
	l := linkTo(t, r.server.Addr().String())
	nc, err := nats.Connect(l.url(), quick, nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	j, err := natsbroker.NewJetStream(nc, &natsbroker.JetStreamOptions{Unconfirmed: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close(soon(t)) }()
	ds, err := j.Receive(soon(t), "ORDERS/c", 1)
	if err != nil || len(ds) != 1 {
		t.Fatal(ds, err)
	}
	if err := j.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
	l.silence()
	if err := j.Delete(soon(t), ds...); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is written", func() bool {
		waiting, err := nc.Buffered()
		return waiting == 0 && err == nil
	})
	l.cut()
	eventually(t, "the connection is made again", func() bool { return nc.Stats().Reconnects == 1 && nc.IsConnected() })
	err = j.Flush(soon(t))
	wantErr(t, err, broker.ErrOutcomeUnknown, broker.ErrUnavailable)
	if lost, ok := errors.AsType[*natsbroker.LossError](err); !ok || lost.Uncertain != 1 || !strings.Contains(err.Error(), "jetstream") {
		t.Errorf("got %v, want 1 uncertain", err)
	}
	if n := r.info("ORDERS/c").NumAckPending; n != 1 {
		t.Errorf("%d are leased, want the one whose delete was lost", n)
	}
	if err := j.Flush(soon(t)); err != nil {
		t.Errorf("told again: %v", err)
	}
}

func TestJetStreamWithoutAcks(t *testing.T) {
	r := newRig(t, nil)
	r.orders(func(_ *jetstream.StreamConfig, c *jetstream.ConsumerConfig) { c.AckPolicy = jetstream.AckNonePolicy })
	r.put("orders.new", "a")
	ds := r.lease("ORDERS/c", 1)
	if !ds[0].LeaseEnd.IsZero() {
		t.Errorf("a lease until %v", ds[0].LeaseEnd)
	}
	wantErr(t, broker.ItemError(r.Release(soon(t), 0, ds...), 0), errors.ErrUnsupported)
	if err := r.Delete(soon(t), ds...); err != nil {
		t.Error(err)
	}
	s, err := r.Describe(soon(t), "ORDERS/c")
	if err != nil || s.Receive.Guarantee.V != broker.GuaranteeAtMostOnce || s.Receive.Lease.State != broker.StateNone {
		t.Errorf("got %s, %v", s, err)
	}
}

func TestParsePosition(t *testing.T) {
	tests := map[string]string{
		"$JS.ACK.S.c.3.77.5.1700000000000000000.9":              "3 77",
		"$JS.ACK._.hash.S.c.3.77.5.1700000000000000000.9":       "3 77",
		"$JS.ACK.hub.hash.S.c.3.77.5.1700000000000000000.9.rnd": "3 77",
		"$JS.ACK.S.c.x.77.5.1700000000000000000.9":              "",
		"$JS.ACK.S.c.3":      "",
		"_INBOX.a.b.c.d.e.f": "",
		"":                   "",
	}
	for reply, want := range tests {
		attempt, sequence, ok := natsbroker.ParsePosition(reply)
		got := ""
		if ok {
			got = fmt.Sprint(attempt, " ", sequence)
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", reply, got, want)
		}
	}
}
