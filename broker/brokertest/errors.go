package brokertest

import (
	"context"
	"errors"

	"github.com/candidmq/candidmq/broker"
)

func errorCases() []Case {
	return []Case{{
		Name: "errors/not-found",
		Rule: "A destination that does not exist is ErrNotFound, in every call that names it.",
		run:  errorsNotFound,
	}, {
		Name: "errors/ended-context",
		Rule: "A call whose context has ended fails with the context's error, and does nothing.",
		run:  errorsContext,
	}, {
		Name: "errors/unsupported-says-why",
		Rule: "What a destination cannot honour is an UnsupportedError that names the backend, what and why.",
		run:  errorsUnsupported,
	}}
}

func errorsNotFound(e *env) {
	if e.h.Missing == "" {
		e.Skipf("every name exists")
	}
	missing := e.h.Missing
	d := e.open(Config{})
	m := d.message(e.body())
	m.Subject = missing
	_, err := e.b.Publish(e.soon(), m)
	wantIs(e, "Publish", err, broker.ErrNotFound)
	_, err = e.b.Describe(e.soon(), missing)
	wantIs(e, "Describe", err, broker.ErrNotFound)
	wantIs(e, "Require", broker.Require(e.soon(), e.b, missing, broker.NeedStored()), broker.ErrNotFound)
	if e.leased() {
		_, err = e.receiver().Receive(e.soon(), missing, 1, broker.Wait(0))
		wantIs(e, "Receive", err, broker.ErrNotFound)
	}
}

func errorsContext(e *env) {
	d := e.open(Config{})
	in := d.inbox()
	ctx, cancel := context.WithCancel(e.Context())
	cancel()
	_, err := e.b.Publish(ctx, d.message(e.body()))
	wantIs(e, "Publish", err, context.Canceled)
	_, err = e.b.Describe(ctx, d.name)
	wantIs(e, "Describe", err, context.Canceled)
	_, err = e.b.Subscribe(ctx, d.name, discard, d.grouped(nil)...)
	wantIs(e, "Subscribe", err, context.Canceled)
	in.empty("its context had ended")
}

func errorsUnsupported(e *env) {
	d := e.open(Config{})
	refused := 0
	for _, change := range []func(*broker.Message){
		func(m *broker.Message) { m.Key = "key" },
		func(m *broker.Message) { m.Tenant = "tenant" },
		func(m *broker.Message) { m.DedupID = "id" },
		func(m *broker.Message) { m.Delay = 1 << 60 },
		func(m *broker.Message) { m.TTL = 1 << 60 },
		func(m *broker.Message) { m.ReplyTo = "reply" },
	} {
		m := d.message(e.body())
		change(&m)
		_, err := e.b.Publish(e.soon(), m)
		if err == nil || errors.Is(err, broker.ErrInvalid) {
			continue
		}
		refused++
		wantUnsupported(e, "a message with "+m.Fields().String(), err)
	}
	if refused == 0 {
		e.Errorf("no field was refused, not even a delay of 36 years")
	}
}

// wantIs wants an error that matches.
func wantIs(e *env, what string, err, target error) {
	e.Helper()
	if !errors.Is(err, target) {
		e.Errorf("%s: got %v, want an error matching %q", what, err, target)
	}
}

// wantField wants a complete FieldError.
func wantField(e *env, what string, err error) {
	e.Helper()
	wantIs(e, what, err, broker.ErrInvalid)
	f, ok := errors.AsType[*broker.FieldError](err)
	if !ok || f.Field == "" || f.Limit == "" {
		e.Errorf("%s: got %T (%v), want a FieldError with field and limit", what, err, err)
	}
}

// wantUnsupported wants a complete UnsupportedError.
func wantUnsupported(e *env, what string, err error) {
	e.Helper()
	wantIs(e, what, err, errors.ErrUnsupported)
	u, ok := errors.AsType[*broker.UnsupportedError](err)
	if !ok || u.Backend == "" || u.What == "" || u.Why == "" {
		e.Errorf("%s: got %T (%v), want an UnsupportedError with backend, what and why", what, err, err)
	}
}
