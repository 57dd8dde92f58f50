package brokertest

import (
	"context"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func receiveCases() []Case {
	return []Case{{
		Name:   "receive/gives-at-most-limit",
		Rule:   "Receive gives at least one message and at most its limit, and never more than the destination gives at a time.",
		Fields: []string{"receive.maxBatch"},
		needs:  RoleReceiver,
		run:    receiveLimit,
	}, {
		Name:   "receive/waits",
		Rule:   "An empty Receive returns none and nil after its Wait, which is the declared one where none is given.",
		Fields: []string{"receive.wait"},
		needs:  RoleReceiver, virtual: true,
		run: receiveWaits,
	}, {
		Name:  "receive/wakes",
		Rule:  "A Receive that waits returns as soon as a message is there.",
		needs: RoleReceiver,
		run:   receiveWakes,
	}, {
		Name:  "receive/context-ends",
		Rule:  "A Receive that waits returns when its context ends, with the context's error.",
		needs: RoleReceiver,
		run:   receiveContext,
	}, {
		Name:  "receive/delivery-is-complete",
		Rule:  "A delivery has id, source, time, lease and attempt 1, and its id on every attempt.",
		needs: RoleReceiver,
		run:   receiveDelivery,
	}, {
		Name:   "receive/deleted-is-gone",
		Rule:   "What has been deleted is not delivered again, two leases later either.",
		Fields: []string{"receive.replay"},
		needs:  RoleReceiver, absence: true,
		run: deletedIsGone,
	}, {
		Name:  "receive/delete-many",
		Rule:  "A Delete of many deletes every one of them.",
		needs: RoleReceiver, absence: true,
		run: deleteMany,
	}, {
		Name:  "receive/delete-twice",
		Rule:  "Deleting again is nil.",
		needs: RoleReceiver,
		run:   deleteTwice,
	}, {
		Name:  "receive/settled-is-final",
		Rule:  "Extend, Release and Reject of what has been settled are ErrLeaseLost.",
		needs: RoleReceiver,
		run:   settledIsFinal,
	}, {
		Name:   "receive/role-follows-offer",
		Rule:   "Leases are declared where messages can be received and deleted, and nowhere else.",
		Fields: []string{"receive.lease", "receive.maxLease", "receive.maxBatch", "receive.wait", "receive.inFlight"},
		run:    receiveRole,
	}}
}

func receiveLimit(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Receive.MaxBatch)
	if !isKnown(d.sem.Receive.MaxBatch) {
		e.Fatalf("a Receiver with %s as the most messages at a time", d.sem.Receive.MaxBatch)
	}
	most := d.sem.Receive.MaxBatch.V
	want := d.put(most + 5)
	var got []string
	full := 0
	for len(got) < len(want) {
		limit := 2 // then all that there is
		if len(got) > 0 {
			limit = most + 1
		}
		ds, err := d.poll(limit, e.h.Poll)
		e.must("Receive", err)
		if len(ds) == 0 || len(ds) > min(limit, most) {
			e.Fatalf("%d messages at once with %d there, asked for %d of at most %d", len(ds), len(want)-len(got), limit, most)
		}
		full = max(full, len(ds))
		d.settle(ds...)
		got = append(got, bodies(ds)...)
	}
	if e.h.Virtual && full != most {
		e.Errorf("never more than %d at a time, declared %d", full, most)
	}
}

func receiveWaits(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Receive.Wait)
	r := e.receiver()
	for _, test := range []struct {
		want time.Duration
		opts []broker.ReceiveOption
	}{
		{want: d.sem.Receive.Wait.V},
		{0, []broker.ReceiveOption{broker.Wait(0)}},
		{3 * time.Second, []broker.ReceiveOption{broker.Wait(3 * time.Second)}},
	} {
		start := time.Now()
		ds, err := r.Receive(e.Context(), d.name, 1, test.opts...)
		e.must("Receive", err)
		if took := time.Since(start); len(ds) > 0 || took < test.want || took > test.want+e.h.Slack {
			e.Errorf("%d messages after %v, want none after %v", len(ds), took, test.want)
		}
	}
}

func receiveWakes(e *env) {
	d := e.open(Config{})
	type answer struct {
		ds  []*broker.Delivery
		err error
	}
	got := make(chan answer, 1)
	go func() {
		ds, err := d.poll(10, e.h.Poll)
		got <- answer{ds, err}
	}()
	e.calm()
	sent := time.Now()
	want := d.put(1)
	a := next(e, got, "Receive to return")
	e.must("Receive", a.err)
	e.wantBodies(a.ds, want)
	if took := time.Since(sent); took > e.h.Poll/2 {
		e.Errorf("the message was there for %v", took)
	}
}

