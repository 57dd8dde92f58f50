package natsbroker_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"pgregory.net/rapid"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
	"github.com/candidmq/candidmq/natsbroker"
)

var differences = flag.Int("differences", 40, "random histories on which memory.JetStream and natsbroker.JetStream must agree")

// What is done to a stream on memory.JetStream and through natsbroker on a real
// server has the same results on both.
func TestJetStreamAgreesWithMemory(t *testing.T) {
	seed := flag.Lookup("rapid.seed").Value.String()
	if seed == "0" {
		seed = strconv.FormatUint(1+rand.Uint64N(1<<32), 10)
	}
	for name, value := range map[string]string{"rapid.seed": seed, "rapid.checks": strconv.Itoa(*differences)} {
		old := flag.Lookup(name).Value.String()
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = flag.Set(name, old) }) // it was valid before
	}
	r := newRig(t, &natsbroker.JetStreamOptions{MaxInFlight: 1}) // a batch as memory's: nothing of a subject after a failure
	// The server removes the account's directory with its last stream, while it makes the next.
	r.stream(jetstream.StreamConfig{Name: "FIRST", Subjects: []string{"first"}})
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		h := streamHistories().Draw(rt, "history")
		n++
		b := newBoth(t, rt, r, n)
		defer b.close()
		b.play(&h)
	})
	t.Logf("%d histories, -rapid.seed=%s", n, seed)
}

// bothStreams plays a history on memory and on the server at once.
type bothStreams struct {
	failing
	twins     *twins
	name      string
	ctx       context.Context
	consumers []string
	rollups   bool
	held      [][2]*broker.Delivery // memory's, and natsbroker's
}

// failing is what a test of rapid and one of the testing package have in common.
type failing interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Error(args ...any)
}

// side is what both are.
type side interface {
	broker.Publisher
	broker.Receiver
	broker.HealthReporter
	Redrive(ctx context.Context, queue string, limit int) (int, error)
	PublishAtomic(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error)
}

var (
	_ side = (*memory.JetStream)(nil)
	_ side = (*natsbroker.JetStream)(nil)
)

func newBoth(t *testing.T, f failing, r *rig, n int) *bothStreams {
	t.Helper()
	w := &twins{TB: t, played: memory.NewJetStream(nil), real: r}
	return &bothStreams{failing: f, twins: w, name: "H" + strconv.Itoa(n), ctx: context.WithoutCancel(t.Context())}
}

func (b *bothStreams) close() {
	_ = b.twins.played.Close(b.ctx)
	for _, name := range []string{b.name, "DEAD" + b.name} {
		if err := b.twins.real.js.DeleteStream(b.ctx, name); err != nil {
			b.Error(err)
		}
	}
}

// subject is one of the history's own.
func (b *bothStreams) subject(name string) string { return b.name + "." + name }

func (b *bothStreams) play(h *streamHistory) {
	b.open(h)
	for i, s := range h.steps {
		if why := b.step(&s); why != nil {
			b.Fatalf("step %d, %+v: %v", i, s, why)
		}
	}
	b.atTheEnd()
}

// open makes the streams and consumers of a history.
func (b *bothStreams) open(h *streamHistory) {
	h.stream.Name, b.rollups = b.name, h.stream.AllowRollup
	h.stream.Subjects = []string{b.subject("a"), b.subject("b"), b.subject("a.>")}
	dead := memory.StreamConfig{Name: "DEAD" + b.name, Subjects: []string{b.subject("dead")}, Retention: memory.WorkQueueRetention}
	ok := b.twins.stream(h.stream) && b.twins.stream(dead) && b.twins.consumer(dead.Name, memory.ConsumerConfig{Durable: "c", AckWait: aLongLease})
	for _, c := range h.consumers {
		if c.FilterSubject != ">" && c.FilterSubject != "" {
			c.FilterSubject = b.subject(c.FilterSubject)
		}
		if c.DeadLetters.Subject != "" {
			c.DeadLetters.Subject = b.subject("dead")
		}
		ok = ok && b.twins.consumer(b.name, c)
		b.consumers = append(b.consumers, b.name+"/"+c.Durable)
	}
	if !ok {
		b.Fatal("no streams")
	}
	b.consumers = append(b.consumers, dead.Name+"/c")
}

