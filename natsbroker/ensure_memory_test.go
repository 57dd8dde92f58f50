package natsbroker_test

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// ensured compares what both sides say, and returns it.
func (w *twins) ensured(what string, played broker.Ensured, err1 error, real broker.Ensured, err2 error) broker.Ensured {
	w.Helper()
	if err := sameErrors([2]error{err1, err2}); err != nil {
		w.Errorf("%s: %v", what, err)
	}
	if played.Created != real.Created || !slices.Equal(played.Drift, real.Drift) {
		w.Errorf("%s: memory says\n%+v\nnatsbroker\n%+v", what, played, real)
	}
	return played
}

func (w *twins) ensureStream(what string, c memory.StreamConfig) broker.Ensured {
	w.Helper()
	played, err1 := w.played.EnsureStream(soon(w), c)
	real, err2 := w.real.EnsureStream(soon(w), nativeStream(c))
	return w.ensured(what, played, err1, real, err2)
}

func (w *twins) ensureConsumer(what, stream string, c memory.ConsumerConfig) broker.Ensured {
	w.Helper()
	played, err1 := w.played.EnsureConsumer(soon(w), stream, c)
	real, err2 := w.real.EnsureConsumer(soon(w), stream, startingNative(c))
	return w.ensured(what, played, err1, real, err2)
}

// startingNative is nativeConsumer with the Start.
func startingNative(c memory.ConsumerConfig) jetstream.ConsumerConfig {
	n := nativeConsumer(c)
	switch c.Start {
	case broker.FromNew():
		n.DeliverPolicy = jetstream.DeliverNewPolicy
	case broker.FromLastPerSubject():
		n.DeliverPolicy = jetstream.DeliverLastPerSubjectPolicy
	case broker.FromSequence(7):
		n.DeliverPolicy, n.OptStartSeq = jetstream.DeliverByStartSequencePolicy, 7
	case broker.FromTime(someTime):
		n.DeliverPolicy, n.OptStartTime = jetstream.DeliverByStartTimePolicy, &someTime
	}
	return n
}

// someTime is one of the server's past, with a clock reading and a place that the
// server does not tell of.
var someTime = time.Now().Add(-time.Hour).In(time.FixedZone("elsewhere", 3600))

// starts are further variations of a consumer.
var starts = []variation[memory.ConsumerConfig]{
	{"new", func(c *memory.ConsumerConfig) { c.Start = broker.FromNew() }},
	{"first", func(c *memory.ConsumerConfig) { c.Start = broker.FromFirst() }},
	{"sequence", func(c *memory.ConsumerConfig) { c.Start = broker.FromSequence(7) }},
	{"time", func(c *memory.ConsumerConfig) { c.Start = broker.FromTime(someTime) }},
	{"last", func(c *memory.ConsumerConfig) { c.Start, c.FilterSubject = broker.FromLastPerSubject(), "*.a" }},
	{"one filter of a list", func(c *memory.ConsumerConfig) { c.FilterSubjects = []string{"*.a"} }},
	{"all", func(c *memory.ConsumerConfig) {
		*c = memory.ConsumerConfig{
			Durable: c.Durable, FilterSubject: "*.b", AckWait: time.Minute, MaxDeliver: 9, MaxAckPending: 9,
			DeadLetters: memory.DeadLetters{Subject: "rest", MaxAttempts: 2},
		}
	}},
}

// Whatever is there and whatever is asked for, memory.JetStream reports the same drift
// as natsbroker.JetStream, in the same words, and refuses the same.
func TestEnsureReportsTheSameDriftOnMemory(t *testing.T) {
	w := newTwins(t, newRig(t, nil), nil)
	drifts, created := 0, 0
	count := func(e broker.Ensured) {
		drifts += len(e.Drift)
		if e.Created {
			created++
		}
	}
	for i, there := range streamVariations {
		made := false // of c
		for _, asked := range streamVariations {
			c := memory.StreamConfig{Name: "S" + strconv.Itoa(i), Subjects: []string{fmt.Sprintf("s%d.*", i)}}
			d := c
			there.change(&c)
			asked.change(&d)
			d.Name = c.Name
			what := fmt.Sprintf("stream with %s, asked for %s", there.name, asked.name)
			e := w.ensureStream(what, c)
			made = made || e.Created
			count(e)
			count(w.ensureStream(what, d))
			if e = w.ensureStream(what, c); made && len(e.Drift) > 0 {
				t.Errorf("stream with %s, again: %v", there.name, e.Drift)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	variations := slices.Concat(consumerVariations, starts)
	w.ensureStream("a stream for dead letters", memory.StreamConfig{Name: "DEAD", Subjects: []string{"dead", "rest"}})
	w.ensureStream("the consumers' stream", memory.StreamConfig{Name: "C", Subjects: []string{"c.*"}})
	for i, there := range variations {
		made := false
		for _, asked := range variations {
			c := memory.ConsumerConfig{Durable: "c" + strconv.Itoa(i)}
			d := c
			there.change(&c)
			asked.change(&d)
			d.Durable = c.Durable
			what := fmt.Sprintf("consumer with %s, asked for %s", there.name, asked.name)
			e := w.ensureConsumer(what, "C", c)
			made = made || e.Created
			count(e)
			count(w.ensureConsumer(what, "C", d))
			if e = w.ensureConsumer(what, "C", c); made && len(e.Drift) > 0 {
				t.Errorf("consumer with %s, again: %v", there.name, e.Drift)
			}
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	w.ensureConsumer("no stream", "NONE", memory.ConsumerConfig{Durable: "c"})
	w.ensureConsumer("no stream, a filter", "NONE", memory.ConsumerConfig{Durable: "c", FilterSubject: "a"})
	w.ensureConsumer("no name", "C", memory.ConsumerConfig{})
	w.ensureStream("taken subjects", memory.StreamConfig{Name: "OTHER", Subjects: []string{"c.new"}})
	if drifts < 1000 || created < 30 {
		t.Errorf("%d differences, %d created: that is too few to tell", drifts, created)
	}
	t.Logf("%d differences, %d created", drifts, created)
}

// What there is stays as it is, on both.
func TestEnsureChangesNothing(t *testing.T) {
	w := newTwins(t, newRig(t, nil), nil)
	s := memory.StreamConfig{Name: "S", Subjects: []string{"s.*"}, MaxAge: time.Hour}
	c := memory.ConsumerConfig{Durable: "c", AckWait: time.Minute}
	w.ensureStream("new", s)
	w.ensureConsumer("new", "S", c)
	other, otherC := s, c
	other.MaxAge, other.MaxMsgs, otherC.AckWait = 2*time.Hour, 5, time.Hour
	for range 2 {
		e := w.ensureStream("drift", other)
		if got := fmt.Sprint(e.Drift); got != "[max_age is 1h0m0s, want 2h0m0s max_msgs is -1, want 5]" {
			t.Errorf("got %s", got)
		}
		if got := fmt.Sprint(w.ensureConsumer("drift", "S", otherC).Drift); got != "[ack_wait is 1m0s, want 1h0m0s]" {
			t.Errorf("got %s", got)
		}
	}
	w.describe("s.a")
	w.describe("S/c")
	if d := w.ensureStream("as it was", s); d.Created || len(d.Drift) > 0 {
		t.Errorf("got %+v", d)
	}
	if err := w.played.Close(soon(t)); err != nil {
		t.Fatal(err)
	}
	_, err := w.played.EnsureStream(soon(t), s)
	wantErr(t, err, broker.ErrClosed)
	_, err = w.played.EnsureConsumer(soon(t), "S", c)
	wantErr(t, err, broker.ErrClosed)
}
