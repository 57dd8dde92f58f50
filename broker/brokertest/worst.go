package brokertest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// worstOf is how many messages a case needs to see what may happen.
const worstOf = 200

func worstCases() []Case {
	return []Case{{
		Name:   "worst/order",
		Rule:   "What promises no order is seen to break it, and what promises one keeps it at its worst.",
		Fields: []string{"publish.ordering", "receive.ordering"},
		worst:  true,
		run:    worstOrder,
	}, {
		Name:   "worst/again",
		Rule:   "At least once and without order, a message is seen to come again though it was deleted in time; nothing is lost.",
		Fields: []string{"receive.guarantee"},
		needs:  RoleReceiver,
		worst:  true,
		run:    worstAgain,
	}, {
		Name:   "worst/redelivery",
		Rule:   "What is released comes again out of order at the worst, and in its place where order is strict.",
		Fields: []string{"receive.strict"},
		needs:  RoleReceiver,
		worst:  true,
		run:    worstRedelivery,
	}, {
		Name:   "worst/loss",
		Rule:   "At most once, a subscriber that lags is seen to lose messages, each of them counted.",
		Fields: []string{"receive.guarantee", "receive.slow"},
		worst:  true,
		run:    worstLoss,
	}, {
		Name:  "worst/short-poll",
		Rule:  "A short poll is seen to find nothing though something is there; a long poll always finds it.",
		needs: RoleReceiver,
		worst: true,
		run:   worstShortPoll,
	}}
}

// all takes whatever comes until nothing does.
func (d dest) all() []*broker.Delivery {
	d.Helper()
	var all []*broker.Delivery
	for len(all) < 10*worstOf {
		ds, err := d.poll(10, d.h.Poll)
		d.must("Receive", err)
		if len(ds) == 0 {
			return all
		}
		d.settle(ds...)
		all = append(all, ds...)
	}
	d.Fatalf("%d deliveries of %d messages, and no end", len(all), worstOf)
	return nil
}

// firsts leaves out what had come before.
func firsts(ds []*broker.Delivery) []*broker.Delivery {
	known := map[string]bool{}
	return slices.DeleteFunc(slices.Clone(ds), func(d *broker.Delivery) bool {
		before := known[string(d.Body)]
		known[string(d.Body)] = true
		return before
	})
}

func worstOrder(e *env) {
	const keys = 2
	d := e.open(Config{})
	claimed(e, d.sem.Receive.Ordering)
	in := d.inbox()
	want := d.paced(keys, worstOf/keys, e.calm) // what comes too fast may be dropped
	var got []*broker.Delivery
	if in.got != nil {
		got = in.take(worstOf)
	} else {
		got = firsts(d.all())
	}
	kept := true
	for key, bodies := range byKey(got) {
		kept = kept && slices.Equal(bodies, want[key])
	}
	if none := is(d.sem.Receive.Ordering, broker.OrderingBestEffort); none == kept {
		e.Errorf("order kept among %d messages: %v, declared %s", worstOf, kept, d.sem.Receive.Ordering)
	}
}

func worstAgain(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Receive.Guarantee)
	want := d.put(worstOf)
	got := d.all()
	e.wantBodies(firsts(got), want)
	again := len(got) > worstOf
	if may := is(d.sem.Receive.Ordering, broker.OrderingBestEffort); may != again {
		e.Errorf("%d deliveries of %d messages, declared %s and order %s",
			len(got), worstOf, d.sem.Receive.Guarantee, d.sem.Receive.Ordering)
	}
}

func worstRedelivery(e *env) {
	const n = 20
	d := e.open(Config{})
	claimed(e, d.sem.Receive.Strict)
	want := d.series(1, n)
	if isTrue(d.sem.Receive.Strict) {
		for range n {
			m := d.lease()
			e.must("Release", e.receiver().Release(e.soon(), 0, m))
			again := d.lease()
			e.wantBodies([]*broker.Delivery{again}, []string{string(m.Body)})
			d.settle(again)
		}
		return
	}
	for _, m := range d.leaseN(n) {
		err := e.receiver().Release(e.soon(), 0, m)
		if !errors.Is(err, broker.ErrLeaseLost) { // at the worst a lease may end early
			e.must("Release", err)
		}
	}
	for key, bodies := range byKey(firsts(d.all())) {
		if slices.Equal(bodies, want[key]) {
			e.Errorf("%d messages came again in the order of their release", n)
		}
	}
}

func worstLoss(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Receive.Guarantee)
	if !is(d.sem.Receive.Guarantee, broker.GuaranteeAtMostOnce) {
		e.Skipf("delivery is at least once: worst/again")
	}
	handled := make(chan struct{}, room)
	sub := d.subscribe(func(context.Context, *broker.Delivery) error {
		time.Sleep(e.h.Slack / 100) // lags
		handled <- struct{}{}
		return nil
	})
	d.put(worstOf)
	d.drain(sub)
	if dropped := sub.Counts().Dropped; dropped == 0 || int(dropped)+len(handled) != worstOf {
		e.Errorf("%d of %d messages handled, %d counted as dropped", len(handled), worstOf, dropped)
	}
}

func worstShortPoll(e *env) {
	d := e.open(Config{})
	may := is(d.sem.Receive.Ordering, broker.OrderingBestEffort)
	left := map[string]bool{}
	for _, body := range d.put(worstOf) {
		left[body] = true
	}
	empty := 0
	for range 10 * worstOf {
		if len(left) == 0 {
			break
		}
		ds, err := d.poll(1, 0)
		e.must("Receive", err)
		if len(ds) == 0 {
			empty++
			if ds, err = d.poll(1, e.h.Poll); err != nil || len(ds) == 0 {
				e.Fatalf("a long poll found nothing (%v), with %d messages there", err, len(left))
			}
		}
		for _, m := range ds {
			delete(left, string(m.Body))
		}
		d.settle(ds...)
	}
	if may != (empty > 0) || len(left) > 0 {
		e.Errorf("%d empty short polls of a queue that was not, %d messages left", empty, len(left))
	}
}