// atTheEnd compares what is left.
func (b *bothStreams) atTheEnd() {
	for _, queue := range b.consumers {
		if why := b.health(queue); why != nil {
			b.Fatalf("at the end: %v", why)
		}
	}
}

func (b *bothStreams) step(s *streamStep) error {
	switch s.do {
	case "publish":
		return b.publish(s.message)
	case "batch":
		return b.batch(s)
	case "atomic":
		return b.atomic(s)
	case "receive":
		return b.receive(b.consumers[max(0, s.n-3)], s.limit) // the first, mostly
	case "redrive":
		return b.redrive(s.limit)
	case "purge":
		real, err := b.twins.real.js.Stream(b.ctx, b.name)
		if err == nil {
			err = errors.Join(real.Purge(b.ctx), b.twins.played.Purge(b.name))
		}
		return err
	}
	if len(b.held) == 0 {
		return nil
	}
	return b.settle(s.do, b.held[max(0, len(b.held)-1-s.n)]) // one of the latest
}

// each does something on both sides.
func each[R any](b *bothStreams, do func(s side) (R, error)) (results [2]R, err error) {
	var errs [2]error
	for i, s := range []side{b.twins.played, b.twins.real.JetStream} {
		results[i], errs[i] = do(s)
	}
	return results, sameErrors(errs)
}

// categories are what both must agree on of an error.
var categories = []error{
	broker.ErrClosed, broker.ErrInvalid, broker.ErrTooLarge, broker.ErrNotFound, broker.ErrLeaseLost, broker.ErrThrottled,
	broker.ErrSkipped, broker.ErrOutcomeUnknown, errors.ErrUnsupported,
	natsbroker.ErrExpectation, natsbroker.ErrFull, natsbroker.ErrDuplicate,
}

func sameErrors(errs [2]error) error {
	if (errs[0] == nil) != (errs[1] == nil) {
		return fmt.Errorf("memory says %w, natsbroker %w", orNone(errs[0]), orNone(errs[1]))
	}
	for _, c := range categories {
		if errors.Is(errs[0], c) != errors.Is(errs[1], c) {
			return fmt.Errorf("one is %w: memory says %w, natsbroker %w", c, errs[0], errs[1])
		}
	}
	return nil
}

var errNone = errors.New("no error")

func orNone(err error) error {
	if err == nil {
		return errNone
	}
	return err
}

func (b *bothStreams) native(m broker.Message) broker.Message {
	m.Subject = b.subject(m.Subject)
	return m
}

func (b *bothStreams) publish(m broker.Message) error {
	m = b.native(m)
	got, err := each(b, func(s side) (broker.Receipt, error) { return s.Publish(b.ctx, m) })
	if err == nil && got[0] != got[1] {
		err = fmt.Errorf("memory says %+v, natsbroker %+v", got[0], got[1])
	}
	return err
}

// batch publishes the message, one of another subject, and the message again.
func (b *bothStreams) batch(s *streamStep) error {
	other := broker.Message{Subject: "b", Body: []byte("in between")}
	ms := []broker.Message{b.native(s.message), b.native(other), b.native(s.message)}
	var errs [2]error
	var got [2][]broker.Receipt
	for i, side := range []side{b.twins.played, b.twins.real.JetStream} {
		got[i], errs[i] = side.PublishBatch(b.ctx, ms)
	}
	for i := range ms {
		if err := sameErrors([2]error{broker.ItemError(errs[0], i), broker.ItemError(errs[1], i)}); err != nil {
			return fmt.Errorf("item %d: %w", i, err)
		}
		if got[0][i] != got[1][i] {
			return fmt.Errorf("item %d: memory says %+v, natsbroker %+v", i, got[0][i], got[1][i])
		}
	}
	return nil
}

// atomic publishes up to three messages, all or none: the message first, or behind one
// of another subject, and perhaps another of its subject.
func (b *bothStreams) atomic(s *streamStep) error {
	first, other := b.native(s.message), b.native(broker.Message{Subject: "b", Body: []byte("with it")})
	again := broker.Message{Subject: first.Subject, Body: []byte("again")}
	return b.allOrNone([][]broker.Message{{first}, {first, other}, {first, other, again}, {other, first}}[s.limit-1])
}

func (b *bothStreams) allOrNone(ms []broker.Message) error {
	got, err := each(b, func(s side) ([]broker.Receipt, error) { return s.PublishAtomic(b.ctx, ms) })
	if err == nil && !slices.Equal(got[0], got[1]) {
		err = fmt.Errorf("memory says %+v, natsbroker %+v", got[0], got[1])
	}
	return err
}

