package natsbroker_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

func TestJetStreamGroupIsADurableConsumer(t *testing.T) {
	r := newRig(t, nil)
	r.orders(func(_ *jetstream.StreamConfig, c *jetstream.ConsumerConfig) { c.FilterSubject = "orders.new" })
	_, err := r.Subscribe(soon(t), "orders.new", discard, broker.Group("nobody"))
	wantErr(t, err, broker.ErrNotFound)
	wantText(t, err, "EnsureConsumer")
	_, err = r.Subscribe(soon(t), "orders.old", discard, broker.Group("c"))
	wantErr(t, err, errors.ErrUnsupported)
	_, err = r.Subscribe(soon(t), "ORDERS/c", discard)
	wantErr(t, err, errors.ErrUnsupported)
	_, err = r.Subscribe(soon(t), "ORDERS/c", discard, broker.Group("d"))
	wantErr(t, err, errors.ErrUnsupported)
	_, err = r.Subscribe(soon(t), "nobody", discard)
	wantErr(t, err, broker.ErrNotFound)
	_, err = r.Subscribe(soon(t), "*.new", discard)
	wantErr(t, err, errors.ErrUnsupported)

	r.put("orders.new", "before", "as well")
	h, got := inbox(10)
	first := subscribe(t, r, "orders.new", h, broker.Group("c"))
	second := subscribe(t, r, "ORDERS/c", h, broker.Group("c"))
	r.put("orders.new", "after")
	var all []*broker.Delivery
	for range 3 {
		all = append(all, receive(t, got, "a message"))
	}
	bodies := texts(all)
	slices.Sort(bodies)
	if want := []string{"after", "as well", "before"}; !slices.Equal(bodies, want) {
		t.Errorf("got %q", bodies)
	}
	for _, sub := range []*broker.Subscription{first, second} {
		if _, err := sub.Drain(soon(t)); err != nil {
			t.Error(err)
		}
	}
	if info := r.info("ORDERS/c"); info.NumAckPending != 0 || info.NumPending != 0 {
		t.Errorf("got %+v", info)
	}
}

