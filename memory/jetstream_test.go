package memory_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// newJetStream has a stream ORDERS on orders.> with a consumer c, and a stream DEAD
// on dead with a consumer c.
func newJetStream(t *testing.T, s memory.StreamConfig, c memory.ConsumerConfig) *memory.JetStream {
	t.Helper()
	b := closing(t, memory.NewJetStream(nil))
	s.Name, c.Durable = "ORDERS", "c"
	if len(s.Subjects) == 0 {
		s.Subjects = []string{"orders.>"}
	}
	create(t, b, memory.StreamConfig{Name: "DEAD", Subjects: []string{"dead"}}, memory.ConsumerConfig{Durable: "c"})
	create(t, b, s, c)
	return b
}

func put(t *testing.T, b broker.Publisher, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		publish(t, b, text("orders.new", body))
	}
}

func wantBodies(t *testing.T, ds []*broker.Delivery, want ...string) {
	t.Helper()
	if got := fmt.Sprint(bodies(ds)); got != fmt.Sprint(want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestJetStreamTime(t *testing.T) {
	bubble(t, "max_age takes what is in hand too", func(t *testing.T) {
		b := newJetStream(t, memory.StreamConfig{MaxAge: time.Minute}, memory.ConsumerConfig{AckWait: time.Hour})
		put(t, b, "a", "b")
		d := receive(t, b, "ORDERS/c", 1)
		time.Sleep(time.Minute - 1)
		wantBodies(t, receive(t, b, "ORDERS/c", 10), "b")
		time.Sleep(time.Nanosecond)
		state, err := b.Contents("ORDERS/c")
		must(t, err)
		if len(state.InFlight)+len(state.Ready) > 0 {
			t.Errorf("left: %+v", state)
		}
		must(t, b.Delete(t.Context(), d...)) // the server confirms that too
	})
	bubble(t, "a TTL is rounded up", func(t *testing.T) {
		b := newJetStream(t, memory.StreamConfig{AllowMsgTTL: true}, memory.ConsumerConfig{})
		m := text("orders.new", "short")
		m.TTL = time.Second + 1
		publish(t, b, m)
		time.Sleep(2*time.Second - 1)
		must(t, b.Release(t.Context(), 0, one(t, b, "ORDERS/c")))
		time.Sleep(time.Nanosecond)
		none(t, b, "ORDERS/c")
	})
	bubble(t, "a window is from the first", func(t *testing.T) {
		b := newJetStream(t, memory.StreamConfig{Duplicates: time.Minute}, memory.ConsumerConfig{})
		m := text("orders.new", "x")
		m.DedupID = "id"
		first := publish(t, b, m)
		time.Sleep(time.Minute - 1)
		if r := publish(t, b, m); r.Outcome != broker.OutcomeDuplicate || r.Sequence != first.Sequence {
			t.Errorf("got %+v, want a duplicate of %+v", r, first)
		}
		time.Sleep(time.Nanosecond)
		if r := publish(t, b, m); r.Outcome != broker.OutcomeStored {
			t.Errorf("got %+v after the window", r)
		}
	})
	bubble(t, "a delayed message is a new one, in its turn", func(t *testing.T) {
		s := memory.StreamConfig{AllowMsgSchedules: true, Subjects: []string{"orders.>", memory.ScheduleSubject("ORDERS")}}
		b := newJetStream(t, s, memory.ConsumerConfig{FilterSubject: "orders.>"})
		m := text("orders.new", "late")
		m.Delay, m.Header, m.DedupID = time.Hour, broker.Header{"k": "v"}, "id"
		publish(t, b, m)
		put(t, b, "at once")
		began := time.Now()
		d := one(t, b, "ORDERS/c")
		wantBodies(t, []*broker.Delivery{d}, "at once")
		must(t, b.Delete(t.Context(), d))
		ds, err := b.Receive(t.Context(), "ORDERS/c", 1, broker.Wait(2*time.Hour))
		must(t, err)
		wantBodies(t, ds, "late")
		if d := ds[0]; time.Since(began) != time.Hour || d.ID != "ORDERS:3" || d.Header["k"] != "v" || d.DedupID != "" || !d.Time.Equal(time.Now()) {
			t.Errorf("after %v: %+v", time.Since(began), d)
		}
	})
	bubble(t, "the lease of each attempt", func(t *testing.T) {
		b := newJetStream(t, memory.StreamConfig{}, memory.ConsumerConfig{BackOff: []time.Duration{time.Second, time.Minute}})
		put(t, b, "x")
		for attempt, lease := range []time.Duration{time.Second, time.Minute, time.Minute} {
			began := time.Now()
			ds, err := b.Receive(t.Context(), "ORDERS/c", 1, broker.Wait(time.Hour))
			must(t, err)
			if d := ds[0]; d.Attempt != attempt+1 || time.Until(d.LeaseEnd) != lease {
				t.Errorf("attempt %d after %v, leased for %v, want attempt %d and %v", d.Attempt, time.Since(began), time.Until(d.LeaseEnd), attempt+1, lease)
			}
		}
	})
	bubble(t, "max_deliver strands", func(t *testing.T) {
		b := newJetStream(t, memory.StreamConfig{}, memory.ConsumerConfig{MaxDeliver: 2})
		put(t, b, "x")
		for range 2 {
			receive(t, b, "ORDERS/c", 1)
			time.Sleep(30 * time.Second)
		}
		none(t, b, "ORDERS/c")
		state, err := b.Contents("ORDERS/c")
		must(t, err)
		if len(state.Stranded) != 1 || len(state.InFlight) > 0 {
			t.Errorf("got %+v", state)
		}
		if h, err := b.Health(t.Context(), "ORDERS/c"); err != nil || h.OldestAge.V != time.Minute {
			t.Errorf("oldest %s, %v", h.OldestAge, err)
		}
	})
	bubble(t, "what is stranded is told", func(t *testing.T) {
		b := newJetStream(t, memory.StreamConfig{}, memory.ConsumerConfig{MaxDeliver: 1})
		notices := memory.StreamConfig{Name: "NOTICES", Subjects: []string{"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"}}
		create(t, b, notices, memory.ConsumerConfig{Durable: "c"})
		if s, err := b.Describe(t.Context(), "ORDERS/c"); err != nil || s.Receive.DeadLetter.V != "NOTICES" {
			t.Errorf("dead letter %s, %v", s.Receive.DeadLetter, err)
		}
		put(t, b, "x")
		one(t, b, "ORDERS/c")
		began := time.Now()
		ds, err := b.Receive(t.Context(), "NOTICES/c", 1, broker.Wait(time.Hour))
		must(t, err)
		if took := time.Since(began); took != 30*time.Second || len(ds) != 1 || !strings.Contains(string(ds[0].Body), `"stream_seq":1,"deliveries":1`) {
			t.Errorf("after %v: %q", took, bodies(ds))
		}
	})
	bubble(t, "a stream that comes later", func(t *testing.T) {
		b := closing(t, memory.NewJetStream(&memory.JetStreamOptions{StreamWait: 10 * time.Second}))
		time.AfterFunc(5*time.Second, func() {
			create(t, b, memory.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}}, memory.ConsumerConfig{Durable: "c"})
		})
		put(t, b, "x")
		_, err := b.Publish(t.Context(), text("nobody", "x"))
		wantErr(t, err, broker.ErrNotFound)
	})
}