func receiveContext(e *env) {
	d := e.open(Config{})
	r := e.receiver()
	start := time.Now()
	ds, err := r.Receive(e.in(e.h.Poll/2), d.name, 1, broker.Wait(e.h.Poll))
	if len(ds) > 0 {
		e.Errorf("%d messages of an empty destination", len(ds))
	}
	if took := time.Since(start); took > e.h.Poll/2+e.h.Slack {
		e.Errorf("it returned %v after its context had ended", took-e.h.Poll/2)
	}
	if err != nil {
		wantIs(e, "Receive", err, context.DeadlineExceeded)
	}
	ctx, cancel := context.WithCancel(e.Context())
	cancel()
	_, err = r.Receive(ctx, d.name, 1)
	wantIs(e, "Receive with an ended context", err, context.Canceled)
}

func receiveDelivery(e *env) {
	d := e.open(Config{Lease: e.h.Lease})
	before := time.Now().Add(-time.Minute) // clocks differ
	d.put(1)
	first := d.lease()
	if first.ID == "" || first.Source == "" || first.Attempt != 1 || first.Time.Before(before) {
		e.Errorf("id %q, source %q, attempt %d, time %v", first.ID, first.Source, first.Attempt, first.Time)
	}
	lease := time.Until(first.LeaseEnd)
	if want := d.sem.Receive.Lease; isKnown(want) && (lease > want.V || lease < want.V-e.h.Slack) {
		e.Errorf("the lease ends in %v, declared %v", lease, want.V)
	}
	e.must("Release", e.receiver().Release(e.soon(), 0, first))
	second := d.lease()
	if second.ID != first.ID || second.Attempt != 2 {
		e.Errorf("the second attempt has id %q and number %d; the first had id %q", second.ID, second.Attempt, first.ID)
	}
	d.settle(second)
}

func deletedIsGone(e *env) {
	d := e.open(Config{Lease: e.h.Lease})
	claimed(e, d.sem.Receive.Replay)
	d.put(1)
	d.settle(d.lease())
	d.nothing("it was deleted")
	e.sleep(2*e.h.Lease + e.h.Slack)
	d.nothing("it was deleted two leases ago")
	if isTrue(d.sem.Receive.Replay) {
		e.Errorf("declared: replay, and there is no way to read again")
	}
}

func deleteMany(e *env) {
	d := e.open(Config{Lease: e.h.Lease})
	d.put(12)
	d.settle(d.leaseN(12)...)
	e.sleep(e.h.Lease + e.h.Slack)
	d.nothing("all were deleted")
}

func deleteTwice(e *env) {
	d := e.open(Config{})
	d.put(1)
	m := d.lease()
	d.settle(m)
	e.must("the second Delete", e.receiver().Delete(e.soon(), m))
}

func settledIsFinal(e *env) {
	d := e.open(Config{DeadLetter: true})
	r := e.receiver()
	for what, settle := range map[string]func(*broker.Delivery) error{
		"deleted":  func(m *broker.Delivery) error { return r.Delete(e.soon(), m) },
		"released": func(m *broker.Delivery) error { return r.Release(e.soon(), time.Minute, m) },
		"rejected": func(m *broker.Delivery) error { return r.Reject(e.soon(), "as the case wants", m) },
	} {
		d.put(1)
		m := d.lease()
		e.must(what, settle(m))
		for name, err := range map[string]error{
			"Extend":  r.Extend(e.soon(), time.Minute, m),
			"Release": r.Release(e.soon(), 0, m),
			"Reject":  r.Reject(e.soon(), "again", m),
		} {
			wantIs(e, name+" of what was "+what, broker.ItemError(err, 0), broker.ErrLeaseLost)
		}
	}
}

func receiveRole(e *env) {
	d := e.open(Config{})
	r := d.sem.Receive
	for name, none := range map[string]bool{
		"receive.lease":    isAbsent(r.Lease),
		"receive.maxLease": isAbsent(r.MaxLease),
		"receive.maxBatch": isAbsent(r.MaxBatch),
		"receive.wait":     r.Wait.State == broker.StateNone,
		"receive.inFlight": isAbsent(r.InFlight),
	} {
		if none == e.leased() {
			e.Errorf("%s is none: %v; there is a Receiver: %v", name, none, e.leased())
		}
	}
}
