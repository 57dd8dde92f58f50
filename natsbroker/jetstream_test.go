package natsbroker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// rig is a server with JetStream, a broker, and nats.go's own client beside it.
type rig struct {
	testing.TB
	*natsbroker.JetStream
	server *server.Server
	js     jetstream.JetStream // on a connection of its own
}

func newRig(tb testing.TB, o *natsbroker.JetStreamOptions) *rig {
	tb.Helper()
	s := startServer(tb, withJetStream(tb))
	return rigOn(tb, s, o)
}

func rigOn(tb testing.TB, s *server.Server, o *natsbroker.JetStreamOptions, opts ...nats.Option) *rig {
	tb.Helper()
	js, err := jetstream.New(dial(tb, s, opts...))
	if err != nil {
		tb.Fatal(err)
	}
	j, err := natsbroker.NewJetStream(dial(tb, s, opts...), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = j.Close(context.WithoutCancel(tb.Context())) })
	return &rig{tb, j, s, js}
}

func (r *rig) stream(c jetstream.StreamConfig) {
	r.Helper()
	if _, err := r.js.CreateStream(soon(r), c); err != nil {
		r.Fatal(err)
	}
}

// orders is a stream on orders.> with a consumer named c.
func (r *rig) orders(change ...func(*jetstream.StreamConfig, *jetstream.ConsumerConfig)) {
	r.Helper()
	s := jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}}
	c := jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy}
	for _, ch := range change {
		ch(&s, &c)
	}
	r.stream(s)
	r.consumer(s.Name, c)
}

func (r *rig) consumer(stream string, c jetstream.ConsumerConfig) {
	r.Helper()
	if _, err := r.js.CreateConsumer(soon(r), stream, c); err != nil {
		r.Fatal(err)
	}
}

func (r *rig) put(subject string, bodies ...string) {
	r.Helper()
	for _, body := range bodies {
		publish(r, r, broker.Message{Subject: subject, Body: []byte(body)})
	}
}

// lease receives exactly n messages.
func (r *rig) lease(queue string, n int) []*broker.Delivery {
	r.Helper()
	var all []*broker.Delivery
	for len(all) < n {
		ds, err := r.Receive(soon(r), queue, n-len(all), broker.Wait(patience))
		if err != nil || len(ds) == 0 {
			r.Fatalf("%d messages and no more, want %d (%v)", len(all), n, err)
		}
		all = append(all, ds...)
	}
	return all
}

func (r *rig) info(queue string) *jetstream.ConsumerInfo {
	r.Helper()
	stream, name, _ := strings.Cut(queue, "/")
	c, err := r.js.Consumer(soon(r), stream, name)
	if err != nil {
		r.Fatal(err)
	}
	return c.CachedInfo()
}

func wantErr(tb testing.TB, err error, targets ...error) {
	tb.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			tb.Errorf("got %v, want an error matching %q", err, target)
		}
	}
}

func wantText(tb testing.TB, err error, text string) {
	tb.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		tb.Errorf("got %v, want it to say %q", err, text)
	}
}

func texts(ds []*broker.Delivery) []string {
	var all []string
	for _, d := range ds {
		all = append(all, string(d.Body))
	}
	return all
}

func TestJetStreamReceiptsTellWhatTheStreamDid(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	m := broker.Message{Subject: "orders.new", DedupID: "one", Header: broker.Header{"k": "v"}}
	first, err := r.Publish(soon(t), m)
	if err != nil || first.Outcome != broker.OutcomeStored || first.ID != "ORDERS:1" || first.Sequence != broker.NewSequence(1) {
		t.Errorf("got %+v, %v", first, err)
	}
	m.Subject = "orders.old" // the id is the stream's
	again, err := r.Publish(soon(t), m)
	if err != nil || again.Outcome != broker.OutcomeDuplicate || again.Sequence != first.Sequence {
		t.Errorf("got %+v, %v; want the duplicate of %+v", again, err, first)
	}
	if len(m.Header) != 1 {
		t.Errorf("the caller's header became %q", m.Header)
	}
	d := r.lease("ORDERS/c", 1)[0]
	if d.ID != first.ID || d.Sequence != first.Sequence || d.DedupID != "one" || d.Subject != "orders.new" || d.Source != "ORDERS/c" {
		t.Errorf("got %+v", d)
	}
	if _, ok := d.Header["Nats-Msg-Id"]; ok {
		t.Error("a control header of the server's is among the publisher's")
	}
	var native *nats.Msg
	if !d.As(&native) || native.Header.Get("Nats-Msg-Id") != "one" {
		t.Errorf("the native message is %+v", native)
	}
}