// receive takes what memory has from both. The real one may give it in parts.
func (b *bothStreams) receive(queue string, limit int) error {
	played, err := b.twins.played.Receive(b.ctx, queue, limit, broker.Wait(0))
	if err != nil {
		return err
	}
	real, err := b.twins.real.Receive(b.ctx, queue, max(1, min(limit, len(played))), broker.Wait(0))
	for err == nil && len(real) < len(played) {
		var more []*broker.Delivery
		if more, err = b.twins.real.Receive(b.ctx, queue, len(played)-len(real), broker.Wait(time.Second)); len(more) == 0 {
			break
		}
		real = append(real, more...)
	}
	if err != nil || len(real) != len(played) {
		return fmt.Errorf("%s: memory has %q, natsbroker %q, %w", queue, texts(played), texts(real), orNone(err))
	}
	for i := range played {
		if !sameDelivery(played[i], real[i]) {
			return fmt.Errorf("%s: memory has %+v, natsbroker %+v", queue, played[i], real[i])
		}
		b.held = append(b.held, [2]*broker.Delivery{played[i], real[i]})
	}
	return nil
}

func sameDelivery(p, q *broker.Delivery) bool {
	lease := p.LeaseEnd.Sub(q.LeaseEnd).Abs() < time.Minute
	return p.Subject == q.Subject && bytes.Equal(p.Body, q.Body) && maps.Equal(p.Header, q.Header) && sameID(p.DedupID, q.DedupID) &&
		p.ID == q.ID && p.Source == q.Source && p.Sequence == q.Sequence && p.Attempt == q.Attempt && lease
}

// sameID compares ids. That of a dead letter ends with the time when the message was
// stored, which is not the same on both sides.
func sameID(played, real string) bool {
	if strings.HasPrefix(played, "reject-") || strings.HasPrefix(played, "redrive-") {
		cut := strings.LastIndexByte(played, '-')
		return strings.HasPrefix(real, played[:cut+1])
	}
	return played == real
}

// settle does something with a delivery. It stays in hand: what is done with it
// later must be refused.
func (b *bothStreams) settle(do string, ds [2]*broker.Delivery) error {
	var errs [2]error
	for i, s := range []side{b.twins.played, b.twins.real.JetStream} {
		var err error
		switch do {
		case "delete":
			err = s.Delete(b.ctx, ds[i])
		case "release":
			err = s.Release(b.ctx, 0, ds[i])
		case "release later":
			err = s.Release(b.ctx, aPause, ds[i])
		case "extend":
			err = s.Extend(b.ctx, 0, ds[i])
		case "reject":
			err = s.Reject(b.ctx, "as the history wants\nit", ds[i])
		}
		errs[i] = broker.ItemError(err, 0)
	}
	if do == "release later" && errs[0] == nil {
		time.Sleep(waitedOut) // in the server's own time
	}
	return sameErrors(errs)
}

func (b *bothStreams) redrive(limit int) error {
	queue := b.consumers[len(b.consumers)-1]
	got, err := each(b, func(s side) (int, error) { return s.Redrive(b.ctx, queue, limit) })
	if err == nil && got[0] != got[1] {
		err = fmt.Errorf("memory redrives %d, natsbroker %d", got[0], got[1])
	}
	return err
}

// health compares what is left, for which the server may need a moment.
func (b *bothStreams) health(queue string) error {
	var err error
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		var got [2]broker.Health
		if got, err = each(b, func(s side) (broker.Health, error) { return s.Health(b.ctx, queue) }); err != nil {
			return err
		}
		p, q := got[0], got[1]
		if b.rollups { // the server's num_pending still has what a rollup has removed
			q.Ready = p.Ready
		}
		same := slices.Equal([]string{p.Ready.String(), p.InFlight.String(), p.DeadLetterReady.String()},
			[]string{q.Ready.String(), q.InFlight.String(), q.DeadLetterReady.String()})
		if same {
			return nil
		}
		err = fmt.Errorf("%s: memory has %s ready, %s in flight, %s dead; natsbroker %s, %s, %s", queue,
			p.Ready, p.InFlight, p.DeadLetterReady, q.Ready, q.InFlight, q.DeadLetterReady)
	}
	return err
}
