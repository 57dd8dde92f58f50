package natsbroker_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
	"github.com/candidmq/candidmq/natsbroker"
)

// twins are memory.JetStream and natsbroker.JetStream on a real server, with the
// same streams and consumers.
type twins struct {
	testing.TB
	played *memory.JetStream
	real   *rig
}

func newTwins(tb testing.TB, r *rig, o *memory.JetStreamOptions) *twins {
	tb.Helper()
	played := memory.NewJetStream(o)
	tb.Cleanup(func() {
		if err := played.Close(context.WithoutCancel(tb.Context())); err != nil {
			tb.Error(err)
		}
	})
	return &twins{tb, played, r}
}

// nativeStream is a stream as nats.go configures it.
func nativeStream(c memory.StreamConfig) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: c.Name, Subjects: c.Subjects,
		Retention: []jetstream.RetentionPolicy{jetstream.LimitsPolicy, jetstream.WorkQueuePolicy, jetstream.InterestPolicy}[c.Retention],
		Storage:   []jetstream.StorageType{jetstream.FileStorage, jetstream.MemoryStorage}[c.Storage],
		Discard:   []jetstream.DiscardPolicy{jetstream.DiscardOld, jetstream.DiscardNew}[c.Discard],
		Replicas:  c.Replicas, MaxMsgs: c.MaxMsgs, MaxBytes: c.MaxBytes, MaxMsgsPerSubject: c.MaxMsgsPerSubject, MaxAge: c.MaxAge,
		MaxMsgSize: c.MaxMsgSize, DiscardNewPerSubject: c.DiscardNewPerSubject, Duplicates: c.Duplicates,
		AllowMsgTTL: c.AllowMsgTTL, AllowMsgSchedules: c.AllowMsgSchedules, NoAck: c.NoAck,
		AllowRollup: c.AllowRollup, AllowAtomicPublish: c.AllowAtomicPublish,
	}
}

// nativeConsumer is a consumer likewise, without a Start of its own.
func nativeConsumer(c memory.ConsumerConfig) jetstream.ConsumerConfig {
	n := jetstream.ConsumerConfig{
		Durable: c.Durable, FilterSubject: c.FilterSubject, FilterSubjects: c.FilterSubjects, AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: c.AckWait, BackOff: c.BackOff, MaxDeliver: c.MaxDeliver, MaxAckPending: c.MaxAckPending,
	}
	if c.AckNone {
		n.AckPolicy = jetstream.AckNonePolicy
	}
	if c.DeadLetters.Subject != "" {
		n.Metadata = c.DeadLetters.Metadata(nil)
	}
	return n
}

// stream makes a stream on both, or on neither: they refuse the same.
func (w *twins) stream(s memory.StreamConfig) (made bool) {
	w.Helper()
	played := w.played.CreateStream(s)
	_, err := w.real.js.CreateStream(soon(w), nativeStream(s))
	if (played == nil) != (err == nil) {
		w.Errorf("stream %+v: memory says %v, the server %v", s, played, err)
	}
	return played == nil && err == nil
}

func (w *twins) consumer(stream string, c memory.ConsumerConfig) (made bool) {
	w.Helper()
	played := w.played.CreateConsumer(stream, c)
	_, err := w.real.js.CreateConsumer(soon(w), stream, nativeConsumer(c))
	if (played == nil) != (err == nil) {
		w.Errorf("consumer %+v of %s: memory says %v, the server %v", c, stream, played, err)
	}
	return played == nil && err == nil
}

// describe compares what both say of a destination.
func (w *twins) describe(destination string) {
	w.Helper()
	played, err1 := w.played.Describe(soon(w), destination)
	real, err2 := w.real.Describe(soon(w), destination)
	if err1 != nil || err2 != nil {
		w.Errorf("%s: memory says %v, natsbroker %v", destination, err1, err2)
		return
	}
	real.Backend, real.InTransit = played.Backend, played.InTransit // what memory is itself
	if !played.Equal(real) {
		w.Errorf("%s: memory says\n%s\nnatsbroker\n%s", destination, played, real)
	}
}

// every is one configuration for each value of one field, and the field's own
// defaults, on top of a base.
type variation[C any] struct {
	name   string
	change func(*C)
}