func TestJetStreamPublishWithoutAStreamFailsAtOnceAndNamesTheRemedy(t *testing.T) {
	r := newRig(t, nil)
	began := time.Now()
	_, err := r.Publish(soon(t), broker.Message{Subject: "nobody"})
	wantErr(t, err, broker.ErrNotFound)
	wantText(t, err, "EnsureStream")
	if errors.Is(err, broker.ErrOutcomeUnknown) {
		t.Error("nothing was stored, and the error does not know it")
	}
	if took := time.Since(began); took > 400*time.Millisecond {
		t.Errorf("it took %v", took)
	}
}

func TestJetStreamStreamWaitOutlastsAMissingLeader(t *testing.T) {
	r := newRig(t, &natsbroker.JetStreamOptions{StreamWait: patience})
	published := make(chan error, 1)
	go func() {
		_, err := r.Publish(context.WithoutCancel(t.Context()), broker.Message{Subject: "orders.new"})
		published <- err
	}()
	select {
	case err := <-published:
		t.Fatalf("got %v before there was a stream", err)
	case <-time.After(300 * time.Millisecond): // a pause between tries, at least
	}
	r.orders()
	if err := receive(t, published, "the publish"); err != nil {
		t.Error(err)
	}
}

func TestJetStreamRefusesWhatAStreamCannotHonour(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	for name, test := range map[string]struct {
		m    broker.Message
		want error
		says string
	}{
		"reply to":       {broker.Message{ReplyTo: "r"}, errors.ErrUnsupported, "acknowledgement"},
		"key":            {broker.Message{Key: "k"}, errors.ErrUnsupported, "max_ack_pending"},
		"tenant":         {broker.Message{Tenant: "t"}, errors.ErrUnsupported, "fair"},
		"ttl":            {broker.Message{TTL: time.Hour}, errors.ErrUnsupported, "allow_msg_ttl"},
		"delay":          {broker.Message{Delay: time.Hour}, errors.ErrUnsupported, "allow_msg_schedules"},
		"control header": {broker.Message{Header: broker.Header{"Nats-TTL": "1s"}}, broker.ErrInvalid, "Nats-"},
		"case":           {broker.Message{Header: broker.Header{"nats-msg-id": "1"}}, broker.ErrInvalid, "Nats-"},
		"bad id":         {broker.Message{DedupID: "a\r\nb"}, broker.ErrInvalid, "Header"},
		"too large":      {broker.Message{Body: make([]byte, 2<<20)}, broker.ErrTooLarge, "max_payload"},
	} {
		m := test.m
		m.Subject = "orders.new"
		_, err := r.Publish(soon(t), m)
		if !errors.Is(err, test.want) || !strings.Contains(fmt.Sprint(err), test.says) {
			t.Errorf("%s: got %v, want %v that says %q", name, err, test.want, test.says)
		}
	}
	if n := r.info("ORDERS/c").NumPending; n != 0 {
		t.Errorf("%d messages were stored", n)
	}
}

func TestJetStreamExpectations(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	m := broker.Message{Subject: "orders.new", Header: broker.Header{jetstream.ExpectedLastSeqHeader: "0"}}
	publish(t, r, m)
	_, err := r.Publish(soon(t), m)
	wantErr(t, err, natsbroker.ErrExpectation)
	if api, ok := errors.AsType[*jetstream.APIError](err); !ok || api.ErrorCode != 10071 {
		t.Errorf("got %v, want the server's own answer in it", err)
	}
}

func TestJetStreamFullStream(t *testing.T) {
	r := newRig(t, nil)
	r.orders(func(s *jetstream.StreamConfig, _ *jetstream.ConsumerConfig) {
		s.MaxMsgs, s.Discard = 1, jetstream.DiscardNew
	})
	r.put("orders.new", "fits")
	_, err := r.Publish(soon(t), broker.Message{Subject: "orders.new"})
	wantErr(t, err, natsbroker.ErrFull, broker.ErrThrottled)
}

