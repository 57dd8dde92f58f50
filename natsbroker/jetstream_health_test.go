package natsbroker_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// What is denied of the dead letters is unknown, and the rest is there.
func TestJetStreamHealthWithTheAPIDenied(t *testing.T) {
	t.Parallel() // it waits for what is not answered
	for request, exists := range map[string]broker.State{"LIST": broker.StateUnknown, "INFO.*": broker.StateKnown} {
		t.Run(request, func(t *testing.T) {
			t.Parallel()
			s := startServer(t, withJetStream(t), withUserWhoMayNot("$JS.API.STREAM."+request))
			js, err := jetstream.New(dial(t, s, nats.UserInfo("all", "p")))
			if err != nil {
				t.Fatal(err)
			}
			r := &rig{TB: t, js: js}
			r.orders(func(s *jetstream.StreamConfig, c *jetstream.ConsumerConfig) {
				s.Subjects = append(s.Subjects, "dead")
				c.FilterSubject, c.Metadata = "orders.new", natsbroker.DeadLetters{Subject: "dead"}.Metadata(nil)
			})
			j, err := natsbroker.NewJetStream(dial(t, s, nats.UserInfo("few", "p"), quiet), nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = j.Close(soon(t)) })
			h, err := j.Health(soon(t), "ORDERS/c")
			if err != nil || h.Ready.State != broker.StateKnown || h.DeadLetterExists.State != exists ||
				h.DeadLetterReady.State != broker.StateUnknown || h.DeadLetterOldest.State != broker.StateUnknown || h.DeadLetterKeepsAge.State != broker.StateKnown {
				t.Errorf("got %+v, %v", h, err)
			}
		})
	}
}

func TestJetStreamHealth(t *testing.T) {
	r := newRig(t, nil)
	r.orders(func(_ *jetstream.StreamConfig, c *jetstream.ConsumerConfig) {
		c.Metadata = natsbroker.DeadLetters{Subject: "dead.orders"}.Metadata(nil)
		c.FilterSubject = "orders.new"
	})
	health := func() broker.Health {
		t.Helper()
		h, err := r.Health(soon(t), "ORDERS/c")
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	r.put("orders.other", "not for this consumer")
	h := health()
	if h.Ready.V != 0 || h.InFlight.V != 0 || h.OldestAge.State != broker.StateNone || h.DeadLetterExists.String() != "no" {
		t.Errorf("empty: got %+v", h)
	}
	r.stream(jetstream.StreamConfig{Name: "DEAD", Subjects: []string{"dead.>"}, MaxAge: time.Hour})
	r.put("orders.new", "a", "b", "c")
	ds := r.lease("ORDERS/c", 2)
	if err := r.Reject(soon(t), "no", ds[1]); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server has counted all", func() bool { h = health(); return h.Ready.V == 1 }) // it does so a moment later
	if h.InFlight.V != 1 || h.OldestAge.State != broker.StateKnown || h.OldestAge.V <= 0 || h.OldestAge.V > patience {
		t.Errorf("got %+v", h)
	}
	if !h.DeadLetterExists.V || h.DeadLetterReady.V != 1 || h.DeadLetterRetention.V != time.Hour || h.DeadLetterOldest.State != broker.StateKnown {
		t.Errorf("dead letters: got %+v", h)
	}
	_, err := r.Health(soon(t), "ORDERS/none")
	wantErr(t, err, broker.ErrNotFound)
	h, err = r.Health(soon(t), "orders.new")
	if err != nil || h.Ready.State != broker.StateUnknown || h.Ready.From == "" {
		t.Errorf("a subject: got %+v, %v", h, err)
	}
	_, err = r.Health(soon(t), "orders.*")
	wantErr(t, err, broker.ErrInvalid)
	if _, err := broker.Check(soon(t), r, "orders.new", broker.Usage{Publishes: true, Receives: true, Idempotent: true}); err != nil {
		t.Errorf("the checklist of a subject: %v", err)
	}
}
