package brokertest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func orderingCases() []Case {
	return []Case{{
		Name:   "ordering/first-deliveries",
		Rule:   "First deliveries come in the declared order.",
		Fields: []string{"publish.ordering", "receive.ordering"},
		run:    orderingFirst,
	}, {
		Name:   "ordering/strict",
		Rule:   "Where order is strict nothing of a key is delivered while an earlier message of it is in hand; where it is not, receivers overtake each other.",
		Fields: []string{"receive.strict"},
		run:    orderingStrict,
	}, {
		Name:  "ordering/keys-are-independent",
		Rule:  "A message in hand holds back its own key only.",
		needs: RoleReceiver,
		run:   orderingKeys,
	}, {
		Name:  "ordering/failure-holds-its-key",
		Rule:  "After a failed handler no later message of its key is handled before it.",
		needs: RoleReceiver,
		run:   orderingFailure,
	}, {
		Name:  "ordering/sequence-rises",
		Rule:  "Sequences of one key rise, and a delivery has the sequence of its receipt.",
		needs: RoleReceiver,
		run:   orderingSequence,
	}}
}

// series publishes n messages of each key in turn, or of one series where
// there are no keys, and returns their bodies, by key.
func (d dest) series(keys, n int) map[string][]string {
	d.Helper()
	return d.paced(keys, n, func() {})
}

// paced is series, with a call after each message.
func (d dest) paced(keys, n int, after func()) map[string][]string {
	d.Helper()
	sent := map[string][]string{}
	for i := range n {
		for k := range keys {
			key := fmt.Sprint("k", k)
			m := d.message(fmt.Sprintf("%s %03d", key, i))
			if m.Key != "" {
				m.Key = key
			}
			d.send(m)
			after()
			sent[key] = append(sent[key], string(m.Body))
		}
	}
	return sent
}

func byKey(ds []*broker.Delivery) map[string][]string {
	got := map[string][]string{}
	for _, d := range ds {
		var key string
		_, _ = fmt.Sscan(string(d.Body), &key)
		got[key] = append(got[key], string(d.Body))
	}
	return got
}

func orderingFirst(e *env) {
	const keys, n = 3, 10
	d := e.open(Config{})
	claimed(e, d.sem.Publish.Ordering)
	claimed(e, d.sem.Receive.Ordering)
	publish, receive := d.sem.Publish.Ordering, d.sem.Receive.Ordering
	if publish.V != receive.V && !is(receive, broker.OrderingBestEffort) {
		e.Errorf("declared: %s order published, %s received", publish, receive)
	}
	perKey := isTrue(d.sem.Publish.KeyRequired)
	if perKey != is(publish, broker.OrderingPerKey) || perKey != is(receive, broker.OrderingPerKey) {
		e.Errorf("declared: order %s and %s; keys required: %v", publish, receive, perKey)
	}
	if stored := isKnown(d.sem.Publish.StoredBy); stored == is(publish, broker.OrderingPerPublisher) && is(publish, broker.OrderingPerPublisher) ||
		!stored && is(publish, broker.OrderingTotal) {
		e.Errorf("declared: %s order of messages stored by %s", publish, d.sem.Publish.StoredBy)
	}
	in := d.inbox()
	want := d.series(keys, n)
	got := in.take(keys * n)
	if is(receive, broker.OrderingBestEffort) {
		var all []string
		for _, bodies := range want {
			all = append(all, bodies...)
		}
		e.wantBodies(got, all)
		if !isAbsent(d.sem.Receive.Guarantee) && is(d.sem.Receive.Guarantee, broker.GuaranteeAtMostOnce) {
			e.Errorf("declared: no order, where each connection's messages come in order")
		}
		return
	}
	for key, bodies := range byKey(got) {
		if !slices.Equal(bodies, want[key]) {
			e.Errorf("order of %s: %q, want %q", key, bodies, want[key])
		}
	}
}