var streamVariations = []variation[memory.StreamConfig]{
	{"defaults", func(*memory.StreamConfig) {}},
	{"work queue", func(c *memory.StreamConfig) { c.Retention = memory.WorkQueueRetention }},
	{"interest", func(c *memory.StreamConfig) { c.Retention = memory.InterestRetention }},
	{"memory", func(c *memory.StreamConfig) { c.Storage = memory.MemoryStorage }},
	{"max_msgs, discard old", func(c *memory.StreamConfig) { c.MaxMsgs = 10 }},
	{"max_bytes, discard new", func(c *memory.StreamConfig) { c.MaxBytes, c.Discard = 1000, memory.DiscardNew }},
	{"max_msgs_per_subject, discard new", func(c *memory.StreamConfig) { c.MaxMsgsPerSubject, c.Discard = 1, memory.DiscardNew }},
	{"discard new per subject", func(c *memory.StreamConfig) {
		c.MaxMsgsPerSubject, c.Discard, c.DiscardNewPerSubject = 1, memory.DiscardNew, true
	}},
	{"discard new per subject, discard old", func(c *memory.StreamConfig) { c.MaxMsgsPerSubject, c.DiscardNewPerSubject = 1, true }},
	{"max_age below the window", func(c *memory.StreamConfig) { c.MaxAge = time.Minute }},
	{"max_age above the window", func(c *memory.StreamConfig) { c.MaxAge = time.Hour }},
	{"window above max_age", func(c *memory.StreamConfig) { c.MaxAge, c.Duplicates = time.Minute, time.Hour }},
	{"short window", func(c *memory.StreamConfig) { c.Duplicates = time.Millisecond }},
	{"window", func(c *memory.StreamConfig) { c.Duplicates = time.Second }},
	{"negative window", func(c *memory.StreamConfig) { c.Duplicates = -time.Second }},
	{"negative age", func(c *memory.StreamConfig) { c.MaxAge = -time.Second }},
	{"max_msg_size", func(c *memory.StreamConfig) { c.MaxMsgSize = 100 }},
	{"ttl", func(c *memory.StreamConfig) { c.AllowMsgTTL = true }},
	{"schedules", func(c *memory.StreamConfig) { c.AllowMsgSchedules = true }},
	{"schedules, captured", func(c *memory.StreamConfig) {
		c.AllowMsgSchedules, c.Subjects = true, append(c.Subjects, memory.ScheduleSubject(c.Name))
	}},
	{"schedules, captured, interest", func(c *memory.StreamConfig) {
		c.AllowMsgSchedules, c.Retention, c.Subjects = true, memory.InterestRetention, append(c.Subjects, memory.ScheduleSubject(c.Name))
	}},
	{"schedules, discard new", func(c *memory.StreamConfig) { c.AllowMsgSchedules, c.Discard, c.MaxMsgs = true, memory.DiscardNew, 10 }},
	{"no ack", func(c *memory.StreamConfig) { c.NoAck = true }},
	{"rollup", func(c *memory.StreamConfig) { c.AllowRollup = true }},
	{"atomic", func(c *memory.StreamConfig) { c.AllowAtomicPublish = true }},
	{"short max_age", func(c *memory.StreamConfig) { c.MaxAge = 99 * time.Millisecond }},
	{"limits below zero", func(c *memory.StreamConfig) {
		c.MaxMsgs, c.MaxBytes, c.MaxMsgsPerSubject, c.MaxMsgSize = -1, -1, -1, -1
	}},
	{"a subject within another", func(c *memory.StreamConfig) { c.Subjects = append(c.Subjects, c.Subjects[0]) }},
	{"everything", func(c *memory.StreamConfig) { c.Subjects = []string{">"} }},
	{"bad subject", func(c *memory.StreamConfig) { c.Subjects = []string{"a..b"} }},
	{"bad name", func(c *memory.StreamConfig) { c.Name += "." }},
	{"no name", func(c *memory.StreamConfig) { c.Name = "" }},
}