func TestJetStreamRetention(t *testing.T) {
	bubble(t, "interest", func(t *testing.T) {
		b := closing(t, memory.NewJetStream(nil))
		must(t, b.CreateStream(memory.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}, Retention: memory.InterestRetention}))
		put(t, b, "unread")
		for _, name := range []string{"a", "b"} {
			must(t, b.CreateConsumer("ORDERS", memory.ConsumerConfig{Durable: name}))
		}
		put(t, b, "x", "y")
		must(t, b.Delete(t.Context(), receive(t, b, "ORDERS/a", 2)...))
		must(t, b.CreateConsumer("ORDERS", memory.ConsumerConfig{Durable: "later"}))
		wantBodies(t, receive(t, b, "ORDERS/later", 10), "x", "y")
		must(t, b.DeleteConsumer("ORDERS", "later"))
		must(t, b.Delete(t.Context(), receive(t, b, "ORDERS/b", 10)...))
		must(t, b.CreateConsumer("ORDERS", memory.ConsumerConfig{Durable: "last"}))
		none(t, b, "ORDERS/last")
	})
	bubble(t, "work queue", func(t *testing.T) {
		b := newJetStream(t, memory.StreamConfig{Retention: memory.WorkQueueRetention}, memory.ConsumerConfig{FilterSubject: "orders.new"})
		put(t, b, "x", "y")
		must(t, b.Delete(t.Context(), receive(t, b, "ORDERS/c", 1)...))
		wantErr(t, b.CreateConsumer("ORDERS", memory.ConsumerConfig{Durable: "second"}), broker.ErrInvalid)
		must(t, b.DeleteConsumer("ORDERS", "c"))
		must(t, b.CreateConsumer("ORDERS", memory.ConsumerConfig{Durable: "second"}))
		wantBodies(t, receive(t, b, "ORDERS/second", 10), "y")
		_, err := b.Subscribe(t.Context(), "orders.new", discard)
		wantErr(t, err, errors.ErrUnsupported)
	})
}

