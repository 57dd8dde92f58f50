package natsbroker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
	"github.com/candidmq/candidmq/memory"
	"github.com/candidmq/candidmq/natsbroker"
)

// A stream that is made anew counts from 1 again. Its dead letters are not taken for
// those of the one before.
func TestJetStreamDeadLettersOfAStreamMadeAnew(t *testing.T) {
	r := newRig(t, nil)
	r.deadLettered(3, time.Minute)
	r.put("orders.new", "first")
	if err := r.Reject(soon(t), "bad", r.lease("ORDERS/c", 1)...); err != nil {
		t.Fatal(err)
	}
	if err := r.js.DeleteStream(soon(t), "ORDERS"); err != nil {
		t.Fatal(err)
	}
	r.orders(func(_ *jetstream.StreamConfig, c *jetstream.ConsumerConfig) {
		c.Metadata = natsbroker.DeadLetters{Subject: "dead.orders", MaxAttempts: 3}.Metadata(nil)
	})
	r.put("orders.new", "second")
	if err := r.Reject(soon(t), "bad", r.lease("ORDERS/c", 1)...); err != nil {
		t.Fatal(err)
	}
	if got, want := texts(r.lease("DEAD/c", 2)), []string{"first", "second"}; !slices.Equal(got, want) {
		t.Errorf("the dead letters are %q, want %q", got, want)
	}
}

