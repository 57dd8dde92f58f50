package brokertest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/candidmq/candidmq/broker"
)

func subscribeCases() []Case {
	return []Case{{
		Name: "subscribe/context-lends-values",
		Rule: "Handlers inherit the values of Subscribe's context, not its end.",
		run:  subscribeContext,
	}, {
		Name:   "subscribe/without-group",
		Rule:   "Without a group every subscription gets each message; what cannot fan out refuses that.",
		Fields: []string{"receive.distribution"},
		run:    subscribeWithoutGroup,
	}, {
		Name:   "subscribe/group-shares",
		Rule:   "Each message goes to one member of a group, and to every group where there are several.",
		Fields: []string{"receive.distribution"},
		run:    subscribeGroup,
	}, {
		Name: "subscribe/wildcards",
		Rule: "A * stands for one token and a > for one or more; what knows no wildcards refuses them.",
		run:  subscribeWildcards,
	}, {
		Name: "subscribe/one-at-a-time",
		Rule: "Handlers of one subscription run one at a time unless Concurrency allows more.",
		run:  subscribeSerial,
	}, {
		Name: "subscribe/concurrency",
		Rule: "With Concurrency n, n handlers run at once and never more.",
		run:  subscribeConcurrent,
	}, {
		Name: "subscribe/errors-are-told",
		Rule: "A handler's error and its panic go to OnError and the counters, and the subscription goes on.",
		run:  subscribeErrors,
	}, {
		Name:   "subscribe/readers-counted",
		Rule:   "The number of readers follows the subscriptions that there are.",
		Fields: []string{"publish.readers"},
		run:    subscribeReaders,
	}, {
		Name:   "subscribe/slow-as-declared",
		Rule:   "What a slow receiver cannot take waits for it, or is dropped, counted and reported.",
		Fields: []string{"receive.slow"},
		run:    subscribeSlow,
	}}
}

type valueKey struct{}

func subscribeContext(e *env) {
	d := e.open(Config{})
	ctx, cancel := context.WithCancel(context.WithValue(e.Context(), valueKey{}, "lent"))
	type seen struct {
		value any
		err   error
	}
	got := make(chan seen, room)
	_, err := e.b.Subscribe(ctx, d.name, func(ctx context.Context, _ *broker.Delivery) error {
		got <- seen{ctx.Value(valueKey{}), ctx.Err()}
		return nil
	}, d.grouped(nil)...)
	e.must("Subscribe", err)
	cancel()
	e.calm()
	d.put(1)
	s := next(e, got, "a delivery after Subscribe's context has ended")
	if s.value != "lent" || s.err != nil {
		e.Errorf("the handler's context has value %v and error %v", s.value, s.err)
	}
}

func subscribeWithoutGroup(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Receive.Distribution)
	if is(d.sem.Receive.Distribution, broker.DistributionCompeting) {
		_, err := e.b.Subscribe(e.soon(), d.name, discard)
		wantUnsupported(e, "Subscribe without a group", err)
		return
	}
	first, second := e.bare(d), e.bare(d)
	want := d.put(3)
	e.wantBodies(first.take(3), want)
	e.wantBodies(second.take(3), want)
}

// bare is an inbox by a subscription without a group.
func (e *env) bare(d dest) inbox {
	e.Helper()
	got := make(chan *broker.Delivery, room)
	_, err := e.b.Subscribe(e.soon(), d.name, func(_ context.Context, m *broker.Delivery) error {
		got <- m
		return nil
	})
	e.must("Subscribe", err)
	return inbox{d, got}
}

