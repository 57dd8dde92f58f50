package brokertest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// dest is a destination under test, and what Describe said of it at first.
type dest struct {
	*env
	name string
	sem  broker.Semantics
}

// open makes a destination, or skips the case.
func (e *env) open(want Config) dest {
	e.Helper()
	all := e.each(want)
	if len(all) == 0 {
		e.Skipf("the harness has no destination with %s", want)
	}
	return all[0]
}

// each makes those destinations that the harness can make.
func (e *env) each(wants ...Config) []dest {
	e.Helper()
	var all []dest
	for _, want := range wants {
		if name, ok := e.h.Destination(e.TB, e.b, want); ok {
			all = append(all, e.at(name))
		}
	}
	return all
}

// at looks at a destination that exists.
func (e *env) at(name string) dest {
	e.Helper()
	s, err := e.b.Describe(e.soon(), name)
	e.must("Describe", err)
	return dest{e, name, s}
}

// String lists what is wanted.
func (c Config) String() string {
	var wants []string
	for _, w := range []struct {
		wanted bool
		text   string
	}{
		{c.Lease != 0, fmt.Sprintf("a lease of %v", c.Lease)},
		{c.MaxAttempts != 0, fmt.Sprintf("at most %d attempts", c.MaxAttempts)},
		{c.DeadLetter, "a dead-letter destination"},
		{c.QueueDelay != 0, fmt.Sprintf("a delay of %v of its own", c.QueueDelay)},
		{c.Retention != 0, fmt.Sprintf("a retention of %v", c.Retention)},
		{c.MaxMessage != 0, fmt.Sprintf("messages of at most %d bytes", c.MaxMessage)},
		{c.ByContent, "deduplication by content"},
		{c.DedupByKey, "deduplication for each key"},
	} {
		if w.wanted {
			wants = append(wants, w.text)
		}
	}
	return fmt.Sprintf("%q", wants)
}

// message is one that the destination takes, with a key and an id of its own
// where it wants them.
func (d dest) message(body string) broker.Message {
	m := broker.Message{Subject: d.name, Body: []byte(body)}
	d.n++
	if isTrue(d.sem.Publish.KeyRequired) {
		m.Key = fmt.Sprintf("key-%d", d.n)
	}
	if isTrue(d.sem.Publish.IDRequired) {
		m.DedupID = fmt.Sprintf("id-%d", d.n)
	}
	return m
}

// send publishes, and ends the case if that fails.
func (d dest) send(m broker.Message) broker.Receipt {
	d.Helper()
	r, err := d.b.Publish(d.soon(), m)
	d.must("Publish", err)
	return r
}

// put publishes n messages and returns their bodies.
func (d dest) put(n int) []string {
	d.Helper()
	ctx, bodies := d.soon(), make([]string, n)
	for i := range bodies {
		bodies[i] = d.body()
		_, err := d.b.Publish(ctx, d.message(bodies[i]))
		d.must("Publish", err)
	}
	return bodies
}

// subscribe subscribes, with a group where there must be one.
func (d dest) subscribe(h broker.Handler, opts ...broker.SubscribeOption) *broker.Subscription {
	d.Helper()
	sub, err := d.b.Subscribe(d.soon(), d.name, h, d.grouped(opts)...)
	d.must("Subscribe", err)
	return sub
}

func (d dest) grouped(opts []broker.SubscribeOption) []broker.SubscribeOption {
	if is(d.sem.Receive.Distribution, broker.DistributionCompeting) {
		return slices.Concat([]broker.SubscribeOption{broker.Group("group")}, opts)
	}
	return opts
}

// drain ends a subscription.
func (d dest) drain(sub *broker.Subscription) broker.Report {
	d.Helper()
	var report broker.Report
	var err error
	d.within("Drain", func() { report, err = sub.Drain(d.soon()) })
	d.must("Drain", err)
	return report
}

// lease receives exactly one message and leaves it leased.
func (d dest) lease(opts ...broker.ReceiveOption) *broker.Delivery {
	d.Helper()
	return d.leaseN(1, opts...)[0]
}

// leaseN receives exactly n messages and leaves them leased.
func (d dest) leaseN(n int, opts ...broker.ReceiveOption) []*broker.Delivery {
	d.Helper()
	var all []*broker.Delivery
	ctx, r := d.soon(), d.receiver()
	opts = slices.Concat([]broker.ReceiveOption{broker.Wait(d.h.Poll)}, opts)
	for late := time.Now().Add(d.h.Slack); len(all) < n; {
		ds, err := r.Receive(ctx, d.name, n-len(all), opts...)
		d.must("Receive", err)
		if len(ds) == 0 && time.Now().After(late) {
			d.Fatalf("%d messages and no more, want %d", len(all), n)
		}
		all = append(all, ds...)
	}
	if len(all) > n {
		d.Fatalf("Receive gave %d messages, asked for %d", len(all), n)
	}
	return all
}

