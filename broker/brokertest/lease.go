package brokertest

import (
	"errors"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func leaseCases() []Case {
	return []Case{{
		Name:   "leases/expired-comes-again",
		Rule:   "What is not settled comes again when its lease ends, and not before.",
		Fields: []string{"receive.lease", "receive.redelivery", "receive.guarantee"},
		needs:  RoleReceiver,
		run:    leaseExpires,
	}, {
		Name:  "leases/option-wins",
		Rule:  "A Lease given to Receive holds in place of the destination's own, or is refused.",
		needs: RoleReceiver,
		run:   leaseOption,
	}, {
		Name:  "leases/extend-holds",
		Rule:  "An extended lease ends when Extend said, and not before; what cannot be extended so is refused.",
		needs: RoleReceiver,
		run:   leaseExtend,
	}, {
		Name:  "leases/extend-by-own",
		Rule:  "Extend by 0 renews by the destination's own lease.",
		needs: RoleReceiver,
		run:   leaseExtendOwn,
	}, {
		Name:  "leases/late-is-lost",
		Rule:  "Whatever is done after the lease has ended is ErrLeaseLost.",
		needs: RoleReceiver,
		run:   leaseLate,
	}, {
		Name:  "leases/stale-receipt",
		Rule:  "An earlier delivery of a message has no hold on it: what is done with it is ErrLeaseLost and does not change the later one's lease.",
		needs: RoleReceiver,
		run:   leaseStale,
	}, {
		Name:   "leases/longest",
		Rule:   "A lease ends at the declared maximum, whatever is extended, and asking for more is refused.",
		Fields: []string{"receive.maxLease"},
		needs:  RoleReceiver, virtual: true,
		run: leaseLongest,
	}, {
		Name:   "leases/in-flight",
		Rule:   "As many messages as declared can be leased at a time, and not one more.",
		Fields: []string{"receive.inFlight"},
		needs:  RoleReceiver, virtual: true,
		run: leaseInFlight,
	}}
}

func leaseExpires(e *env) {
	d := e.open(Config{Lease: e.h.Lease})
	claimed(e, d.sem.Receive.Lease)
	d.put(1)
	received := time.Now()
	first := d.lease()
	again := d.arrives("the second delivery", received, d.sem.Receive.Lease.V)
	if again.ID != first.ID {
		e.Errorf("another message, id %q; the first was %q", again.ID, first.ID)
	}
	d.settle(again)
	if is(d.sem.Receive.Guarantee, broker.GuaranteeAtMostOnce) || isAbsent(d.sem.Receive.Redelivery) {
		e.Errorf("delivered twice; declared %s, redelivery %s", d.sem.Receive.Guarantee, d.sem.Receive.Redelivery)
	}
}

func leaseOption(e *env) {
	d := e.open(Config{})
	const lease = 2 * time.Second
	if _, err := d.poll(1, 0, broker.Lease(lease)); err != nil {
		wantUnsupported(e, "a lease of the receiver's own", err)
		return
	}
	d.put(1)
	received := time.Now()
	d.lease(broker.Lease(lease))
	d.settle(d.arrives("the second delivery", received, lease))
}

func leaseExtend(e *env) {
	d := e.open(Config{Lease: e.h.Lease})
	d.put(1)
	m := d.lease()
	e.sleep(e.h.Lease / 2)
	longer := 2*e.h.Lease + time.Second
	extended := time.Now()
	err := broker.ItemError(e.receiver().Extend(e.soon(), longer, m), 0)
	if errors.Is(err, errors.ErrUnsupported) {
		wantUnsupported(e, "Extend by a lease of the receiver's own", err)
		d.settle(m)
		return
	}
	e.must("Extend", err)
	if l, ok := m.Handle.(broker.Leased); !ok {
		e.Errorf("the Handle is not a broker.Leased")
	} else if left := l.LeaseEnd().Sub(extended); left > longer+e.h.Slack || left < longer-e.h.Slack {
		e.Errorf("the Handle says that %v of the lease are left, want %v", left, longer)
	}
	d.settle(d.arrives("the second delivery", extended, longer))
}

func leaseExtendOwn(e *env) {
	d := e.open(Config{Lease: e.h.Lease})
	claimed(e, d.sem.Receive.Lease)
	d.put(1)
	m := d.lease()
	e.sleep(e.h.Lease / 2)
	extended := time.Now()
	e.must("Extend", e.receiver().Extend(e.soon(), 0, m))
	d.settle(d.arrives("the second delivery", extended, d.sem.Receive.Lease.V))
}

func leaseLate(e *env) {
	d := e.open(Config{Lease: e.h.Lease})
	r := e.receiver()
	d.put(1)
	m := d.lease()
	e.sleep(e.h.Lease + e.h.Slack)
	for what, err := range map[string]error{
		"Extend":  r.Extend(e.soon(), time.Minute, m),
		"Release": r.Release(e.soon(), 0, m),
	} {
		wantIs(e, what, broker.ItemError(err, 0), broker.ErrLeaseLost)
	}
	wantIs(e, "Delete", broker.ItemError(r.Delete(e.soon(), m), 0), broker.ErrLeaseLost)
}

func leaseStale(e *env) {
	d := e.open(Config{Lease: e.h.Lease})
	r := e.receiver()
	d.put(1)
	received := time.Now()
	stale := d.lease()
	fresh := d.arrives("the second delivery", received, e.h.Lease)
	// The client counts a lease from when the delivery came, the server from when
	// it was sent: for as long as that took, the earlier one seems to be leased.
	received = time.Now()
	if !e.h.Virtual {
		received = received.Add(-e.h.Slack / 10)
	}
	e.sleep(min(time.Until(stale.LeaseEnd), e.h.Slack))
	wantIs(e, "Release", broker.ItemError(r.Release(e.soon(), 0, stale), 0), broker.ErrLeaseLost)
	wantIs(e, "Extend", broker.ItemError(r.Extend(e.soon(), time.Minute, stale), 0), broker.ErrLeaseLost)
	again := d.arrives("the third delivery, after the second one's lease", received, e.h.Lease)
	if again.ID != fresh.ID {
		e.Errorf("another message, id %q, want %q", again.ID, fresh.ID)
	}
	wantIs(e, "Delete", broker.ItemError(r.Delete(e.soon(), stale), 0), broker.ErrLeaseLost)
}

func leaseLongest(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Receive.MaxLease)
	longest := d.sem.Receive.MaxLease.V
	r := e.receiver()
	d.put(1)
	if d.sem.Receive.MaxLease.State == broker.StateUnlimited {
		d.leaseForEver()
		return
	}
	_, err := d.poll(1, 0, broker.Lease(longest+time.Second))
	wantUnsupported(e, "a lease of a second more", err)
	received := time.Now()
	m := d.lease(broker.Lease(longest))
	wantUnsupported(e, "extending by a second more", r.Extend(e.soon(), longest+time.Second, m))
	e.sleep(longest / 2)
	_ = r.Extend(e.soon(), longest, m) // shortened to what is left, or refused
	d.settle(d.arrives("the second delivery, after the longest lease", received, longest))
}