// Each of two fields that may not change is named.
func TestJetStreamUpdateStream(t *testing.T) {
	b := newJetStream(t, memory.StreamConfig{}, memory.ConsumerConfig{})
	c := memory.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}, Retention: memory.WorkQueueRetention, Storage: memory.MemoryStorage}
	err := b.UpdateStream(c)
	wantErr(t, err, broker.ErrInvalid)
	for _, want := range []string{"Retention", "WorkQueue", "Limits, as", "Storage", "Memory", "File, as"} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	c.Retention, c.Storage = memory.LimitsRetention, memory.MemoryStorage+1
	wantErr(t, b.UpdateStream(c), broker.ErrInvalid)
	c.Storage, c.MaxMsgs = memory.FileStorage, 1
	must(t, b.UpdateStream(c))
}

// A stream with interest retention discards what no consumer wants, and says so.
func TestJetStreamInterest(t *testing.T) {
	b := newJetStream(t, memory.StreamConfig{Retention: memory.InterestRetention}, memory.ConsumerConfig{FilterSubject: "orders.new"})
	discarded := func(subject string) bool {
		t.Helper()
		found, err := broker.Check(t.Context(), b, subject, broker.Usage{Publishes: true})
		must(t, err)
		return slices.ContainsFunc(found, func(f broker.Finding) bool {
			return f.Code == "unread-discarded" && f.Severity == broker.SeverityError
		})
	}
	if discarded("orders.new") || !discarded("orders.old") {
		t.Error("unread-discarded is not where the filter does not match, or where it does")
	}
	must(t, b.CreateConsumer("ORDERS", memory.ConsumerConfig{Durable: "d", FilterSubject: "orders.d"}))
	for subject, want := range map[string]int{"orders.new": 2, "orders.old": 0} { // all consumers, or none
		s, err := b.Describe(t.Context(), subject)
		must(t, err)
		if s.Publish.Readers.State != broker.StateKnown || s.Publish.Readers.V != want {
			t.Errorf("%s: got %+v, want %d", subject, s.Publish.Readers, want)
		}
	}
}

func discard(context.Context, *broker.Delivery) error { return nil }

func TestJetStreamReplay(t *testing.T) {
	for name, test := range map[string]struct {
		start func(middle time.Time) broker.Start
		want  string
	}{
		"first":    {func(time.Time) broker.Start { return broker.FromFirst() }, "[a1 a2 b1 b2 new]"},
		"sequence": {func(time.Time) broker.Start { return broker.FromSequence(2) }, "[a2 b1 b2 new]"},
		"time":     {broker.FromTime, "[b1 b2 new]"},
		"last":     {func(time.Time) broker.Start { return broker.FromLastPerSubject() }, "[a2 b2 new]"},
		"new":      {func(time.Time) broker.Start { return broker.FromNew() }, "[new]"},
		"nothing":  {func(time.Time) broker.Start { return broker.Start{} }, "[new]"},
	} {
		bubble(t, name, func(t *testing.T) {
			b := closing(t, memory.NewJetStream(nil))
			must(t, b.CreateStream(memory.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}}))
			publish(t, b, text("orders.a", "a1"), text("orders.a", "a2"))
			time.Sleep(time.Hour)
			middle := time.Now()
			publish(t, b, text("orders.b", "b1"), text("orders.b", "b2"))
			var got []string
			sub, err := b.Subscribe(t.Context(), "orders.>", func(_ context.Context, d *broker.Delivery) error {
				got = append(got, string(d.Body))
				return nil
			}, test.start(middle))
			must(t, err)
			publish(t, b, text("orders.c", "new"))
			must(t, b.WaitIdle(t.Context()))
			_, err = sub.Drain(t.Context())
			must(t, err)
			if fmt.Sprint(got) != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestJetStreamSubscriptionEndsWithItsConsumer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJetStream(t, memory.StreamConfig{}, memory.ConsumerConfig{})
		sub, err := b.Subscribe(t.Context(), "orders.*", discard)
		must(t, err)
		must(t, b.DeleteStream("ORDERS"))
		<-sub.Done()
		wantErr(t, sub.Err(), broker.ErrClosed, broker.ErrNotFound)
	})
}

