package brokertest

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func redeliveryCases() []Case {
	return []Case{{
		Name:   "redelivery/as-guaranteed",
		Rule:   "After a failed handler the message comes again where delivery is at least once, and never where it is at most once.",
		Fields: []string{"receive.guarantee", "receive.redelivery", "receive.maxAttempts"},
		run:    redeliveryGuarantee,
	}, {
		Name:  "redelivery/attempts-counted",
		Rule:  "Each delivery of a message counts as one attempt.",
		needs: RoleReceiver,
		run:   redeliveryAttempts,
	}, {
		Name:  "redelivery/release",
		Rule:  "What is released comes again at once.",
		needs: RoleReceiver,
		run:   redeliveryRelease,
	}, {
		Name:  "redelivery/release-with-delay",
		Rule:  "What is released with a delay comes again after it, and not before.",
		needs: RoleReceiver,
		run:   redeliveryDelay,
	}, {
		Name:  "redelivery/retry-after",
		Rule:  "A handler's RetryAfter releases the message for that long.",
		needs: RoleReceiver,
		run:   redeliveryRetryAfter,
	}, {
		Name:  "redelivery/heartbeat",
		Rule:  "A handler that outlasts the lease keeps its message.",
		needs: RoleReceiver,
		run:   redeliveryHeartbeat,
	}, {
		Name:  "redelivery/success-settles",
		Rule:  "A handler that returns nil settles its message for good.",
		needs: RoleReceiver, absence: true,
		run: redeliverySettled,
	}}
}

func redeliveryGuarantee(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Receive.Guarantee)
	var opts []broker.SubscribeOption
	again := is(d.sem.Receive.Guarantee, broker.GuaranteeAtLeastOnce)
	if e.leased() {
		opts = append(opts, broker.Backoff{Min: time.Second, Max: time.Second})
	}
	got := make(chan *broker.Delivery, room)
	var failed atomic.Bool
	d.subscribe(func(_ context.Context, m *broker.Delivery) error {
		got <- m
		if !failed.Swap(true) {
			return errors.New("as the case wants")
		}
		return nil
	}, opts...)
	d.put(1)
	m := next(e, got, "the first delivery")
	if again != isKnown(d.sem.Receive.Redelivery) {
		e.Errorf("declared %s, and redelivery %s", d.sem.Receive.Guarantee, d.sem.Receive.Redelivery)
	}
	if again {
		if r := next(e, got, "the second delivery"); !bytes.Equal(r.Body, m.Body) {
			e.Errorf("message %q again, want %q", r.Body, m.Body)
		}
		return
	}
	inbox{d, got}.empty("delivery is at most once, and its handler has failed")
	if !is(d.sem.Receive.MaxAttempts, 1) {
		e.Errorf("declared %s attempts, where there is one", d.sem.Receive.MaxAttempts)
	}
}

func redeliveryAttempts(e *env) {
	d := e.open(Config{})
	d.put(1)
	for want := 1; want <= 4; want++ {
		m := d.lease()
		if m.Attempt != want {
			e.Errorf("attempt %d, want %d", m.Attempt, want)
		}
		if want < 4 {
			e.must("Release", e.receiver().Release(e.soon(), 0, m))
		} else {
			d.settle(m)
		}
	}
}

func redeliveryRelease(e *env) {
	d := e.open(Config{})
	d.put(1)
	m := d.lease()
	released := time.Now()
	e.must("Release", e.receiver().Release(e.soon(), 0, m))
	d.settle(d.arrives("the second delivery", released, 0))
}

func redeliveryDelay(e *env) {
	d := e.open(Config{})
	const delay = 3 * time.Second
	d.put(1)
	m := d.lease()
	released := time.Now()
	e.must("Release", e.receiver().Release(e.soon(), delay, m))
	d.settle(d.arrives("the second delivery", released, delay))
}

func redeliveryRetryAfter(e *env) {
	d := e.open(Config{})
	const delay = 3 * time.Second
	at := make(chan time.Time, room)
	var failed atomic.Bool
	d.subscribe(func(context.Context, *broker.Delivery) error {
		at <- time.Now()
		if !failed.Swap(true) {
			return broker.RetryAfter(delay, nil)
		}
		return nil
	})
	d.put(1)
	start := next(e, at, "the first delivery")
	if took := next(e, at, "the second delivery").Sub(start); took < delay-e.h.Slack/4 || took > delay+2*e.h.Slack {
		e.Errorf("again after %v, asked for %v", took, delay)
	}
}

func redeliveryHeartbeat(e *env) {
	d := e.open(Config{Lease: e.h.Lease})
	started := make(chan int, room)
	handled := make(chan error, room)
	sub := d.subscribe(func(ctx context.Context, m *broker.Delivery) error {
		started <- m.Attempt
		select {
		case <-time.After(3*e.h.Lease + e.h.Lease/2):
		case <-ctx.Done():
		}
		handled <- context.Cause(ctx)
		return nil
	}, broker.Concurrency(2))
	d.put(1)
	next(e, started, "the handler")
	if err := next(e, handled, "the handler to return"); err != nil {
		e.Errorf("its context was cancelled: %v", err)
	}
	d.drain(sub)
	if len(started) > 0 {
		e.Errorf("attempt %d began in the meantime", <-started)
	}
}

func redeliverySettled(e *env) {
	d := e.open(Config{Lease: e.h.Lease})
	handled := make(chan struct{}, room)
	sub := d.subscribe(func(context.Context, *broker.Delivery) error {
		handled <- struct{}{}
		return nil
	})
	d.put(1)
	next(e, handled, "the handler")
	d.drain(sub)
	e.sleep(e.h.Lease + e.h.Slack)
	d.nothing("its handler had returned nil")
}
