package natsbroker_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// numbered publishes the messages from, …, to-1.
func (r *rig) numbered(from, to int) {
	r.Helper()
	ms := make([]broker.Message, 0, to-from)
	for i := range to - from {
		ms = append(ms, broker.Message{Subject: "orders.new", Body: []byte(strconv.Itoa(from + i))})
	}
	if _, err := r.PublishBatch(soon(r), ms); err != nil {
		r.Fatal(err)
	}
}

// wantNumbered takes the messages from, …, to-1, in that order.
func wantNumbered(tb testing.TB, got <-chan *broker.Delivery, from, to int) (last *broker.Delivery) {
	tb.Helper()
	for i := from; i < to; i++ {
		last = receive(tb, got, fmt.Sprint("message ", i))
		if string(last.Body) != strconv.Itoa(i) || last.Attempt != 1 {
			tb.Fatalf("got message %s, attempt %d, want message %d at its first", last.Body, last.Attempt, i)
		}
	}
	return last
}

func wantNone(tb testing.TB, got <-chan *broker.Delivery) {
	tb.Helper()
	select {
	case d := <-got:
		tb.Errorf("message %s comes too", d.Body)
	default:
	}
}

// consumers of the stream ORDERS, by name.
func (r *rig) consumers() []string {
	r.Helper()
	s, err := r.js.Stream(soon(r), "ORDERS")
	if err != nil {
		r.Fatal(err)
	}
	list := s.ConsumerNames(soon(r))
	var names []string
	for name := range list.Name() {
		names = append(names, name)
	}
	if err := list.Err(); err != nil {
		r.Fatal(err)
	}
	return names
}