func TestJetStreamGroups(t *testing.T) {
	b := newJetStream(t, memory.StreamConfig{}, memory.ConsumerConfig{FilterSubject: "orders.new"})
	for name, test := range map[string]struct {
		subject string
		opts    []broker.SubscribeOption
		want    error
	}{
		"no such consumer":       {"orders.new", []broker.SubscribeOption{broker.Group("nobody")}, broker.ErrNotFound},
		"another subject":        {"orders.old", []broker.SubscribeOption{broker.Group("c")}, errors.ErrUnsupported},
		"a consumer, no group":   {"ORDERS/c", nil, errors.ErrUnsupported},
		"another group":          {"ORDERS/c", []broker.SubscribeOption{broker.Group("d")}, errors.ErrUnsupported},
		"nobody's subject":       {"nobody", nil, broker.ErrNotFound},
		"more than the stream":   {"*.new", nil, errors.ErrUnsupported},
		"group and start":        {"orders.new", []broker.SubscribeOption{broker.Group("c"), broker.FromFirst()}, errors.ErrUnsupported},
		"a group with a dot":     {"orders.new", []broker.SubscribeOption{broker.Group("a.b")}, broker.ErrInvalid},
		"a consumer that is not": {"ORDERS/d", []broker.SubscribeOption{broker.Group("d")}, broker.ErrNotFound},
	} {
		if _, err := b.Subscribe(t.Context(), test.subject, discard, test.opts...); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
}

func TestJetStreamRequestsAreTheCoreBrokers(t *testing.T) {
	b := newJetStream(t, memory.StreamConfig{}, memory.ConsumerConfig{})
	responder, err := broker.As[broker.Responder](b)
	must(t, err)
	requester, err := broker.As[broker.Requester](b)
	must(t, err)
	answer := func(context.Context, *broker.Delivery) (broker.Message, error) {
		return broker.Message{Body: []byte("answer")}, nil
	}
	_, err = responder.Respond(t.Context(), "ask", answer)
	must(t, err)
	d, err := requester.Request(t.Context(), broker.Message{Subject: "ask"})
	if err != nil || string(d.Body) != "answer" {
		t.Errorf("got %v, %v", d, err)
	}
	_, err = requester.Request(t.Context(), broker.Message{Subject: "orders.new"})
	wantErr(t, err, errors.ErrUnsupported)
	_, err = responder.Respond(t.Context(), "orders.new", answer)
	wantErr(t, err, errors.ErrUnsupported)
	gatherer, err := broker.As[broker.Gatherer](b)
	must(t, err)
	for _, err := range gatherer.Gather(t.Context(), broker.Message{Subject: "orders.new"}) {
		wantErr(t, err, errors.ErrUnsupported)
	}
	if b.As(nil) {
		t.Error("As(nil) is true")
	}
}

func TestJetStreamLeaseIsTheConsumers(t *testing.T) {
	b := newJetStream(t, memory.StreamConfig{}, memory.ConsumerConfig{AckWait: time.Minute})
	put(t, b, "x")
	_, err := b.Receive(t.Context(), "ORDERS/c", 1, broker.Lease(time.Hour))
	wantErr(t, err, errors.ErrUnsupported)
	d := one(t, b, "ORDERS/c", broker.Lease(time.Minute))
	wantErr(t, b.Extend(t.Context(), time.Hour, d), errors.ErrUnsupported)
	must(t, b.Extend(t.Context(), time.Minute, d))
}

// A copy that no stream takes leaves the message where it is.
func TestJetStreamDeadLettersSurviveTheirMover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		b := closing(t, memory.NewJetStream(&memory.JetStreamOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))}))
		dead := memory.DeadLetters{Subject: "dead", MaxAttempts: 1}
		create(t, b, memory.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}}, memory.ConsumerConfig{Durable: "c", DeadLetters: dead})
		put(t, b, "x")
		must(t, b.Release(t.Context(), 0, one(t, b, "ORDERS/c")))
		none(t, b, "ORDERS/c")
		if !strings.Contains(log.String(), "dead letter not moved") {
			t.Errorf("logged: %s", log.String())
		}
		create(t, b, memory.StreamConfig{Name: "DEAD", Subjects: []string{"dead"}}, memory.ConsumerConfig{Durable: "c"})
		ds, err := b.Receive(t.Context(), "ORDERS/c", 1, broker.Wait(time.Hour))
		if err != nil || len(ds) > 0 {
			t.Errorf("got %v, %v", ds, err)
		}
		d := one(t, b, "DEAD/c")
		for key, want := range map[string]string{
			"reason": "tried 1 times", "source": "ORDERS/c", "subject": "orders.new", "sequence": "1", "attempts": "1",
		} {
			if got := d.Header["candidmq-reject-"+key]; got != want {
				t.Errorf("%s is %q, want %q", key, got, want)
			}
		}
	})
}

