package brokertest

import (
	"bytes"
	"context"
	"errors"

	"github.com/candidmq/candidmq/broker"
)

func deadLetterCases() []Case {
	return []Case{{
		Name:   "dead-letter/after-last-attempt",
		Rule:   "After the declared number of attempts a message goes where it is declared to go, and there is no further attempt.",
		Fields: []string{"receive.maxAttempts", "receive.exhausted", "receive.deadLetter"},
		needs:  RoleReceiver, absence: true,
		run: deadLetterExhausted,
	}, {
		Name:   "dead-letter/unlimited",
		Rule:   "Without a limit a message comes again and again.",
		Fields: []string{"receive.maxAttempts", "receive.exhausted", "receive.deadLetter"},
		Proof:  OneWay,
		run:    deadLetterUnlimited,
	}, {
		Name:  "dead-letter/reject",
		Rule:  "Reject moves a message to the dead-letter destination at once, whole.",
		needs: RoleReceiver, absence: true,
		run: deadLetterReject,
	}, {
		Name:  "dead-letter/reject-needs-one",
		Rule:  "Without a dead-letter destination Reject is an UnsupportedError, and the message stays leased.",
		needs: RoleReceiver,
		run:   deadLetterAbsent,
	}, {
		Name:  "dead-letter/handler-rejects",
		Rule:  "A handler's Reject moves its message to the dead-letter destination, without further attempts.",
		needs: RoleReceiver,
		run:   deadLetterHandler,
	}}
}

// deadLetter is where d's messages go.
func (d dest) deadLetter() dest {
	d.Helper()
	if !isKnown(d.sem.Receive.DeadLetter) || !is(d.sem.Receive.Exhausted, broker.ExhaustedDeadLettered) {
		d.Fatalf("dead letter %s, exhausted %s, where the harness made one", d.sem.Receive.DeadLetter, d.sem.Receive.Exhausted)
	}
	return d.at(d.sem.Receive.DeadLetter.V)
}

func deadLetterExhausted(e *env) {
	d := e.open(Config{MaxAttempts: 3})
	claimed(e, d.sem.Receive.MaxAttempts)
	target := d.deadLetter()
	if !isKnown(d.sem.Receive.MaxAttempts) {
		e.Fatalf("%s attempts, where the harness made a limit", d.sem.Receive.MaxAttempts)
	}
	want := d.put(1)
	for n := range d.sem.Receive.MaxAttempts.V {
		m := d.lease()
		if m.Attempt != n+1 {
			e.Errorf("attempt %d, want %d", m.Attempt, n+1)
		}
		e.must("Release", e.receiver().Release(e.soon(), 0, m))
	}
	d.nothing("its attempts are used up")
	m := target.leaseN(1)
	e.wantBodies(m, want)
	target.settle(m...)
}

func deadLetterUnlimited(e *env) {
	const often = 50
	d := e.open(Config{})
	r := d.sem.Receive
	if !e.leased() { // redelivery/as-guaranteed saw that there is one attempt
		if !isAbsent(r.DeadLetter) || !isAbsent(r.Exhausted) || r.MaxAttempts.State == broker.StateUnlimited {
			e.Errorf("%s attempts, then %s, to %s, where there are no leases", r.MaxAttempts, r.Exhausted, r.DeadLetter)
		}
		return
	}
	if r.MaxAttempts.State == broker.StateUnlimited && (!isAbsent(r.DeadLetter) || !isAbsent(r.Exhausted)) {
		e.Errorf("declared: attempts without limit, and then %s, to %s", r.Exhausted, r.DeadLetter)
	}
	d.put(1)
	for n := 1; n <= often; n++ {
		ds, err := d.poll(1, e.h.Poll)
		e.must("Receive", err)
		if len(ds) == 0 {
			if !is(r.MaxAttempts, n-1) {
				e.Errorf("no attempt %d, declared %s", n, r.MaxAttempts)
			}
			return
		}
		if is(r.MaxAttempts, n-1) {
			e.Errorf("attempt %d, declared %s", n, r.MaxAttempts)
		}
		e.must("Release", e.receiver().Release(e.soon(), 0, ds...))
	}
}

func deadLetterReject(e *env) {
	d := e.open(Config{DeadLetter: true})
	target := d.deadLetter()
	m := d.message(e.body())
	m.Header = broker.Header{"kept": "yes"}
	d.send(m)
	e.must("Reject", e.receiver().Reject(e.soon(), "as the case wants", d.lease()))
	d.nothing("it was rejected")
	got := target.lease()
	if !bytes.Equal(got.Body, m.Body) || got.Header["kept"] != "yes" {
		e.Errorf("body %q and header %q in the dead-letter destination, want %q and its header", got.Body, got.Header, m.Body)
	}
	target.settle(got)
}

func deadLetterAbsent(e *env) {
	d := e.open(Config{})
	if !isAbsent(d.sem.Receive.DeadLetter) {
		e.Skipf("every destination of the harness has one")
	}
	d.put(1)
	m := d.lease()
	wantUnsupported(e, "Reject", broker.ItemError(e.receiver().Reject(e.soon(), "as the case wants", m), 0))
	d.notYet("it stays leased")
	d.settle(m)
}

func deadLetterHandler(e *env) {
	d := e.open(Config{DeadLetter: true})
	target := d.deadLetter()
	calls := make(chan struct{}, room)
	d.subscribe(func(context.Context, *broker.Delivery) error {
		calls <- struct{}{}
		return broker.Reject(errors.New("as the case wants"))
	})
	want := d.put(1)
	m := target.leaseN(1)
	e.wantBodies(m, want)
	target.settle(m...)
	if n := len(calls); n != 1 {
		e.Errorf("%d attempts, want 1", n)
	}
}