func TestJetStreamOrderedReadsEachPositionOnce(t *testing.T) {
	r := newRig(t, nil)
	r.stream(jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
	const stored, all = 250, 300
	r.numbered(0, stored)
	var told atomic.Uint64
	got := make(chan *broker.Delivery, all)
	sub := subscribe(t, r, "orders.>", func(_ context.Context, d *broker.Delivery) error {
		got <- d
		switch len(got) % 3 { // what a handler returns has no effect
		case 0:
			return errors.New("failed")
		case 1:
			panic("failed")
		}
		return nil
	}, broker.Ordered{}, broker.FromFirst(), broker.OnError(func(_ context.Context, d *broker.Delivery, _ error) {
		if d != nil { // else a message was read again, as on a machine with much to do
			told.Add(1)
		}
	}))
	r.numbered(stored, all)
	last := wantNumbered(t, got, 0, all)
	if !last.LeaseEnd.IsZero() {
		t.Errorf("leased until %v", last.LeaseEnd)
	}
	if names := r.consumers(); len(names) != 1 || last.Source != "ORDERS/"+names[0] {
		t.Errorf("the source is %s, the consumers are %q", last.Source, names)
	}
	if _, err := sub.Drain(soon(t)); err != nil {
		t.Error(err)
	}
	counts := sub.Counts()
	if counts.Received != all || counts.Failed == 0 || counts.Succeeded+counts.Failed != all || counts.Redelivered+counts.Dropped != 0 {
		t.Errorf("got %+v", counts)
	}
	if n := told.Load(); n != counts.Failed {
		t.Errorf("%d errors were told of %d", n, counts.Failed)
	}
	wantNone(t, got)
	eventually(t, "its consumer is removed", func() bool { return len(r.consumers()) == 0 })

	// Another goes on after any position.
	after, err := strconv.ParseUint(last.Sequence.String(), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	h, rest := inbox(10)
	subscribe(t, r, "orders.>", h, broker.Ordered{}, broker.FromSequence(after-2))
	wantNumbered(t, rest, all-3, all)
}

// Without a Start it begins with what comes next, and keeps to that if its
// consumer is lost before anything has come.
func TestJetStreamOrderedStartsHoldAfterALoss(t *testing.T) {
	for name, test := range map[string]struct {
		opts []broker.SubscribeOption
		want []string
	}{
		"new":   {nil, []string{"new"}},
		"first": {[]broker.SubscribeOption{broker.FromFirst()}, []string{"a1", "a2", "b1", "new"}},
		"last":  {[]broker.SubscribeOption{broker.FromLastPerSubject()}, []string{"a2", "b1", "new"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			r.stream(jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
			r.put("orders.a", "a1", "a2")
			r.put("orders.b", "b1")
			h, got := inbox(10)
			log := newErrorLog()
			subscribe(t, r, "orders.>", h, append(test.opts, broker.Ordered{}, log.option())...)
			for _, want := range test.want[:len(test.want)-1] {
				if d := receive(t, got, want); string(d.Body) != want {
					t.Fatalf("got %s, want %s", d.Body, want)
				}
			}
			eventually(t, "it waits", func() bool { return r.info("ORDERS/"+r.consumers()[0]).NumWaiting == 1 })
			if err := r.js.DeleteConsumer(soon(t), "ORDERS", r.consumers()[0]); err != nil {
				t.Fatal(err)
			}
			r.put("orders.a", "new")
			if d := receive(t, got, "new"); string(d.Body) != "new" {
				t.Errorf("got %s", d.Body)
			}
			_ = receive(t, log.rang, "the loss to be told")
		})
	}
}

// One that begins beyond the end of its stream waits there, also if its consumer
// is lost.
func TestJetStreamOrderedBeyondTheEnd(t *testing.T) {
	r := newRig(t, nil)
	r.stream(jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
	h, got := inbox(10)
	log := newErrorLog()
	subscribe(t, r, "orders.>", h, broker.Ordered{}, broker.FromSequence(4), log.option())
	first := r.consumers()[0]
	if err := r.js.DeleteConsumer(soon(t), "ORDERS", first); err != nil {
		t.Fatal(err)
	}
	_ = receive(t, log.rang, "the loss to be told")
	eventually(t, "another is made", func() bool { names := r.consumers(); return len(names) == 1 && names[0] != first })
	r.numbered(1, 6)
	wantNumbered(t, got, 4, 6)
	wantNone(t, got)
}

// What its consumer has sent and it never got is read again in its place.
func TestJetStreamOrderedReadsAgainWhatWasLost(t *testing.T) {
	t.Parallel() // it takes seconds
	r := newRig(t, nil)
	r.stream(jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
	log := newErrorLog()
	got, goOn := make(chan *broker.Delivery), make(chan struct{})
	subscribe(t, r, "orders.>", func(_ context.Context, d *broker.Delivery) error {
		got <- d
		<-goOn
		return nil
	}, broker.Ordered{}, log.option())
	r.numbered(0, 1)
	d := wantNumbered(t, got, 0, 1)
	steal := func(from, to int) { // while it does not ask
		t.Helper()
		r.numbered(from, to)
		consumer, err := r.js.Consumer(soon(t), "ORDERS", strings.TrimPrefix(d.Source, "ORDERS/"))
		if err != nil {
			t.Fatal(err)
		}
		batch, err := consumer.Fetch(to-from, jetstream.FetchMaxWait(patience))
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for range batch.Messages() {
			n++
		}
		if n != to-from {
			t.Fatalf("%d messages were taken away, want %d: %v", n, to-from, batch.Error())
		}
	}
	steal(1, 4)
	r.numbered(4, 5) // by which the loss is noticed
	for i := 1; i < 5; i++ {
		goOn <- struct{}{}
		d = wantNumbered(t, got, i, i+1)
	}
	wantText(t, receive(t, log.rang, "the loss to be told"), "lost in transit")
	steal(5, 7) // and nothing after it
	for i := 5; i < 7; i++ {
		goOn <- struct{}{}
		wantNumbered(t, got, i, i+1)
	}
	close(goOn)
	wantText(t, receive(t, log.rang, "the loss to be told"), "lost in transit")
}

// The consumer is kept in memory: a server that is restarted has lost it.
func TestJetStreamOrderedOutlastsTheServer(t *testing.T) {
	store := withJetStream(t)
	s := startServer(t, store)
	r := rigOn(t, s, nil)
	r.stream(jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
	j, err := natsbroker.NewJetStream(dial(t, s, nats.ReconnectWait(10*time.Millisecond), nats.MaxReconnects(-1)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close(soon(t)) }()
	h, got := inbox(1000)
	subscribe(t, j, "orders.>", h, broker.Ordered{}, broker.FromFirst())
	r.numbered(0, 100)
	wantNumbered(t, got, 0, 50)
	port := s.Addr().(*net.TCPAddr).Port
	stopServer(s)
	again := rigOn(t, startServer(t, store, func(o *server.Options) { o.Port = port }), nil)
	again.numbered(100, 200)
	wantNumbered(t, got, 50, 200)
	wantNone(t, got)
}

func TestJetStreamOrderedRefusesWhatBreaksTheOrder(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	r.stream(jetstream.StreamConfig{Name: "WORK", Subjects: []string{"work"}, Retention: jetstream.WorkQueuePolicy})
	r.stream(jetstream.StreamConfig{Name: "INTEREST", Subjects: []string{"interest"}, Retention: jetstream.InterestPolicy})
	for name, test := range map[string]struct {
		subject string
		opt     broker.SubscribeOption
	}{
		"group":       {"orders.new", broker.Group("c")},
		"concurrency": {"orders.new", broker.Concurrency(2)},
		"lease":       {"orders.new", broker.Lease(time.Second)},
		"prefetch":    {"orders.new", broker.Prefetch(1)},
		"attempts":    {"orders.new", broker.MaxAttempts(1)},
		"a consumer":  {"ORDERS/c", broker.Concurrency(1)},
		"work queue":  {"work", broker.Concurrency(1)},
		"interest":    {"interest", broker.Concurrency(1)},
	} {
		if _, err := r.Subscribe(soon(t), test.subject, discard, broker.Ordered{}, test.opt); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := r.Subscribe(soon(t), "nobody", discard, broker.Ordered{}); !errors.Is(err, broker.ErrNotFound) {
		t.Errorf("no stream: got %v", err)
	}
	if names := r.consumers(); len(names) != 1 {
		t.Errorf("consumers were made: %q", names)
	}
}

func TestJetStreamOrderedIsDescribed(t *testing.T) {
	r := newRig(t, nil)
	r.stream(jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
	h, got := inbox(1)
	subscribe(t, r, "orders.>", h, broker.Ordered{})
	r.numbered(0, 1)
	s := describe(t, r, wantNumbered(t, got, 0, 1).Source).Receive
	if s.Guarantee.V != broker.GuaranteeAtMostOnce || s.Ordering.V != broker.OrderingTotal || !s.Strict.V ||
		s.Redelivery.State != broker.StateNone || s.Lease.State != broker.StateNone || !s.Replay.V {
		t.Errorf("got %+v", s)
	}
}

func TestJetStreamOrderedDrainInAHandler(t *testing.T) {
	r := newRig(t, nil)
	r.stream(jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
	r.numbered(0, 10)
	subs, reports := make(chan *broker.Subscription, 1), make(chan broker.Report, 1)
	sub := subscribe(t, r, "orders.>", func(ctx context.Context, _ *broker.Delivery) error {
		report, err := (<-subs).Drain(ctx)
		if err != nil {
			t.Error(err)
		}
		reports <- report
		return nil
	}, broker.Ordered{}, broker.FromFirst())
	subs <- sub
	receive(t, reports, "the drain in the handler")
	receive(t, sub.Done(), "the end")
	if n := sub.Counts().Received; n != 1 {
		t.Errorf("%d messages were begun, want one", n)
	}
	eventually(t, "its consumer is removed", func() bool { return len(r.consumers()) == 0 })
}

// The server keeps the consumer while a handler takes longer than the server would
// keep it otherwise, with messages that are still to be fetched and without.
func TestJetStreamOrderedOutlastsASlowHandler(t *testing.T) {
	const idle, slow = 500 * time.Millisecond, 1700 * time.Millisecond
	const all, same = 150, 145 // the last few have one subject
	for name, test := range map[string]struct {
		begin broker.SubscribeOption
		after int // what comes after those that have a subject each
	}{
		"from the first": {broker.FromFirst(), same}, "from the last of each subject": {broker.FromLastPerSubject(), all - 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it takes its time
			r := newRig(t, nil)
			r.stream(jetstream.StreamConfig{
				Name: "ORDERS", Subjects: []string{"orders.>"}, ConsumerLimits: jetstream.StreamConsumerLimits{InactiveThreshold: idle},
			})
			for n := range all {
				r.put(fmt.Sprint("orders.", min(n, same)), strconv.Itoa(n))
			}
			log := newErrorLog()
			got := make(chan *broker.Delivery, 2*all)
			sub := subscribe(t, r, "orders.>", func(_ context.Context, d *broker.Delivery) error {
				if n := string(d.Body); n == "50" || n == "140" {
					time.Sleep(slow)
				}
				got <- d
				return nil
			}, broker.Ordered{}, test.begin, log.option())
			before := r.consumers()
			wantNumbered(t, got, 0, same)
			wantNumbered(t, got, test.after, all)
			if names := r.consumers(); !slices.Equal(names, before) {
				t.Errorf("the consumers are %q, and were %q", names, before)
			}
			r.put("orders.140", "last")
			if last := receive(t, got, "what was published later"); string(last.Body) != "last" {
				t.Errorf("got message %s, want the last", last.Body)
			}
			if _, err := sub.Drain(soon(t)); err != nil {
				t.Error(err)
			}
			if len(log.rang) > 0 {
				t.Errorf("told %v", <-log.rang)
			}
			wantNone(t, got)
		})
	}
}
