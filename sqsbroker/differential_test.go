package sqsbroker_test

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
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/sqsrules"
	"github.com/candidmq/candidmq/memory"
	"github.com/candidmq/candidmq/sqsbroker"
	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

var differences = flag.Int("differences", 50, "random histories of each kind of queue on which memory and sqsbroker must agree")

// What is done to a queue on memory.SQS, and through sqsbroker and the AWS
// client to a queue on sqstest, has the same results on both.
func TestAgreesWithMemory(t *testing.T) {
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
	for kind, fifo := range map[string]bool{"standard": false, "fifo": true} {
		t.Run(kind, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				h := histories(fifo).Draw(rt, "history")
				var fault error
				synctest.Test(t, func(t *testing.T) { fault = compare(t, h) })
				if fault != nil {
					rt.Fatal(fault)
				}
			})
			t.Logf("%d histories, -rapid.seed=%s", *differences, seed)
		})
	}
}

// queues is what both are.
type queues interface {
	broker.Publisher
	broker.Receiver
}

// both plays a history on two brokers at once: sides[0] is memory.
type both struct {
	sides [2]queues
	ctx   context.Context
	names map[string]string // of queues, and other destinations
	held  [][2]*broker.Delivery
	ids   map[string]string // memory's to sqsbroker's
	last  [2]broker.Sequence

	retention time.Duration
	deleted   map[string]bool                // by memory's id: a delete was tried, perhaps by another receipt
	waited    map[*broker.Delivery]time.Time // memory's, of receives that waited: when they came
}

func compare(t *testing.T, h history) error {
	t.Helper()
	suffix := ""
	if h.fifo {
		suffix = ".fifo"
	}
	p := &both{
		ctx: t.Context(), ids: map[string]string{}, deleted: map[string]bool{}, waited: map[*broker.Delivery]time.Time{}, retention: time.Duration(h.retention) * time.Second,
		names: map[string]string{"q": "q" + suffix, "dead": "dead" + suffix, "none": "none" + suffix, "not a name": "not a name"},
	}
	p.sides = [2]queues{openMemory(t, p, &h), openServer(t, p, &h)}
	for i, s := range h.steps {
		if err := p.step(s); err != nil {
			return fmt.Errorf("step %d, %#v: %w", i, s, err)
		}
	}
	return nil
}

func openMemory(t *testing.T, p *both, h *history) queues {
	t.Helper()
	b := memory.NewSQS(nil)
	t.Cleanup(func() { closed(t, b) })
	o := memory.QueueOptions{
		Visibility: time.Duration(h.visibility) * time.Second, Delay: time.Duration(h.delay) * time.Second,
		Retention: time.Duration(h.retention) * time.Second, ContentBasedDedup: h.byContent,
	}
	if h.perKey {
		o.DedupScope = broker.ScopeKey
	}
	if h.maxReceives > 0 {
		o.DeadLetter, o.MaxReceives = p.names["dead"], h.maxReceives
	}
	if err := errors.Join(b.CreateQueue(p.names["dead"], memory.QueueOptions{}), b.CreateQueue(p.names["q"], o)); err != nil {
		t.Fatal(err)
	}
	return b
}