func TestJetStreamWithoutAcks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJetStream(t, memory.StreamConfig{NoAck: true}, memory.ConsumerConfig{AckNone: true})
		_, err := b.Publish(t.Context(), text("orders.new", "x"))
		wantErr(t, err, broker.ErrOutcomeUnknown, context.DeadlineExceeded)
		d := one(t, b, "ORDERS/c")
		if !d.LeaseEnd.IsZero() {
			t.Errorf("leased until %v", d.LeaseEnd)
		}
		wantErr(t, b.Release(t.Context(), 0, d), errors.ErrUnsupported)
		must(t, b.Extend(t.Context(), 0, d))
		must(t, b.Delete(t.Context(), d))
	})
}

func TestJetStreamFailuresAndDeliveriesMadeByHand(t *testing.T) {
	b := newJetStream(t, memory.StreamConfig{}, memory.ConsumerConfig{})
	for op, call := range map[memory.Op]func() error{
		memory.OpPublish:   func() error { _, err := b.Publish(t.Context(), text("orders.new", "x")); return err },
		memory.OpReceive:   func() error { _, err := b.Receive(t.Context(), "ORDERS/c", 1, broker.Wait(0)); return err },
		memory.OpDescribe:  func() error { _, err := b.Describe(t.Context(), "ORDERS/c"); return err },
		memory.OpHealth:    func() error { _, err := b.Health(t.Context(), "ORDERS/c"); return err },
		memory.OpPing:      func() error { return b.Ping(t.Context()) },
		memory.OpFlush:     func() error { return b.Flush(t.Context()) },
		memory.OpSubscribe: func() error { _, err := b.Subscribe(t.Context(), "orders.>", discard); return err },
	} {
		b.FailNext(op, 1, broker.ErrUnavailable)
		wantErr(t, call(), broker.ErrUnavailable)
		must(t, call())
	}
	h := &memory.Handle{}
	d := &broker.Delivery{Handle: h}
	b.FailNext(memory.OpReject, 1, broker.ErrUnavailable)
	wantErr(t, b.Reject(t.Context(), "no", d), broker.ErrUnavailable)
	must(t, b.Reject(t.Context(), "no", d))
	if h.Settled() != memory.Rejected || h.Reason() != "no" {
		t.Errorf("%v, %q", h.Settled(), h.Reason())
	}
	wantErr(t, b.Release(t.Context(), 0, d), broker.ErrLeaseLost)
	other := newJetStream(t, memory.StreamConfig{}, memory.ConsumerConfig{})
	put(t, other, "x")
	wantErr(t, b.Delete(t.Context(), one(t, other, "ORDERS/c")), broker.ErrInvalid)
}

// What natsbroker does with its options: it copies the tables, and ignores no field
// that JetStream honours.
func TestJetStreamOptionsAreCopied(t *testing.T) {
	subjects, queues := map[string]string{"name": "orders.new"}, map[string]string{"work": "ORDERS/c"}
	b := closing(t, memory.NewJetStream(&memory.JetStreamOptions{
		Subjects: subjects, Queues: queues, StreamWait: -1, Ignore: broker.FieldDedupID | broker.FieldKey,
	}))
	create(t, b, memory.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.new"}}, memory.ConsumerConfig{Durable: "c"})
	clear(subjects)
	clear(queues)
	m := text("name", "x")
	m.DedupID, m.Key = "id", "ignored"
	for _, want := range []broker.Outcome{broker.OutcomeStored, broker.OutcomeDuplicate} {
		if r := publish(t, b, m); r.Outcome != want {
			t.Errorf("got %v, want %v", r.Outcome, want)
		}
	}
	one(t, b, "work")
}
