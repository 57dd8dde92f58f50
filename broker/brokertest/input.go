package brokertest

import (
	"context"
	"strings"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func inputCases() []Case {
	return []Case{{
		Name: "input/subject",
		Rule: "An empty or malformed subject, and a wildcard in a publish, are refused before anything is sent.",
		run:  inputSubject,
	}, {
		Name: "input/header",
		Rule: "A header that could not be carried unchanged is a FieldError, and nothing is sent.",
		run:  inputHeader,
	}, {
		Name: "input/negative-times",
		Rule: "A negative delay, TTL, wait or lease is refused.",
		run:  inputNegative,
	}, {
		Name: "input/options",
		Rule: "An option that is unknown or out of range is refused, never ignored.",
		run:  inputOptions,
	}, {
		Name: "input/nil-handler",
		Rule: "A nil handler is a FieldError.",
		run:  inputNilHandler,
	}, {
		Name:  "input/receive-limit",
		Rule:  "A Receive of less than one message is a FieldError.",
		needs: RoleReceiver,
		run:   inputLimit,
	}, {
		Name:  "input/foreign-delivery",
		Rule:  "A delivery that another broker made, or nobody, is a FieldError of its own item.",
		needs: RoleReceiver,
		run:   inputForeignDelivery,
	}}
}

func inputSubject(e *env) {
	d := e.open(Config{})
	for _, bad := range []string{"", " ", "a b", "a\nb", "a..b", ".a", "a.", "\x00", strings.Repeat("x", 100_000), "a.*", "a.>", "*", ">"} {
		m := d.message(e.body())
		m.Subject = bad
		_, err := e.b.Publish(e.soon(), m)
		e.unsupportedOrInvalid("Publish to "+short(bad), err)
		_, err = e.b.Describe(e.soon(), bad)
		e.unsupportedOrInvalid("Describe of "+short(bad), err)
		if e.h.Wildcards && strings.ContainsAny(bad, "*>") {
			continue
		}
		_, err = e.b.Subscribe(e.soon(), bad, discard, d.grouped(nil)...)
		e.unsupportedOrInvalid("Subscribe to "+short(bad), err)
	}
}

func short(s string) string { return `"` + s[:min(len(s), 20)] + `"` }

func inputHeader(e *env) {
	d := e.open(Config{})
	in := d.inbox()
	for _, bad := range []broker.Header{
		{"k": "a\r\nInjected: b"}, {"k": "a\nb"}, {"k": "a\x00b"}, {"k": " a"}, {"k": "a\t"},
		{"": "v"}, {"a b": "v"}, {"a:b": "v"}, {"a\r\nb": "v"}, {"ключ": "v"},
	} {
		m := d.message(e.body())
		m.Header = bad
		_, err := e.b.Publish(e.soon(), m)
		for k, v := range bad {
			wantField(e, "a header "+short(k)+": "+short(v), err)
		}
	}
	in.empty("what is refused is not sent")
}

func inputNegative(e *env) {
	d := e.open(Config{})
	in := d.inbox()
	m := d.message(e.body())
	m.Delay = -time.Second
	_, err := e.b.Publish(e.soon(), m)
	e.unsupportedOrInvalid("a negative delay", err)
	m = d.message(e.body())
	m.TTL = -time.Second
	_, err = e.b.Publish(e.soon(), m)
	e.unsupportedOrInvalid("a negative TTL", err)
	in.empty("what is refused is not sent")
	if !e.leased() {
		return
	}
	r := e.receiver()
	_, err = r.Receive(e.soon(), d.name, 1, broker.Wait(-time.Second))
	wantField(e, "a negative wait", err)
	_, err = r.Receive(e.soon(), d.name, 1, broker.Lease(-time.Second))
	wantField(e, "a negative lease", err)
	d.put(1)
	got := d.lease()
	wantField(e, "a negative Extend", broker.ItemError(r.Extend(e.soon(), -time.Second, got), 0))
	wantField(e, "a negative Release", broker.ItemError(r.Release(e.soon(), -time.Second, got), 0))
	d.settle(got)
}

// strange is an option that no backend knows.
type strange struct{}

func (strange) SubscribeOption() {}
func (strange) ReceiveOption()   {}

func inputOptions(e *env) {
	d := e.open(Config{})
	options := map[string]broker.SubscribeOption{
		"an unknown option": strange{},
		"concurrency 0":     broker.Concurrency(0),
		"concurrency -1":    broker.Concurrency(-1),
		"a negative lease":  broker.Lease(-1),
		"a lease of 30 ns":  broker.Lease(30),
		"a negative rate":   broker.Rate(-1),
		"attempts -1":       broker.MaxAttempts(-1),
		"prefetch -1":       broker.Prefetch(-1),
	}
	if !isTrue(d.sem.Receive.Replay) {
		options["a Start, and no replay"] = broker.FromFirst()
		options["Ordered, and no replay"] = broker.Ordered{}
	}
	for what, opt := range options {
		sub, err := e.b.Subscribe(e.soon(), d.name, discard, d.grouped([]broker.SubscribeOption{opt})...)
		e.unsupportedOrInvalid("Subscribe with "+what, err)
		if err == nil {
			d.drain(sub)
		}
	}
	if e.leased() {
		_, err := e.receiver().Receive(e.soon(), d.name, 1, strange{}, broker.Wait(0))
		wantUnsupported(e, "Receive with an unknown option", err)
		_, err = e.receiver().Receive(e.soon(), d.name, 1, broker.Wait(20))
		wantField(e, "Receive with a wait of 20 ns", err)
		_, err = e.receiver().Receive(e.soon(), d.name, 1, broker.Lease(30), broker.Wait(0))
		wantField(e, "Receive with a lease of 30 ns", err)
	}
}

func inputNilHandler(e *env) {
	d := e.open(Config{})
	_, err := e.b.Subscribe(e.soon(), d.name, nil, d.grouped(nil)...)
	wantField(e, "Subscribe", err)
	if e.h.Roles.has(RoleResponder) {
		_, err = role[broker.Responder](e).Respond(e.soon(), d.name, nil)
		wantField(e, "Respond", err)
	}
}

func inputLimit(e *env) {
	d := e.open(Config{})
	for _, limit := range []int{0, -1} {
		_, err := e.receiver().Receive(e.soon(), d.name, limit, broker.Wait(0))
		wantField(e, "Receive", err)
	}
}

func inputForeignDelivery(e *env) {
	d := e.open(Config{})
	d.put(2)
	ours := d.leaseN(2)
	foreign := &broker.Delivery{Message: d.message("by hand")}
	err := e.receiver().Delete(e.soon(), ours[0], foreign, ours[1])
	wantField(e, "the foreign one", broker.ItemError(err, 1))
	for _, i := range []int{0, 2} {
		e.must("the others", broker.ItemError(err, i))
	}
	wantField(e, "a nil delivery", broker.ItemError(e.receiver().Delete(e.soon(), nil), 0))
}

func discard(context.Context, *broker.Delivery) error { return nil }
