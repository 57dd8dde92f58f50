package natsbroker_test

import (
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

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