var consumerVariations = []variation[memory.ConsumerConfig]{
	{"defaults", func(*memory.ConsumerConfig) {}},
	{"ack_wait", func(c *memory.ConsumerConfig) { c.AckWait = time.Minute }},
	{"negative ack_wait", func(c *memory.ConsumerConfig) { c.AckWait = -time.Minute }},
	{"backoff", func(c *memory.ConsumerConfig) { c.BackOff = []time.Duration{time.Minute, time.Second, time.Hour} }},
	{"backoff, max_deliver", func(c *memory.ConsumerConfig) {
		c.BackOff, c.MaxDeliver = []time.Duration{time.Second, time.Minute}, 2
	}},
	{"backoff above max_deliver", func(c *memory.ConsumerConfig) {
		c.BackOff, c.MaxDeliver = []time.Duration{time.Second, time.Minute}, 1
	}},
	{"max_deliver", func(c *memory.ConsumerConfig) { c.MaxDeliver = 3 }},
	{"max_ack_pending 1", func(c *memory.ConsumerConfig) { c.MaxAckPending = 1 }},
	{"max_ack_pending unlimited", func(c *memory.ConsumerConfig) { c.MaxAckPending = -1 }},
	{"no ack", func(c *memory.ConsumerConfig) { c.AckNone = true }},
	{"no ack, max_deliver", func(c *memory.ConsumerConfig) { c.AckNone, c.MaxDeliver = true, 3 }},
	{"dead letters", func(c *memory.ConsumerConfig) { c.DeadLetters.Subject = "dead" }},
	{"dead letters after 5", func(c *memory.ConsumerConfig) { c.DeadLetters = memory.DeadLetters{Subject: "dead", MaxAttempts: 5} }},
	{"dead letters after 5, stranded after 3", func(c *memory.ConsumerConfig) {
		c.MaxDeliver, c.DeadLetters = 3, memory.DeadLetters{Subject: "dead", MaxAttempts: 5}
	}},
	{"dead letters after 3, stranded after 5", func(c *memory.ConsumerConfig) {
		c.MaxDeliver, c.DeadLetters = 5, memory.DeadLetters{Subject: "dead", MaxAttempts: 3}
	}},
	{"filter", func(c *memory.ConsumerConfig) { c.FilterSubject = "*.a" }},
	{"dead filter", func(c *memory.ConsumerConfig) { c.FilterSubject = "*.a.b" }},
	{"filters", func(c *memory.ConsumerConfig) { c.FilterSubjects = []string{"*.a", "*.b"} }},
	{"overlapping filters", func(c *memory.ConsumerConfig) { c.FilterSubjects = []string{"*.a", "*.>"} }},
	{"filter and filters", func(c *memory.ConsumerConfig) { c.FilterSubject, c.FilterSubjects = "*.a", []string{"*.b"} }},
	{"bad name", func(c *memory.ConsumerConfig) { c.Durable = "a.b" }},
}

// Whatever is configured, memory.JetStream takes and refuses the same, and Describe
// says the same of it, of a subject, of a consumer, and of both at once.
func TestJetStreamDescribesAsMemory(t *testing.T) {
	subjects, queues := map[string]string{}, map[string]string{}
	for i := range streamVariations {
		for j := range consumerVariations {
			name := fmt.Sprintf("both-%d-%d", i, j)
			subjects[name], queues[name] = fmt.Sprintf("s%d.a", i), fmt.Sprintf("S%d/c%d", i, j)
		}
	}
	r := newRig(t, &natsbroker.JetStreamOptions{Subjects: subjects, Queues: queues})
	w := newTwins(t, r, &memory.JetStreamOptions{Subjects: subjects, Queues: queues})
	made := 0
	for i, sv := range streamVariations {
		s := memory.StreamConfig{Name: "S" + strconv.Itoa(i), Subjects: []string{fmt.Sprintf("s%d.*", i)}}
		sv.change(&s)
		if !w.stream(s) {
			continue
		}
		w.describe(fmt.Sprintf("s%d.a", i))
		for j, cv := range consumerVariations {
			c := memory.ConsumerConfig{Durable: "c" + strconv.Itoa(j)}
			cv.change(&c)
			if !w.consumer(s.Name, c) {
				continue
			}
			made++
			w.describe(s.Name + "/" + c.Durable)
			w.describe(fmt.Sprintf("both-%d-%d", i, j))
			if s.Retention == memory.WorkQueueRetention { // the next one needs its place
				w.drop(s.Name, c.Durable)
			}
		}
		if t.Failed() {
			t.Fatalf("stream with %s", sv.name)
		}
	}
	t.Logf("%d consumers", made)
	if notices := "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"; w.stream(memory.StreamConfig{Name: "NOTICES", Subjects: []string{notices}}) {
		for j := range consumerVariations {
			if name := "S0/c" + strconv.Itoa(j); w.played.DeleteConsumer("S0", "c"+strconv.Itoa(j)) == nil {
				c := memory.ConsumerConfig{Durable: "c" + strconv.Itoa(j)}
				consumerVariations[j].change(&c)
				if err := w.played.CreateConsumer("S0", c); err != nil {
					t.Fatal(err)
				}
				w.describe(name)
			}
		}
	}
}