// leaseForEver holds one lease for longer than any that ends does.
func (d dest) leaseForEver() {
	d.Helper()
	const ever = 24 * time.Hour // SQS: 12 hours
	m := d.lease()
	for end := time.Now().Add(ever); time.Now().Before(end); {
		d.sleep(d.sem.Receive.Lease.V / 2)
		d.must("Extend", d.receiver().Extend(d.soon(), 0, m))
	}
	d.notYet("its lease was extended each time")
	d.settle(m)
}

func leaseInFlight(e *env) {
	d := e.open(Config{Lease: time.Hour})
	claimed(e, d.sem.Receive.InFlight)
	most := d.sem.Receive.InFlight.V
	if d.sem.Receive.InFlight.State == broker.StateUnlimited {
		d.leaseAll(e.h.InFlight)
		return
	}
	if most > e.h.InFlight {
		e.Skipf("%d messages in flight are more than the harness can afford", most)
	}
	d.leaseAll(most)
	d.put(1)
	if ds, _ := d.poll(1, 0); len(ds) > 0 { // none, or ErrThrottled
		e.Errorf("one message more than %d in flight", most)
	}
}

// leaseAll publishes n messages and leases them.
func (d dest) leaseAll(n int) {
	d.Helper()
	const some = 1000
	for left := n; left > 0; left -= some {
		d.put(min(left, some))
		d.leaseN(min(left, some))
	}
}