// poll is one Receive.
func (d dest) poll(limit int, wait time.Duration, opts ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	opts = slices.Concat([]broker.ReceiveOption{broker.Wait(wait)}, opts)
	return d.receiver().Receive(d.soon(), d.name, limit, opts...)
}

// settle deletes.
func (d dest) settle(ds ...*broker.Delivery) {
	d.Helper()
	d.must("Delete", d.receiver().Delete(d.soon(), ds...))
}

// nothing proves that no message is to be had. In virtual time one long poll
// does; in real time two.
func (d dest) nothing(why string) {
	d.Helper()
	polls := 2
	if d.h.Virtual {
		polls = 1
	}
	for range polls {
		ds, err := d.poll(1, d.h.Poll)
		d.must("Receive", err)
		if len(ds) > 0 {
			d.Fatalf("message %q (attempt %d), want none: %s", ds[0].Body, ds[0].Attempt, why)
		}
	}
}

// notYet proves that no message is to be had at this moment.
func (d dest) notYet(why string) {
	d.Helper()
	ds, err := d.poll(1, 0)
	d.must("Receive", err)
	if len(ds) > 0 {
		d.Fatalf("message %q (attempt %d) too early: %s", ds[0].Body, ds[0].Attempt, why)
	}
}

// arrives sees a message come at since + after, not before and not later than
// the slack.
func (d dest) arrives(what string, since time.Time, after time.Duration) *broker.Delivery {
	d.Helper()
	const early = 2 * time.Second
	if wait := time.Until(since.Add(after - early)); wait > 0 {
		d.sleep(wait)
		d.notYet(fmt.Sprintf("%s, promised after %v", what, after))
	}
	end := since.Add(after + d.h.Slack)
	for {
		ds, err := d.poll(1, d.h.Poll)
		d.must("Receive", err)
		got := time.Since(since)
		switch {
		case len(ds) > 0 && got < after:
			d.Fatalf("%s after %v, promised after %v", what, got, after)
		case len(ds) > 0 && got > after+d.h.Slack:
			d.Fatalf("%s only after %v, promised after %v", what, got, after)
		case len(ds) > 0:
			return ds[0]
		case time.Now().After(end):
			d.Fatalf("%s not there %v after it was promised", what, about(since.Add(after)))
		}
	}
}

// inbox reads a destination: from leases, which it deletes, or through a
// subscription.
type inbox struct {
	dest
	got chan *broker.Delivery // nil: by leases
}

// inbox opens one. What nobody reads may be lost, so it is opened first.
func (d dest) inbox() inbox {
	d.Helper()
	if d.leased() {
		return inbox{dest: d}
	}
	got := make(chan *broker.Delivery, room)
	d.subscribe(func(_ context.Context, m *broker.Delivery) error {
		got <- m
		return nil
	})
	return inbox{d, got}
}

// take takes n messages.
func (in inbox) take(n int) []*broker.Delivery {
	in.Helper()
	var all []*broker.Delivery
	for late := time.Now().Add(in.h.Slack); len(all) < n; {
		if in.got != nil {
			all = append(all, next(in.env, in.got, fmt.Sprintf("message %d of %d", len(all)+1, n)))
			continue
		}
		ds, err := in.poll(n-len(all), in.h.Poll)
		in.must("Receive", err)
		if len(ds) == 0 && time.Now().After(late) {
			in.Fatalf("%d messages and no more, want %d", len(all), n)
		}
		if len(ds) > 0 {
			in.settle(ds...)
		}
		all = append(all, ds...)
	}
	return all
}

// one takes one message.
func (in inbox) one() *broker.Delivery {
	in.Helper()
	return in.take(1)[0]
}

// empty proves that there is nothing more: on a destination without leases a
// later message comes first.
func (in inbox) empty(why string) {
	in.Helper()
	if in.got == nil {
		in.nothing(why)
		return
	}
	const fence = "fence"
	in.send(in.message(fence))
	if d := next(in.env, in.got, "the fence"); string(d.Body) != fence {
		in.Fatalf("message %q, want none: %s", d.Body, why)
	}
}

// wantBodies compares, in any order.
func (e *env) wantBodies(ds []*broker.Delivery, want []string) {
	e.Helper()
	got := bodies(ds)
	slices.Sort(got)
	want = slices.Sorted(slices.Values(want))
	if !slices.Equal(got, want) {
		e.Errorf("bodies %q, want %q", got, want)
	}
}

func bodies(ds []*broker.Delivery) []string {
	all := make([]string, len(ds))
	for i, d := range ds {
		all[i] = string(d.Body)
	}
	return all
}