// So it is with what is redriven from a stream of dead letters that is made anew.
func TestJetStreamRedriveFromAStreamMadeAnew(t *testing.T) {
	r := newRig(t, nil)
	r.deadLettered(3, time.Minute)
	for _, body := range []string{"first", "second"} {
		r.put("orders.new", body)
		if err := r.Reject(soon(t), "bad", r.lease("ORDERS/c", 1)...); err != nil {
			t.Fatal(err)
		}
		if n, err := r.Redrive(soon(t), "DEAD/c", 10); n != 1 || err != nil {
			t.Fatalf("%d redriven, %v", n, err)
		}
		ds := r.lease("ORDERS/c", 1)
		if got := string(ds[0].Body); got != body {
			t.Errorf("%s came back, want %s", got, body)
		}
		if err := r.Delete(soon(t), ds...); err != nil {
			t.Fatal(err)
		}
		if err := r.js.DeleteStream(soon(t), "DEAD"); err != nil {
			t.Fatal(err)
		}
		r.stream(jetstream.StreamConfig{Name: "DEAD", Subjects: []string{"dead.>"}})
		r.consumer("DEAD", jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
	}
}

// What cannot be moved keeps nothing else from being moved, and is there afterwards.
func TestJetStreamRedriveGoesPastWhatStays(t *testing.T) {
	r := newRig(t, nil)
	r.deadLettered(3, time.Minute)
	const foreign, own = 12, 3
	for i := range foreign {
		r.put("dead.orders", fmt.Sprint("foreign ", i))
	}
	publish(t, r, broker.Message{
		Subject: "dead.orders", Body: []byte("lost"), Header: broker.Header{broker.RejectSubjectHeader: "nobody.has.it"},
	})
	for i := range own {
		r.put("orders.new", fmt.Sprint(i))
	}
	if err := r.Reject(soon(t), "bad", r.lease("ORDERS/c", own)...); err != nil {
		t.Fatal(err)
	}
	n, err := r.Redrive(soon(t), "DEAD/c", 2)
	if n != 2 {
		t.Errorf("%d redriven, want as many as asked for", n)
	}
	wantErr(t, err, broker.ErrInvalid)
	n, err = r.Redrive(soon(t), "DEAD/c", 10)
	if n != own-2 {
		t.Errorf("%d redriven, want the rest", n)
	}
	wantErr(t, err, broker.ErrInvalid)
	if text := err.Error(); strings.Count(text, "stays:") != 10 || !strings.Contains(text, "and 3 more messages") {
		t.Errorf("got %v; want ten that stay, and how many more", err)
	}
	if got, want := texts(r.lease("ORDERS/c", own)), []string{"0", "1", "2"}; !slices.Equal(got, want) {
		t.Errorf("came back: %q, want %q", got, want)
	}
	r.lease("DEAD/c", foreign+1) // at once: they are not leased to the redrive
}

func TestJetStreamRedriveEndsWithWhatConcernsAll(t *testing.T) {
	r := newRig(t, nil)
	r.deadLettered(3, time.Minute)
	for _, limit := range []int{0, -1} {
		_, err := r.Redrive(soon(t), "DEAD/c", limit)
		wantErr(t, err, broker.ErrInvalid)
	}
	_, err := r.Redrive(soon(t), "DEAD/none", 1)
	wantErr(t, err, broker.ErrNotFound)
	r.stream(jetstream.StreamConfig{Name: "SILENT", Subjects: []string{"silent"}, NoAck: true})
	publish(t, r, broker.Message{
		Subject: "dead.orders", Body: []byte("m"), Header: broker.Header{broker.RejectSubjectHeader: "silent"},
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	n, err := r.Redrive(ctx, "DEAD/c", 10)
	if n != 0 {
		t.Errorf("%d redriven", n)
	}
	wantErr(t, err, context.DeadlineExceeded)
	r.lease("DEAD/c", 1) // at once, for it was given back
}

// A stream for dead letters that does not answer holds up neither a Receive nor Close
// nor the other messages of a request.
func TestJetStreamMovesDeadLettersBesideOthers(t *testing.T) {
	const timeout = time.Minute
	r := newRig(t, &natsbroker.JetStreamOptions{RequestTimeout: timeout})
	r.stream(jetstream.StreamConfig{Name: "DEAD", Subjects: []string{"dead.>"}, NoAck: true})
	r.orders(func(_ *jetstream.StreamConfig, c *jetstream.ConsumerConfig) {
		c.Metadata = natsbroker.DeadLetters{Subject: "dead.orders", MaxAttempts: 1}.Metadata(nil)
		c.AckWait = 2 * timeout
	})
	r.put("orders.new", "a", "b", "c")
	if err := r.Release(soon(t), 0, r.lease("ORDERS/c", 3)...); err != nil {
		t.Fatal(err)
	}
	r.put("orders.new", "good")
	begun := time.Now()
	if got := texts(r.lease("ORDERS/c", 1)); got[0] != "good" {
		t.Errorf("got %q", got)
	}
	r.put("orders.new", "d")
	if err := r.Release(soon(t), 0, r.lease("ORDERS/c", 1)...); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if ds, _ := r.Receive(ctx, "ORDERS/c", 1); len(ds) > 0 {
		t.Errorf("got %q, which was tried often enough", texts(ds))
	}
	if err := r.Close(soon(t)); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took > timeout/6 {
		t.Errorf("it took %v", took)
	}
}

// What cannot work as dead letters is refused, by memory's JetStream too.
func TestEnsureRefusesDeadLettersThatCannotWork(t *testing.T) {
	w := newTwins(t, newRig(t, nil), nil)
	w.ensureStream("orders", memory.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>", "other.>"}})
	w.ensureStream("dead", memory.StreamConfig{Name: "DEAD", Subjects: []string{"dead.>"}})
	for name, c := range map[string]struct {
		config memory.ConsumerConfig
		field  string // that is refused; "": none
	}{
		"fine":                 {memory.ConsumerConfig{MaxDeliver: 4, DeadLetters: memory.DeadLetters{Subject: "dead.orders", MaxAttempts: 3}}, ""},
		"no limit":             {memory.ConsumerConfig{MaxDeliver: -1, DeadLetters: memory.DeadLetters{Subject: "dead.orders", MaxAttempts: 3}}, ""},
		"rejected only":        {memory.ConsumerConfig{MaxDeliver: 3, DeadLetters: memory.DeadLetters{Subject: "dead.orders"}}, ""},
		"beside the filter":    {memory.ConsumerConfig{FilterSubject: "orders.new", DeadLetters: memory.DeadLetters{Subject: "other.dead"}}, ""},
		"stranded":             {memory.ConsumerConfig{MaxDeliver: 3, DeadLetters: memory.DeadLetters{Subject: "dead.orders", MaxAttempts: 3}}, "MaxDeliver"},
		"no stream":            {memory.ConsumerConfig{DeadLetters: memory.DeadLetters{Subject: "nobody.has.it"}}, "DeadLetters.Subject"},
		"no subject":           {memory.ConsumerConfig{DeadLetters: memory.DeadLetters{Subject: "a..b"}}, "Subject"},
		"a loop":               {memory.ConsumerConfig{DeadLetters: memory.DeadLetters{Subject: "orders.dead"}}, "DeadLetters.Subject"},
		"a loop by its filter": {memory.ConsumerConfig{FilterSubject: "other.*", DeadLetters: memory.DeadLetters{Subject: "other.dead"}}, "DeadLetters.Subject"},
	} {
		c.config.Durable = strings.ReplaceAll(name, " ", "-")
		_, err1 := w.played.EnsureConsumer(soon(t), "ORDERS", c.config)
		_, err2 := w.real.EnsureConsumer(soon(t), "ORDERS", nativeConsumer(c.config))
		for _, err := range []error{err1, err2} {
			e, refused := errors.AsType[*broker.FieldError](err)
			if refused != (c.field != "") || err != nil && !refused || refused && e.Field != c.field {
				t.Errorf("%s: got %v, want %q refused", name, err, c.field)
			}
		}
	}
	for name, metadata := range map[string]map[string]string{
		"no number":            {natsrules.DeadLetterKey: "dead.orders", natsrules.MaxAttemptsKey: "many"},
		"below 1":              {natsrules.DeadLetterKey: "dead.orders", natsrules.MaxAttemptsKey: "-5"},
		"attempts for nothing": {natsrules.MaxAttemptsKey: "5"},
	} {
		_, err := w.real.EnsureConsumer(soon(t), "ORDERS", jetstream.ConsumerConfig{Durable: "c", Metadata: metadata})
		if e, ok := errors.AsType[*broker.FieldError](err); !ok || e.Field != "DeadLetters.MaxAttempts" {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
