package memory_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

var toDead = memory.ConsumerConfig{DeadLetters: memory.DeadLetters{Subject: "dead", MaxAttempts: 3}}

// A stream that is made anew counts from 1 again. Its dead letters, and what is
// redriven from one, are not taken for those of the one before.
func TestJetStreamDeadLettersOfAStreamMadeAnew(t *testing.T) {
	bubble(t, "rejected", func(t *testing.T) {
		b := newJetStream(t, memory.StreamConfig{}, toDead)
		put(t, b, "first")
		must(t, b.Reject(t.Context(), "bad", one(t, b, "ORDERS/c")))
		must(t, b.DeleteStream("ORDERS"))
		time.Sleep(time.Nanosecond)
		c := toDead
		c.Durable = "c"
		create(t, b, memory.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}}, c)
		put(t, b, "second")
		must(t, b.Reject(t.Context(), "bad", one(t, b, "ORDERS/c")))
		wantBodies(t, receive(t, b, "DEAD/c", 10), "first", "second")
	})
	bubble(t, "redriven", func(t *testing.T) {
		b := newJetStream(t, memory.StreamConfig{}, toDead)
		for _, body := range []string{"first", "second"} {
			put(t, b, body)
			must(t, b.Reject(t.Context(), "bad", one(t, b, "ORDERS/c")))
			if n, err := b.Redrive(t.Context(), "DEAD/c", 10); n != 1 || err != nil {
				t.Fatalf("%d redriven, %v", n, err)
			}
			d := one(t, b, "ORDERS/c")
			if string(d.Body) != body {
				t.Errorf("%s came back, want %s", d.Body, body)
			}
			must(t, b.Delete(t.Context(), d))
			must(t, b.DeleteStream("DEAD"))
			time.Sleep(time.Nanosecond)
			create(t, b, memory.StreamConfig{Name: "DEAD", Subjects: []string{"dead"}}, memory.ConsumerConfig{Durable: "c"})
		}
	})
}

// What cannot be moved keeps nothing else from being moved, and is there afterwards.
func TestJetStreamRedriveGoesPastWhatStays(t *testing.T) {
	b := newJetStream(t, memory.StreamConfig{}, toDead)
	publish(t, b, text("dead", "foreign"))
	lost := text("dead", "lost")
	lost.Header = broker.Header{broker.RejectSubjectHeader: "nobody.has.it"}
	publish(t, b, lost)
	put(t, b, "a")
	must(t, b.Reject(t.Context(), "bad", one(t, b, "ORDERS/c")))
	n, err := b.Redrive(t.Context(), "DEAD/c", 1)
	if n != 1 {
		t.Errorf("%d redriven, want 1", n)
	}
	wantErr(t, err, broker.ErrInvalid, broker.ErrNotFound)
	wantBodies(t, receive(t, b, "ORDERS/c", 10), "a")
	wantBodies(t, receive(t, b, "DEAD/c", 10), "foreign", "lost")
}

func TestJetStreamRedriveEndsWithWhatConcernsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newJetStream(t, memory.StreamConfig{}, toDead)
		_, err := b.Redrive(t.Context(), "DEAD/c", 0)
		wantErr(t, err, broker.ErrInvalid)
		_, err = b.Redrive(t.Context(), "DEAD/none", 1)
		wantErr(t, err, broker.ErrNotFound)
		create(t, b, memory.StreamConfig{Name: "SILENT", Subjects: []string{"silent"}, NoAck: true}, memory.ConsumerConfig{Durable: "c"})
		m := text("dead", "m")
		m.Header = broker.Header{broker.RejectSubjectHeader: "silent"}
		publish(t, b, m)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		n, err := b.Redrive(ctx, "DEAD/c", 10)
		if n != 0 {
			t.Errorf("%d redriven", n)
		}
		wantErr(t, err, context.DeadlineExceeded)
		wantBodies(t, receive(t, b, "DEAD/c", 10), "m")
	})
}

// A stream for dead letters that is missing, or does not answer, holds up neither a
// Receive nor the other messages of a request.
func TestJetStreamMovesDeadLettersBesideOthers(t *testing.T) {
	for name, dead := range map[string]memory.StreamConfig{
		"no stream":   {Name: "OTHER", Subjects: []string{"other"}},
		"no answerer": {Name: "OTHER", Subjects: []string{"dead"}, NoAck: true},
	} {
		bubble(t, name, func(t *testing.T) {
			b := closing(t, memory.NewJetStream(&memory.JetStreamOptions{StreamWait: time.Hour}))
			create(t, b, dead, memory.ConsumerConfig{Durable: "c"})
			c := memory.ConsumerConfig{Durable: "c", DeadLetters: memory.DeadLetters{Subject: "dead", MaxAttempts: 1}}
			create(t, b, memory.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}}, c)
			put(t, b, "a", "b")
			must(t, b.Release(t.Context(), 0, receive(t, b, "ORDERS/c", 2)...))
			put(t, b, "good")
			begun := time.Now()
			wantBodies(t, receive(t, b, "ORDERS/c", 10), "good")
			if took := time.Since(begun); took > 0 {
				t.Errorf("it took %v", took)
			}
			state, err := b.Contents("ORDERS/c")
			must(t, err)
			if n := len(state.InFlight); n != 3 {
				t.Errorf("%d messages are leased, want all 3", n)
			}
		})
	}
}