func openServer(t *testing.T, p *both, h *history) queues {
	t.Helper()
	server := sqstest.NewMemoryServer(nil)
	t.Cleanup(server.Close)
	b, err := sqsbroker.New(server.Client(), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closed(t, b) })
	dead, attrs := map[string]string{}, map[string]string{
		"VisibilityTimeout": strconv.Itoa(h.visibility), "DelaySeconds": strconv.Itoa(h.delay),
		"MessageRetentionPeriod": strconv.Itoa(h.retention),
	}
	if h.fifo {
		dead["FifoQueue"] = "true"
		maps.Copy(attrs, map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": strconv.FormatBool(h.byContent)})
	}
	if h.perKey {
		attrs["DeduplicationScope"] = "messageGroup"
	}
	if h.maxReceives > 0 {
		attrs["RedrivePolicy"] = fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`, server.ARN(p.names["dead"]), h.maxReceives)
	}
	if err := errors.Join(server.CreateQueue(p.names["dead"], dead), server.CreateQueue(p.names["q"], attrs)); err != nil {
		t.Fatal(err)
	}
	return b
}

func closed(t *testing.T, b broker.Broker) {
	t.Helper()
	if err := b.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

// timeout is the visibility timeout that a step may ask for.
func (s step) timeout() time.Duration {
	switch {
	case s.do == "extend" && s.seconds == 0: // the queue's own
		return sqsrules.MaxLease
	case s.do == "extend", s.do == "release":
		return time.Duration(s.seconds) * time.Second
	}
	return 0
}

func (p *both) step(s step) error {
	d := time.Duration(s.seconds) * time.Second
	switch s.do {
	case "publish":
		return p.publish(s.messages[0])
	case "batch":
		return p.publishBatch(s.messages)
	case "receive":
		return p.receive(s)
	case "advance":
		time.Sleep(max(0, d))
		return nil
	}
	sides := [2][]*broker.Delivery{}
	for _, which := range slices.Compact(slices.Sorted(slices.Values(s.which))) {
		pair := [2]*broker.Delivery{{}, {}} // not received from anybody
		if which >= 0 {
			if which >= len(p.held) {
				continue
			}
			pair = p.held[len(p.held)-1-which] // the newest are of the most interest
			// Of what SQS has forgotten since, sqsbroker sends a copy: it cannot know.
			if s.do == "reject" && (p.deleted[pair[0].ID] || time.Since(pair[0].Time) >= p.retention) {
				continue
			}
			// Nor can it know when in a long poll SQS received, and is careful near the
			// end of 12 hours.
			if came, waited := p.waited[pair[0]]; waited && time.Since(came)+s.timeout() > sqsrules.MaxLease-sqsrules.MaxWait {
				continue
			}
			p.deleted[pair[0].ID] = p.deleted[pair[0].ID] || s.do == "delete"
		}
		sides[0], sides[1] = append(sides[0], pair[0]), append(sides[1], pair[1])
	}
	errs := [2]error{}
	for i, side := range p.sides {
		switch ds := sides[i]; s.do {
		case "delete":
			errs[i] = side.Delete(p.ctx, ds...)
		case "extend":
			errs[i] = side.Extend(p.ctx, d, ds...)
		case "release":
			errs[i] = side.Release(p.ctx, d, ds...)
		case "reject":
			errs[i] = side.Reject(p.ctx, "why", ds...)
		}
	}
	if err := sameErrors(errs, len(sides[0])); err != nil {
		return err
	}
	return p.sameLeases()
}

// sameLeases compares until when both believe to have what was received.
func (p *both) sameLeases() error {
	for _, pair := range p.held {
		var ends [2]time.Time
		for i, d := range pair {
			ends[i] = d.Handle.(broker.Leased).LeaseEnd()
		}
		if !ends[0].Equal(ends[1]) {
			return fmt.Errorf("lease of %.10q: memory until %v, sqsbroker until %v", pair[0].Body, ends[0], ends[1])
		}
	}
	return nil
}

func (p *both) publish(m broker.Message) error {
	m.Subject = p.names[m.Subject]
	var receipts [2]broker.Receipt
	var errs [2]error
	for i, side := range p.sides {
		receipts[i], errs[i] = side.Publish(p.ctx, m)
	}
	return errors.Join(sameErrors(errs, 0), p.sameReceipts(receipts[0], receipts[1]))
}

func (p *both) publishBatch(ms []broker.Message) error {
	ms = slices.Clone(ms)
	for i := range ms {
		ms[i].Subject = p.names[ms[i].Subject]
	}
	var receipts [2][]broker.Receipt
	var errs [2]error
	for i, side := range p.sides {
		receipts[i], errs[i] = side.PublishBatch(p.ctx, ms)
	}
	all := []error{sameErrors(errs, len(ms))}
	for i := range ms {
		all = append(all, p.sameReceipts(receipts[0][i], receipts[1][i]))
	}
	return errors.Join(all...)
}

// sameReceipts: ids and sequences are each backend's own, but stand for the
// same message.
func (p *both) sameReceipts(a, b broker.Receipt) error {
	if a.Outcome != b.Outcome || !p.sameID(a.ID, b.ID) {
		return fmt.Errorf("memory gave receipt %v, sqsbroker %v", a, b)
	}
	grows := [2]int{a.Sequence.Compare(p.last[0]), b.Sequence.Compare(p.last[1])}
	if grows[0] != grows[1] {
		return fmt.Errorf("memory gave sequence %v after %v, sqsbroker %v after %v", a.Sequence, p.last[0], b.Sequence, p.last[1])
	}
	p.last = [2]broker.Sequence{a.Sequence, b.Sequence}
	return nil
}

func (p *both) sameID(a, b string) bool {
	if known, ok := p.ids[a]; ok || a == "" {
		return known == b
	}
	p.ids[a] = b
	return true
}

func (p *both) receive(s step) error {
	name := p.names["q"]
	if s.dead {
		name = p.names["dead"]
	}
	opts := []broker.ReceiveOption{broker.Wait(time.Duration(s.wait) * time.Second)}
	if s.lease != 0 {
		opts = append(opts, broker.Lease(time.Duration(s.lease)*time.Second))
	}
	var got [2][]*broker.Delivery
	var errs [2]error
	began := time.Now()
	var ended [2]time.Time
	var done [2]chan struct{}
	for i, side := range p.sides { // at once, since waiting takes time
		done[i] = make(chan struct{})
		go func() {
			defer close(done[i])
			got[i], errs[i] = side.Receive(p.ctx, name, s.max, opts...)
			ended[i] = time.Now()
		}()
	}
	<-done[0]
	<-done[1]
	if err := sameErrors(errs, 0); err != nil {
		return err
	}
	if len(got[0]) != len(got[1]) || !ended[0].Equal(ended[1]) {
		return fmt.Errorf("memory received %d messages at %v, sqsbroker %d at %v", len(got[0]), ended[0], len(got[1]), ended[1])
	}
	for i, d := range got[0] {
		if err := p.sameDelivery(d, got[1][i]); err != nil {
			return err
		}
		p.held = append(p.held, [2]*broker.Delivery{d, got[1][i]})
		if ended[0].After(began) {
			p.waited[d] = ended[0]
		}
	}
	return nil
}

// sameDelivery compares all but what a rejected message has anew on SQS, since
// it is a copy there: id, dedup id, time, attempts and sequence.
func (p *both) sameDelivery(a, b *broker.Delivery) error {
	same := a.Subject == b.Subject && a.Source == b.Source && bytes.Equal(a.Body, b.Body) && maps.Equal(a.Header, b.Header) &&
		a.Key == b.Key && a.Tenant == b.Tenant && a.LeaseEnd.Equal(b.LeaseEnd)
	if _, rejected := a.Header[broker.RejectReasonHeader]; !rejected {
		same = same && p.sameID(a.ID, b.ID) && (a.DedupID == b.DedupID || a.DedupID == a.ID && b.DedupID == b.ID) && a.Attempt == b.Attempt && a.Time.Equal(b.Time) &&
			(a.Sequence == broker.Sequence{}) == (b.Sequence == broker.Sequence{})
	}
	if !same {
		return fmt.Errorf("memory delivered %+v, sqsbroker %+v", *a, *b)
	}
	return nil
}

// sameErrors compares the categories, of each of n items and of the call.
func sameErrors(errs [2]error, n int) error {
	for i := range max(1, n) {
		var items [2]error
		for j, err := range errs {
			items[j] = err
			if n > 0 {
				items[j] = broker.ItemError(err, i)
			}
		}
		if a, b := categories(items[0]), categories(items[1]); a != b {
			return fmt.Errorf("item %d: memory's error is %s (%w), sqsbroker's is %s (%w)", i, a, orNone(items[0]), b, orNone(items[1]))
		}
	}
	var batches [2]bool
	for j, err := range errs {
		_, batches[j] = errors.AsType[*broker.BatchError](err)
	}
	if batches[0] != batches[1] {
		return fmt.Errorf("memory's error is %T, sqsbroker's %T", errs[0], errs[1])
	}
	return nil
}

func orNone(err error) error {
	if err == nil {
		return errors.New("none")
	}
	return err
}

// categories names what an error matches, and the field that it is about.
func categories(err error) string {
	if err == nil {
		return "none"
	}
	var found []string
	for _, kind := range []error{
		broker.ErrClosed, broker.ErrInvalid, broker.ErrTooLarge, broker.ErrNotFound, broker.ErrLeaseLost, broker.ErrThrottled,
		broker.ErrDenied, broker.ErrUnavailable, broker.ErrOutcomeUnknown, broker.ErrSkipped, errors.ErrUnsupported,
	} {
		if errors.Is(err, kind) {
			found = append(found, kind.Error())
		}
	}
	if e, ok := errors.AsType[*broker.FieldError](err); ok {
		found = append(found, e.Field)
	}
	return strings.Join(found, ", ")
}