func TestJetStreamFanOutRemovesItsConsumers(t *testing.T) {
	r := newRig(t, nil)
	r.stream(jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
	r.put("orders.new", "before")
	consumers := func() int {
		s, err := r.js.Stream(soon(t), "ORDERS")
		if err != nil {
			t.Fatal(err)
		}
		return s.CachedInfo().State.Consumers
	}
	h, got := inbox(10)
	var subs []*broker.Subscription
	for range 2 {
		subs = append(subs, subscribe(t, r, "orders.*", h))
	}
	if n := consumers(); n != 2 {
		t.Fatalf("%d consumers", n)
	}
	r.put("orders.new", "after")
	for range 2 {
		if d := receive(t, got, "a message"); string(d.Body) != "after" || d.Subject != "orders.new" {
			t.Errorf("got %q on %s", d.Body, d.Subject)
		}
	}
	if _, err := subs[0].Drain(soon(t)); err != nil {
		t.Error(err)
	}
	eventually(t, "its consumer is removed", func() bool { return consumers() == 1 })
	if err := r.Close(soon(t)); err != nil {
		t.Error(err)
	}
	if n := consumers(); n != 0 {
		t.Errorf("%d consumers after Close", n)
	}
}

func TestJetStreamSubscriptionEndsWithItsConsumer(t *testing.T) {
	r := newRig(t, nil)
	r.stream(jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
	sub := subscribe(t, r, "orders.new", discard)
	s, err := r.js.Stream(soon(t), "ORDERS")
	if err != nil {
		t.Fatal(err)
	}
	for name := range s.ConsumerNames(soon(t)).Name() {
		if err := s.DeleteConsumer(soon(t), name); err != nil {
			t.Fatal(err)
		}
	}
	receive(t, sub.Done(), "the subscription's end")
	wantErr(t, sub.Err(), broker.ErrClosed, broker.ErrNotFound)
}

func TestJetStreamReplay(t *testing.T) {
	r := newRig(t, nil)
	r.stream(jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
	r.put("orders.a", "a1", "a2")
	r.put("orders.b", "b1")
	middle := r.last(t)
	r.put("orders.b", "b2")
	for name, test := range map[string]struct {
		start broker.Start
		want  []string
	}{
		"first":    {broker.FromFirst(), []string{"a1", "a2", "b1", "b2"}},
		"sequence": {broker.FromSequence(2), []string{"a2", "b1", "b2"}},
		"time":     {broker.FromTime(middle), []string{"b1", "b2"}},
		"last":     {broker.FromLastPerSubject(), []string{"a2", "b2"}},
		"new":      {broker.Start{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			h, got := inbox(10)
			sub := subscribe(t, r, "orders.>", h, test.start)
			var all []*broker.Delivery
			for range test.want {
				all = append(all, receive(t, got, "a message"))
			}
			if _, err := sub.Drain(soon(t)); err != nil {
				t.Error(err)
			}
			if !slices.Equal(texts(all), test.want) || len(got) > 0 {
				t.Errorf("got %q and %d more, want %q", texts(all), len(got), test.want)
			}
		})
	}
	_, err := r.Subscribe(soon(t), "orders.>", discard, broker.Group("g"), broker.FromFirst())
	wantErr(t, err, errors.ErrUnsupported)
}

// last is when the last message of ORDERS was stored.
func (r *rig) last(tb testing.TB) time.Time {
	tb.Helper()
	s, err := r.js.Stream(soon(tb), "ORDERS")
	if err != nil {
		tb.Fatal(err)
	}
	return s.CachedInfo().State.LastTime
}

func TestJetStreamRequestsAreTheCoreBrokers(t *testing.T) {
	r := newRig(t, nil)
	responder, err := broker.As[broker.Responder](r.JetStream)
	if err != nil {
		t.Fatal(err)
	}
	requester, err := broker.As[broker.Requester](r.JetStream)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := responder.Respond(soon(t), "ask", func(context.Context, *broker.Delivery) (broker.Message, error) {
		return broker.Message{Body: []byte("answer")}, nil
	}); err != nil {
		t.Fatal(err)
	}
	d, err := requester.Request(soon(t), broker.Message{Subject: "ask"})
	if err != nil || string(d.Body) != "answer" {
		t.Errorf("got %v, %v", d, err)
	}
	if _, static := any(r.JetStream).(broker.Requester); static || r.As(nil) {
		t.Error("JetStream has a role that it does not promise")
	}
}

func TestJetStreamPing(t *testing.T) {
	r := newRig(t, nil)
	if err := r.Ping(soon(t)); err != nil {
		t.Error(err)
	}
	core, err := natsbroker.NewJetStream(dial(t, startServer(t)), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, core.Ping(soon(t)), errors.ErrUnsupported)
	if err := core.Close(soon(t)); err != nil {
		t.Error(err)
	}
}

func TestJetStreamDeadLettersSurviveTheirMover(t *testing.T) {
	r := newRig(t, nil)
	dead := natsbroker.DeadLetters{Subject: "dead.orders", MaxAttempts: 2}
	r.orders(func(_ *jetstream.StreamConfig, c *jetstream.ConsumerConfig) {
		c.Metadata, c.AckWait = dead.Metadata(nil), 300*time.Millisecond
	})
	publish(t, r, broker.Message{Subject: "orders.new", Body: []byte("m"), DedupID: "id", Header: broker.Header{"k": "v"}})
	for attempt := 1; attempt <= 2; attempt++ {
		d := r.lease("ORDERS/c", 1)[0]
		if d.Attempt != attempt {
			t.Errorf("attempt %d, want %d", d.Attempt, attempt)
		}
		if err := r.Release(soon(t), 0, d); err != nil {
			t.Fatal(err)
		}
	}
	// No stream takes the copy yet: the message is not lost.
	ds, err := r.Receive(soon(t), "ORDERS/c", 1, broker.Wait(0))
	if err != nil || len(ds) > 0 {
		t.Fatalf("got %v, %v", ds, err)
	}
	if info := r.info("ORDERS/c"); info.NumAckPending != 1 {
		t.Fatalf("got %+v, want the message leased still", info)
	}
	// With one, it is moved when its lease has ended and it comes again.
	r.stream(jetstream.StreamConfig{Name: "DEAD", Subjects: []string{"dead.>"}})
	r.consumer("DEAD", jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
	ds, err = r.Receive(soon(t), "ORDERS/c", 1, broker.Wait(time.Second))
	if err != nil || len(ds) > 0 {
		t.Fatalf("got %v, %v", ds, err)
	}
	got := r.lease("DEAD/c", 1)[0]
	if string(got.Body) != "m" || got.Header["k"] != "v" || got.Header[broker.RejectAttemptsHeader] != "2" {
		t.Errorf("got %+v with the header %q", got, got.Header)
	}
	if info := r.info("ORDERS/c"); info.NumAckPending != 0 {
		t.Errorf("got %+v, want nothing left", info)
	}
}

func TestJetStreamRejectWithoutAStreamForDeadLetters(t *testing.T) {
	r := newRig(t, nil)
	r.orders(func(_ *jetstream.StreamConfig, c *jetstream.ConsumerConfig) {
		c.Metadata = natsbroker.DeadLetters{Subject: "dead.orders"}.Metadata(nil)
	})
	r.put("orders.new", "m")
	ds := r.lease("ORDERS/c", 1)
	wantErr(t, broker.ItemError(r.Reject(soon(t), "no", ds...), 0), broker.ErrNotFound)
	if err := r.Delete(soon(t), ds...); err != nil {
		t.Errorf("the message is not leased any more: %v", err)
	}
}

func TestJetStreamRejectAndRedrive(t *testing.T) {
	r := newRig(t, nil)
	dead := natsbroker.DeadLetters{Subject: "dead.orders"}
	r.orders(func(_ *jetstream.StreamConfig, c *jetstream.ConsumerConfig) { c.Metadata = dead.Metadata(nil) })
	r.stream(jetstream.StreamConfig{Name: "DEAD", Subjects: []string{"dead.>"}})
	r.consumer("DEAD", jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
	publish(t, r, broker.Message{
		Subject: "orders.new", Body: []byte("m"), DedupID: "id", Header: broker.Header{"k": "v", jetstream.ExpectedStreamHeader: "ORDERS"},
	})
	r.put("orders.new", "n")
	if err := r.Reject(soon(t), "line one\r\nline two", r.lease("ORDERS/c", 2)...); err != nil {
		t.Fatal(err)
	}
	ds := r.lease("DEAD/c", 2)
	d := ds[0]
	for key, want := range map[string]string{
		"k": "v", broker.RejectReasonHeader: "line one  line two", broker.RejectSourceHeader: "ORDERS/c",
		broker.RejectSubjectHeader: "orders.new", broker.RejectSequenceHeader: "1", broker.RejectAttemptsHeader: "1",
	} {
		if got := d.Header[key]; got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if err := r.Release(soon(t), 0, ds...); err != nil {
		t.Fatal(err)
	}
	n, err := r.Redrive(soon(t), "DEAD/c", 10)
	if n != 2 || err != nil {
		t.Errorf("%d redriven, %v", n, err)
	}
	back := r.lease("ORDERS/c", 2)[0]
	if string(back.Body) != "m" || back.Subject != "orders.new" || len(back.Header) != 1 || back.Header["k"] != "v" {
		t.Errorf("got %+v with the header %q", back, back.Header)
	}
	if info := r.info("DEAD/c"); info.NumAckPending+int(info.NumPending) != 0 {
		t.Errorf("left behind: %+v", info)
	}
}

// A handler that ignores its context holds neither Close nor the consumer.
func TestJetStreamCloseWithAHandlerThatHangs(t *testing.T) {
	r := newRig(t, nil)
	r.stream(jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
	started, free := make(chan struct{}), make(chan struct{})
	sub := subscribe(t, r, "orders.new", func(context.Context, *broker.Delivery) error {
		close(started)
		<-free
		return nil
	})
	r.put("orders.new", "m")
	receive(t, started, "the handler")
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	wantErr(t, r.Close(ctx), context.DeadlineExceeded)
	close(free)
	receive(t, sub.Done(), "the subscription's end")
	s, err := r.js.Stream(soon(t), "ORDERS")
	if err != nil || s.CachedInfo().State.Consumers != 0 {
		t.Errorf("%d consumers are left, %v", s.CachedInfo().State.Consumers, err)
	}
}

// Fan-out goes on where one node of a cluster does not: its consumer is on as many as
// the stream. Ordered makes another consumer when it has lost one.
func TestJetStreamFanOutHasTheStreamsReplicas(t *testing.T) {
	t.Parallel() // a cluster takes a second
	ports := []string{freePort(t), freePort(t)}
	a := clusterNode(t, "a", ports[0], "nats://127.0.0.1:"+ports[1])
	b := clusterNode(t, "b", ports[1], "nats://127.0.0.1:"+ports[0])
	eventually(t, "there is a leader", func() bool {
		return (a.JetStreamIsLeader() || b.JetStreamIsLeader()) && a.JetStreamIsCurrent() && b.JetStreamIsCurrent()
	})
	r := rigOn(t, a, nil)
	eventually(t, "the stream is made", func() bool {
		_, err := r.js.CreateStream(soon(t), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}, Replicas: 2})
		return err == nil
	})
	for want, opts := range map[int][]broker.SubscribeOption{1: {broker.Ordered{}}, 2: nil} {
		sub := subscribe(t, r, "orders.>", discard, opts...)
		eventually(t, "its consumer is listed", func() bool { return len(r.consumers()) == 1 })
		if got := r.info("ORDERS/" + r.consumers()[0]).Config.Replicas; got != want {
			t.Errorf("with %v: %d replicas, want %d", opts, got, want)
		}
		if _, err := sub.Drain(soon(t)); err != nil {
			t.Error(err)
		}
		eventually(t, "its consumer is removed", func() bool { return len(r.consumers()) == 0 })
	}
}

// A paused subscription asks for nothing, and keeps its consumer for longer than the
// server keeps one that nobody uses.
func TestJetStreamPausedFanOutKeepsItsConsumer(t *testing.T) {
	r := newRig(t, nil)
	const idle = 500 * time.Millisecond
	r.stream(jetstream.StreamConfig{
		Name: "ORDERS", Subjects: []string{"orders.>"}, ConsumerLimits: jetstream.StreamConsumerLimits{InactiveThreshold: idle},
	})
	h, got := inbox(10)
	sub := subscribe(t, r, "orders.>", h)
	own := "ORDERS/" + r.consumers()[0]
	eventually(t, "a receive is under way", func() bool { return r.info(own).NumWaiting == 1 })
	if err := sub.Pause(); err != nil {
		t.Fatal(err)
	}
	r.put("orders.new", "ends that receive")
	receive(t, got, "the first message")
	eventually(t, "it is deleted", func() bool { return r.info(own).AckFloor.Stream == 1 })
	for range 2 {
		r.consumer("ORDERS", jetstream.ConsumerConfig{Name: "unused", AckPolicy: jetstream.AckExplicitPolicy, InactiveThreshold: idle})
		eventually(t, "a consumer that nobody uses is gone", func() bool { return !slices.Contains(r.consumers(), "unused") })
	}
	r.put("orders.new", "a")
	if err := sub.Resume(); err != nil {
		t.Fatal(err)
	}
	if d := receive(t, got, "a message after the pause"); string(d.Body) != "a" {
		t.Errorf("got %s", d.Body)
	}
}