// A responder on a subject that a stream captures may answer first: its answer is
// no acknowledgement, whatever it is made of.
func TestJetStreamIgnoresAnswersOfOthers(t *testing.T) {
	r := newRig(t, nil)
	r.orders(func(s *jetstream.StreamConfig, _ *jetstream.ConsumerConfig) { s.NoAck = true })
	service, err := r.js.Conn().Subscribe("orders.new", func(m *nats.Msg) {
		_ = m.Respond(m.Data)
		_ = m.Respond([]byte(`{"stream":"ORDERS","seq":7}`)) // in the stream's place
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = service.Unsubscribe() }()
	if err := r.js.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{
		"", "hello", `{"hello":"there"}`, `{"result":1,"error":null}`, `{"error":"bad request"}`, `{"stream":false}`, `{"stream":"films"}`,
		`{"error":{"code":404,"description":"no such customer"}}`,
	} {
		receipt, err := r.Publish(soon(t), broker.Message{Subject: "orders.new", Body: []byte(body)})
		if err != nil || receipt.Outcome != broker.OutcomeStored || receipt.ID != "ORDERS:7" {
			t.Errorf("%q first: got %+v, %v", body, receipt, err)
		}
	}
}

func TestJetStreamUnansweredPublishIsOfUnknownOutcome(t *testing.T) {
	r := newRig(t, nil)
	r.stream(jetstream.StreamConfig{Name: "SILENT", Subjects: []string{"silent"}, NoAck: true})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := r.Publish(ctx, broker.Message{Subject: "silent"})
	wantErr(t, err, broker.ErrOutcomeUnknown, context.DeadlineExceeded)
	receipts, err := r.PublishBatch(ctx, []broker.Message{{Subject: "silent"}, {Subject: "silent"}})
	wantErr(t, err, context.DeadlineExceeded)
	if len(receipts) != 2 {
		t.Errorf("%d receipts", len(receipts))
	}
}

func TestJetStreamManyPublishers(t *testing.T) {
	r := newRig(t, &natsbroker.JetStreamOptions{MaxInFlight: 5})
	r.orders()
	const each = 50
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range each {
				if _, err := r.Publish(soon(t), broker.Message{Subject: "orders.new"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	group.Wait()
	s, err := r.js.Stream(soon(t), "ORDERS")
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Msgs; n != 8*each {
		t.Errorf("%d stored, want %d", n, 8*each)
	}
}

func TestJetStreamTTLIsRoundedUp(t *testing.T) {
	r := newRig(t, nil)
	r.orders(func(s *jetstream.StreamConfig, _ *jetstream.ConsumerConfig) { s.AllowMsgTTL = true })
	publish(t, r, broker.Message{Subject: "orders.new", TTL: time.Minute + time.Millisecond})
	var native *nats.Msg
	if !r.lease("ORDERS/c", 1)[0].As(&native) || native.Header.Get("Nats-TTL") != "1m1s" && native.Header.Get("Nats-TTL") != "61s" {
		t.Errorf("got the headers %q", native.Header)
	}
}

// Delayed messages of one subject do not replace each other, and come to the
// millisecond.
func TestJetStreamDelays(t *testing.T) {
	r := newRig(t, nil)
	r.orders(func(s *jetstream.StreamConfig, c *jetstream.ConsumerConfig) {
		s.Subjects = append(s.Subjects, natsbroker.ScheduleSubject("ORDERS"))
		s.AllowMsgSchedules = true
		c.FilterSubject = "orders.>"
	})
	sent := time.Now()
	for _, body := range []string{"a", "b", "c"} {
		publish(t, r, broker.Message{Subject: "orders.new", Body: []byte(body), Delay: 1500 * time.Millisecond, Header: broker.Header{"k": "v"}})
	}
	ds := r.lease("ORDERS/c", 3)
	if took := time.Since(sent); took < 1500*time.Millisecond {
		t.Errorf("there after %v", took)
	}
	for _, d := range ds {
		if d.Subject != "orders.new" || !d.Time.After(sent) || len(d.Header) != 1 || d.Header["k"] != "v" {
			t.Errorf("got %+v with the header %q", d, d.Header)
		}
	}
}

func TestJetStreamDelayNeedsAStreamThatDeliversIt(t *testing.T) {
	r := newRig(t, nil)
	schedules := natsbroker.ScheduleSubject
	for name, c := range map[string]jetstream.StreamConfig{
		"PLAIN":    {Subjects: []string{"plain", schedules("PLAIN")}},
		"NOWHERE":  {Subjects: []string{"nowhere"}, AllowMsgSchedules: true},
		"INTEREST": {Subjects: []string{"interest", schedules("INTEREST")}, AllowMsgSchedules: true, Retention: jetstream.InterestPolicy},
	} {
		c.Name = name
		r.stream(c)
		subject := strings.ToLower(name)
		_, err := r.Publish(soon(t), broker.Message{Subject: subject, Delay: time.Second})
		wantErr(t, err, errors.ErrUnsupported)
		if s := describe(t, r, subject); s.Publish.MaxDelay.State != broker.StateNone {
			t.Errorf("%s: a delay is refused, and described as %s", name, s.Publish.MaxDelay)
		}
	}
	_, err := r.Publish(soon(t), broker.Message{Subject: "nobody", Delay: time.Second})
	wantErr(t, err, broker.ErrNotFound)
}
