package natsbroker_test

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

func TestEnsureCreatesAndReportsDrift(t *testing.T) {
	r := newRig(t, nil)
	r.stream(jetstream.StreamConfig{Name: "DEAD", Subjects: []string{"dead"}})
	stream := jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}, MaxAge: time.Hour, Retention: jetstream.WorkQueuePolicy, Metadata: map[string]string{"k": "v"}}
	consumer := jetstream.ConsumerConfig{
		Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute,
		Metadata: natsbroker.DeadLetters{Subject: "dead", MaxAttempts: 3}.Metadata(nil),
	}
	both := func() (s, c broker.Ensured) {
		t.Helper()
		s, err := r.EnsureStream(soon(t), stream)
		if err != nil {
			t.Fatal(err)
		}
		c, err = r.EnsureConsumer(soon(t), "ORDERS", consumer)
		if err != nil {
			t.Fatal(err)
		}
		return s, c
	}
	if s, c := both(); !s.Created || !c.Created || s.Drift != nil || c.Drift != nil {
		t.Errorf("at first: %+v, %+v", s, c)
	}
	if s, c := both(); s.Created || c.Created || s.Drift != nil || c.Drift != nil {
		t.Errorf("again: %+v, %+v", s, c)
	}
	stream.MaxAge, stream.Retention, stream.Metadata = 2*time.Hour, jetstream.LimitsPolicy, map[string]string{"k": "w"}
	consumer.AckWait, consumer.MaxDeliver = 2*time.Minute, 7
	s, c := both()
	var got []string
	for _, d := range slices.Concat(s.Drift, c.Drift) {
		got = append(got, d.String())
	}
	want := []string{
		"max_age is 1h0m0s, want 2h0m0s", "metadata is map[k:v], want map[k:w]", "retention is WorkQueue, want Limits",
		"ack_wait is 1m0s, want 2m0s", "max_deliver is -1, want 7",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if info := r.info("ORDERS/c"); info.Config.AckWait != time.Minute {
		t.Errorf("it was changed to %v", info.Config.AckWait)
	}
}

// What asks for nothing in particular is no difference.
func TestEnsureOfAnEmptyPlacement(t *testing.T) {
	r := newRig(t, nil)
	c := jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}, Placement: &jetstream.Placement{}}
	for range 2 {
		if e, err := r.EnsureStream(soon(t), c); err != nil || e.Drift != nil {
			t.Errorf("got %+v, %v", e, err)
		}
	}
}

func TestEnsureByManyAtOnce(t *testing.T) {
	r := newRig(t, nil)
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			e, err := r.EnsureStream(soon(t), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}})
			if err != nil || e.Drift != nil {
				t.Errorf("got %+v, %v", e, err)
			}
		})
	}
	group.Wait()
}

func TestEnsureErrors(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	_, err := r.EnsureStream(soon(t), jetstream.StreamConfig{Name: "a.b"})
	wantErr(t, err, broker.ErrInvalid)
	_, err = r.EnsureStream(soon(t), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"orders.new"}})
	wantErr(t, err, broker.ErrInvalid) // the subjects overlap
	_, err = r.EnsureConsumer(soon(t), "NONE", jetstream.ConsumerConfig{Durable: "c"})
	wantErr(t, err, broker.ErrNotFound)
	_, err = r.EnsureConsumer(soon(t), "ORDERS", jetstream.ConsumerConfig{})
	wantErr(t, err, broker.ErrInvalid)
}