func subscribeGroup(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Receive.Distribution)
	if is(d.sem.Receive.Distribution, broker.DistributionFanOut) {
		_, err := e.b.Subscribe(e.soon(), d.name, discard, broker.Group("a"))
		wantUnsupported(e, "Subscribe with a group", err)
		return
	}
	shared := make(chan *broker.Delivery, room)
	var subs []*broker.Subscription
	join := func(group broker.Group, got chan *broker.Delivery) {
		sub, err := e.b.Subscribe(e.soon(), d.name, func(_ context.Context, m *broker.Delivery) error {
			got <- m
			return nil
		}, group)
		e.must("Subscribe", err)
		subs = append(subs, sub)
	}
	for range 3 {
		join("a", shared)
	}
	var other chan *broker.Delivery
	if is(d.sem.Receive.Distribution, broker.DistributionBoth) {
		other = make(chan *broker.Delivery, room)
		join("b", other)
	}
	want := d.put(20)
	e.wantBodies(inbox{d, shared}.take(len(want)), want)
	if other != nil {
		e.wantBodies(inbox{d, other}.take(len(want)), want)
	}
	for _, sub := range subs { // what has arrived is dispatched first
		d.drain(sub)
	}
	if n := len(shared) + len(other); n > 0 {
		e.Errorf("%d deliveries more than messages for each group", n)
	}
}

func subscribeWildcards(e *env) {
	d := e.open(Config{})
	if !e.h.Wildcards {
		for _, pattern := range []string{d.name + ".*", d.name + ".>", "*", ">"} {
			_, err := e.b.Subscribe(e.soon(), pattern, discard, d.grouped(nil)...)
			e.unsupportedOrInvalid("Subscribe to "+pattern, err)
		}
		return
	}
	one, more := d, d
	one.name, more.name = d.name+".*", d.name+".>"
	ones, mores := e.bare(one), e.bare(more)
	for _, subject := range []string{d.name, d.name + ".a", d.name + ".a.b", d.name + "x.a", d.name + ".c"} {
		m := d.message(subject)
		m.Subject = subject
		d.send(m)
	}
	for _, test := range []struct {
		inbox
		want []string
	}{
		{ones, []string{d.name + ".a", d.name + ".c"}},
		{mores, []string{d.name + ".a", d.name + ".a.b", d.name + ".c"}},
	} {
		got := test.take(len(test.want))
		e.wantBodies(got, test.want)
		for _, m := range got {
			if m.Subject != string(m.Body) {
				e.Errorf("Subject %q of what was published to %q", m.Subject, m.Body)
			}
		}
		if len(test.got) > 0 {
			e.Errorf("%s also got %q", test.name, (<-test.got).Body)
		}
	}
}

// gauge counts how many run at once.
type gauge struct {
	now, most atomic.Int32
}

func (g *gauge) enter() {
	n := g.now.Add(1)
	for most := g.most.Load(); n > most && !g.most.CompareAndSwap(most, n); most = g.most.Load() {
	}
}

func (g *gauge) leave() { g.now.Add(-1) }

func subscribeSerial(e *env) {
	d := e.open(Config{})
	var g gauge
	step, done := make(chan struct{}), make(chan struct{}, room)
	sub := d.subscribe(func(ctx context.Context, _ *broker.Delivery) error {
		g.enter()
		defer g.leave()
		select {
		case <-step:
		case <-ctx.Done():
		}
		done <- struct{}{}
		return nil
	})
	d.put(5)
	e.calm()
	for range 5 {
		give(e, step, "a handler that runs")
		next(e, done, "a handler to return")
	}
	d.drain(sub)
	if n := g.most.Load(); n != 1 {
		e.Errorf("%d handlers at once, want 1", n)
	}
}

func subscribeConcurrent(e *env) {
	const n = 3
	d := e.open(Config{})
	var g gauge
	started, release := make(chan struct{}, room), make(chan struct{})
	var once sync.Once
	e.Cleanup(func() { once.Do(func() { close(release) }) })
	sub := d.subscribe(func(ctx context.Context, _ *broker.Delivery) error {
		g.enter()
		defer g.leave()
		started <- struct{}{}
		select {
		case <-release:
		case <-ctx.Done():
		}
		return nil
	}, broker.Concurrency(n))
	d.put(3 * n)
	for range n {
		next(e, started, "handlers to run at once")
	}
	e.calm()
	once.Do(func() { close(release) })
	for range 2 * n {
		next(e, started, "the other handlers")
	}
	d.drain(sub)
	if most := g.most.Load(); most != n {
		e.Errorf("%d handlers at once, want %d", most, n)
	}
}

