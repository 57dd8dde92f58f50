package memory_test

import (
	"testing"
	"time"

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