func orderingStrict(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Receive.Strict)
	strict := isTrue(d.sem.Receive.Strict)
	if e.leased() {
		d.series(1, 2)
		first := d.lease()
		ds, err := d.poll(1, 0)
		e.must("Receive", err)
		if strict == (len(ds) > 0) {
			e.Errorf("with %q in hand another receiver got %q", first.Body, bodies(ds))
		}
		d.settle(append(ds, first)...)
		if !strict {
			return
		}
		second := d.lease()
		e.must("Release", e.receiver().Release(e.soon(), 0, second))
		e.wantBodies([]*broker.Delivery{d.lease()}, []string{string(second.Body)})
		return
	}
	started, release := make(chan struct{}, room), make(chan struct{})
	var once sync.Once
	open := func() { once.Do(func() { close(release) }) }
	e.Cleanup(open)
	for range 2 {
		_, err := e.b.Subscribe(e.soon(), d.name, func(ctx context.Context, _ *broker.Delivery) error {
			started <- struct{}{}
			select {
			case <-release:
			case <-ctx.Done():
			}
			return nil
		}, broker.Group("both"))
		e.must("Subscribe", err)
	}
	d.put(64) // that one member gets them all has a chance of 2^-63
	next(e, started, "the first member")
	if strict {
		e.calm()
		if len(started) > 0 {
			e.Errorf("two messages in hand at once")
		}
		open()
		return
	}
	next(e, started, "the second member, while the first is at work")
	open()
}

func orderingKeys(e *env) {
	d := e.open(Config{})
	if !is(d.sem.Publish.Ordering, broker.OrderingPerKey) {
		e.Skipf("there are no keys")
	}
	want := d.series(2, 2)
	first := d.lease()
	second := d.lease()
	got := byKey([]*broker.Delivery{first, second})
	for key := range want {
		if len(got[key]) != 1 || got[key][0] != want[key][0] {
			e.Errorf("with %q in hand the other receiver got %q", first.Body, second.Body)
		}
	}
	d.settle(first, second)
}

func orderingFailure(e *env) {
	const keys, n = 4, 5
	d := e.open(Config{})
	if !is(d.sem.Receive.Ordering, broker.OrderingPerKey) {
		e.Skipf("there are no keys")
	}
	want := d.series(keys, n) // before the subscription, so that several of a key are in hand at once
	var mu sync.Mutex
	fails := map[string]bool{}
	for _, bodies := range want {
		fails[bodies[0]] = true
	}
	handled := make(chan *broker.Delivery, room)
	d.subscribe(func(_ context.Context, m *broker.Delivery) error {
		mu.Lock()
		defer mu.Unlock()
		if body := string(m.Body); fails[body] {
			delete(fails, body)
			return errors.New("as the case wants")
		}
		handled <- m
		return nil
	}, broker.Concurrency(8), broker.Backoff{Min: 100 * time.Millisecond, Max: 100 * time.Millisecond})
	for key, bodies := range byKey(inbox{d, handled}.take(keys * n)) {
		if !slices.Equal(bodies, want[key]) {
			e.Errorf("%s was handled in the order %q, want %q", key, bodies, want[key])
		}
	}
}

func orderingSequence(e *env) {
	d := e.open(Config{})
	m := d.message(e.body())
	if m.Key != "" {
		m.Key = "key"
	}
	first := d.send(m)
	if !first.Sequence.Present() {
		e.Skipf("the destination does not count")
	}
	m.Body = []byte(e.body())
	if m.DedupID != "" {
		m.DedupID += "-2"
	}
	second := d.send(m)
	if second.Sequence.Compare(first.Sequence) <= 0 {
		e.Errorf("sequence %v after %v", second.Sequence, first.Sequence)
	}
	for i, got := range d.inbox().take(2) {
		if want := [2]broker.Receipt{first, second}[i].Sequence; got.Sequence != want {
			e.Errorf("sequence %v of a delivery, %v of its receipt", got.Sequence, want)
		}
	}
}