func subscribeErrors(e *env) {
	d := e.open(Config{})
	failure := errors.New("as the case wants")
	told := make(chan error, room)
	var calls atomic.Int32
	fine := make(chan struct{}, room)
	sub := d.subscribe(func(context.Context, *broker.Delivery) error {
		switch calls.Add(1) {
		case 1:
			return failure
		case 2:
			panic("as the case wants")
		}
		fine <- struct{}{}
		return nil
	}, broker.OnError(func(_ context.Context, _ *broker.Delivery, err error) { told <- err }))
	d.put(3)
	wantIs(e, "OnError", next(e, told, "the report of the error"), failure)
	err := next(e, told, "the report of the panic")
	if p, ok := errors.AsType[*broker.PanicError](err); !ok || p.Value != "as the case wants" || len(p.Stack) == 0 {
		e.Errorf("OnError was called with %v, want a PanicError with value and stack", err)
	}
	next(e, fine, "the subscription to go on")
	d.drain(sub)
	if c := sub.Counts(); c.Failed != 2 || c.Panicked != 1 || c.Succeeded < 1 {
		e.Errorf("counts %+v, want 2 failures, one of them a panic, and a success", c)
	}
}

func subscribeReaders(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Publish.Readers)
	before := d.sem.Publish.Readers.V
	sub := d.subscribe(discard)
	if got := e.at(d.name).sem.Publish.Readers; !is(got, before+1) {
		e.Errorf("%s readers with one more, %d before", got, before)
	}
	d.drain(sub)
	if got := e.at(d.name).sem.Publish.Readers; !is(got, before) {
		e.Errorf("%s readers after it has gone, %d before", got, before)
	}
}

func subscribeSlow(e *env) {
	const n, fit = 100, 10
	d := e.open(Config{})
	claimed(e, d.sem.Receive.Slow)
	drops := is(d.sem.Receive.Slow, broker.SlowDrops)
	started, release := make(chan struct{}, room), make(chan struct{})
	var handled atomic.Int32
	var once sync.Once
	e.Cleanup(func() { once.Do(func() { close(release) }) })
	dropped := make(chan error, room)
	opts := []broker.SubscribeOption{broker.OnError(func(_ context.Context, _ *broker.Delivery, err error) { dropped <- err })}
	if drops {
		opts = append(opts, broker.PendingLimits{Messages: fit})
	} else {
		_, err := e.b.Subscribe(e.soon(), d.name, discard, d.grouped([]broker.SubscribeOption{broker.PendingLimits{Messages: fit}})...)
		wantUnsupported(e, "PendingLimits where messages wait at the destination", err)
	}
	sub := d.subscribe(func(ctx context.Context, _ *broker.Delivery) error {
		started <- struct{}{}
		select {
		case <-release:
		case <-ctx.Done():
		}
		handled.Add(1)
		return nil
	}, opts...)
	d.put(1)
	next(e, started, "the handler")
	d.put(n - 1)
	if f, err := broker.As[broker.Flusher](e.b); err == nil {
		e.must("Flush", f.Flush(e.soon()))
	}
	once.Do(func() { close(release) })
	if !drops {
		for range n - 1 {
			next(e, started, "what had to wait")
		}
		d.drain(sub)
		return
	}
	err := next(e, dropped, "the report of the drops")
	wantIs(e, "OnError", err, broker.ErrDropped)
	if told, ok := errors.AsType[*broker.DropError](err); !ok || told.Messages == 0 || told.Total < told.Messages || told.Total > n {
		e.Errorf("OnError was called with %v, want a DropError with the number", err)
	}
	d.drain(sub)
	if c, h := sub.Counts(), handled.Load(); h > fit+2 || c.Dropped+uint64(h) != n {
		e.Errorf("%d of %d handled, %d dropped; room for %d", h, n, c.Dropped, fit)
	}
}