func (w *twins) drop(stream, consumer string) {
	w.Helper()
	if err := w.played.DeleteConsumer(stream, consumer); err != nil {
		w.Fatal(err)
	}
	if err := w.real.js.DeleteConsumer(soon(w), stream, consumer); err != nil {
		w.Fatal(err)
	}
}

// With ack none nothing comes again, so nothing is stranded and the server tells of
// nothing, whatever max_deliver says: neither names a dead letter.
func TestAckNoneHasNoDeadLetters(t *testing.T) {
	w := newTwins(t, newRig(t, nil), nil)
	const wait = 100 * time.Millisecond
	made := w.stream(memory.StreamConfig{Name: "S", Subjects: []string{"s"}}) &&
		w.stream(memory.StreamConfig{Name: "NOTICES", Subjects: []string{"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"}}) &&
		w.consumer("NOTICES", memory.ConsumerConfig{Durable: "c"}) &&
		w.consumer("S", memory.ConsumerConfig{Durable: "none", AckNone: true, AckWait: wait, MaxDeliver: 1}) &&
		w.consumer("S", memory.ConsumerConfig{Durable: "fence", AckWait: wait, MaxDeliver: 1})
	if !made {
		t.FailNow()
	}
	for _, s := range []side{w.played, w.real.JetStream} {
		publish(t, s, broker.Message{Subject: "s"})
		for _, consumer := range []string{"S/none", "S/fence"} { // the fence's lease ends later
			if ds, err := s.Receive(soon(t), consumer, 1); err != nil || len(ds) != 1 {
				t.Fatalf("%s: got %v, %v", consumer, ds, err)
			}
		}
		ds, err := s.Receive(soon(t), "NOTICES/c", 10)
		if err != nil || len(ds) != 1 || !strings.Contains(string(ds[0].Body), `"consumer":"fence"`) {
			t.Errorf("notices: got %q, %v; want the fence's alone", texts(ds), err)
		}
		if ds, err := s.Receive(soon(t), "S/none", 1, broker.Wait(0)); err != nil || len(ds) > 0 {
			t.Errorf("again: got %q, %v", texts(ds), err)
		}
	}
	w.describe("S/none")
	w.describe("S/fence")
	for consumer, want := range map[string]broker.State{"S/none": broker.StateNone, "S/fence": broker.StateKnown} {
		s, err := w.real.Describe(soon(t), consumer)
		if err != nil || s.Receive.DeadLetter.State != want {
			t.Errorf("%s: dead letter %s, %v", consumer, s.Receive.DeadLetter, err)
		}
	}
}

// A delay is counted from the end of the first attempt's lease and waited for until
// the present one's: memory plays that to the nanosecond, the server not before.
func TestBackoffMakesADelayLonger(t *testing.T) {
	backoff := []time.Duration{time.Second, 1400 * time.Millisecond}
	const delay, longer = 50 * time.Millisecond, 400 * time.Millisecond
	w := newTwins(t, newRig(t, nil), nil)
	if !w.stream(memory.StreamConfig{Name: "S", Subjects: []string{"s"}}) || !w.consumer("S", memory.ConsumerConfig{Durable: "c", BackOff: backoff}) {
		t.FailNow()
	}
	for _, s := range []side{w.played, w.real.JetStream} {
		publish(t, s, broker.Message{Subject: "s"})
		began := time.Now()
		for attempt, least := range []time.Duration{0, delay, delay + longer} {
			ds, err := s.Receive(soon(t), "S/c", 1)
			if err != nil || len(ds) != 1 || ds[0].Attempt != attempt+1 {
				t.Fatalf("attempt %d: got %+v, %v", attempt+1, ds, err)
			}
			if took := time.Since(began); took < least-10*time.Millisecond { // the server's clock ticks in milliseconds
				t.Errorf("attempt %d came after %v, want %v at least", attempt+1, took, least)
			}
			began = time.Now()
			if err := s.Release(soon(t), delay, ds...); err != nil {
				t.Fatal(err)
			}
		}
	}
}
