package broker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/candidmq/candidmq/broker"
)

func TestErrorsKeepCauseAndCategory(t *testing.T) {
	native := io.ErrUnexpectedEOF
	for name, c := range map[string]struct {
		err  error
		is   []error
		not  []error
		says string
	}{
		"Error": {
			&broker.Error{Backend: "sqs", Op: "publish", Subject: "orders", Kind: broker.ErrThrottled, Err: native, OutcomeUnknown: true},
			[]error{broker.ErrThrottled, broker.ErrOutcomeUnknown, native},
			[]error{broker.ErrClosed, errors.ErrUnsupported},
			`sqs publish "orders": throttled (outcome unknown): unexpected EOF`,
		},
		"Error without a cause": {
			&broker.Error{Backend: "nats", Op: "request", Kind: broker.ErrNoResponders},
			[]error{broker.ErrNoResponders}, []error{broker.ErrOutcomeUnknown}, "nats request: no responders",
		},
		"FieldError": {
			&broker.FieldError{Field: "Subject", Value: strings.Repeat("é", 40), Limit: "short"},
			[]error{broker.ErrInvalid}, []error{broker.ErrTooLarge},
			`invalid Subject "` + strings.Repeat("é", 20) + `"… (80 bytes): want short`,
		},
		"FieldError of a size": {
			&broker.FieldError{Field: "Body", Value: "1048577 bytes", Limit: "1048576 bytes", TooLarge: true},
			[]error{broker.ErrInvalid, broker.ErrTooLarge}, nil,
			`invalid Body "1048577 bytes": want 1048576 bytes`,
		},
		"UnsupportedError": {
			&broker.UnsupportedError{Backend: "nats", What: "Delay of 1s", Why: "nothing is stored", Instead: "JetStream"},
			[]error{errors.ErrUnsupported}, []error{broker.ErrInvalid},
			"nats does not support Delay of 1s: nothing is stored; instead: JetStream",
		},
		"BatchError": {
			broker.NewBatchError([]error{nil, broker.ErrThrottled, nil, native}),
			[]error{broker.ErrThrottled, native}, []error{broker.ErrClosed},
			"2 of 4 items failed, the first: throttled",
		},
		"PanicError": {
			&broker.PanicError{Value: native}, []error{native}, nil, "handler panicked: unexpected EOF",
		},
		"RetryAfter": {
			broker.RetryAfter(-1, native), []error{native}, nil, "retry after 0s: unexpected EOF",
		},
		"Reject": {
			broker.Reject(native), []error{native}, nil, "rejected: unexpected EOF",
		},
		"causes that are nil": {
			errors.Join(broker.RetryAfter(0, nil), broker.Reject(nil)), nil, nil, "retry after 0s\nrejected: no reason given",
		},
	} {
		t.Run(name, func(t *testing.T) {
			wrapped := fmt.Errorf("wrapped: %w", c.err)
			for _, target := range c.is {
				if !errors.Is(wrapped, target) {
					t.Errorf("does not match %v", target)
				}
			}
			for _, target := range c.not {
				if errors.Is(wrapped, target) {
					t.Errorf("matches %v", target)
				}
			}
			if got := c.err.Error(); got != c.says {
				t.Errorf("got  %s\nwant %s", got, c.says)
			}
		})
	}
}

func TestItemError(t *testing.T) {
	batch := fmt.Errorf("wrapped: %w", broker.NewBatchError([]error{nil, io.EOF}))
	for _, c := range []struct {
		err  error
		i    int
		want error
	}{{nil, 0, nil}, {io.EOF, 7, io.EOF}, {batch, 0, nil}, {batch, 1, io.EOF}, {batch, 2, io.EOF}} {
		if got := broker.ItemError(c.err, c.i); !errors.Is(got, c.want) {
			t.Errorf("ItemError(%v, %d) = %v, want %v", c.err, c.i, got, c.want)
		}
	}
	if err := broker.NewBatchError([]error{nil, nil}); err != nil {
		t.Errorf("NewBatchError without a failure: %v", err)
	}
}

func TestHeaderCheck(t *testing.T) {
	for name, c := range map[string]struct {
		header broker.Header
		field  string // "" if it is fine
	}{
		"nil":            {nil, ""},
		"plain":          {broker.Header{"Trace-Id": "a b\tc", "x": "", "odd": "\xff\x01é"}, ""},
		"empty key":      {broker.Header{"": "v"}, "Header"},
		"colon":          {broker.Header{"a:b": "v"}, "Header"},
		"space in key":   {broker.Header{"a b": "v"}, "Header"},
		"CR in key":      {broker.Header{"a\rb": "v"}, "Header"},
		"non-ASCII key":  {broker.Header{"é": "v"}, "Header"},
		"CR":             {broker.Header{"k": "a\rb"}, "Header[k]"},
		"LF":             {broker.Header{"k": "a\nb"}, "Header[k]"},
		"NUL":            {broker.Header{"k": "a\x00b"}, "Header[k]"},
		"leading space":  {broker.Header{"k": " a"}, "Header[k]"},
		"trailing tab":   {broker.Header{"k": "a\t"}, "Header[k]"},
		"first in order": {broker.Header{"z": "\n", "b": "\n", "a": "ok"}, "Header[b]"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.header.Check()
			if c.field == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			var field *broker.FieldError
			if !errors.As(err, &field) || field.Field != c.field || !errors.Is(err, broker.ErrInvalid) {
				t.Errorf("got %v, want a FieldError on %s", err, c.field)
			}
		})
	}
	secret := broker.Header{"Authorization": "Bearer hunter2\n"}.Check()
	if strings.Contains(secret.Error(), "hunter2") {
		t.Errorf("the error shows a header's value: %v", secret)
	}
}

func TestNothingLogsBodies(t *testing.T) {
	var out strings.Builder
	log := slog.New(slog.NewTextHandler(&out, nil))
	d := message("id-1", "key-1")
	d.Body = []byte("body-secret")
	d.Header.Set("token", "header-secret")
	d.DedupID, d.Source = "dedup-1", "elsewhere"
	log.Info("one", "message", d.Message, "delivery", d)
	for _, want := range []string{"id-1", "key-1", "dedup-1", "size=11", "source=elsewhere", "attempt=1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q misses %s", out.String(), want)
		}
	}
	if strings.Contains(out.String(), "secret") {
		t.Errorf("a body or header value was logged: %s", out.String())
	}
}

type role interface{ Role() string }

type plain struct{ broker.Broker }

type withRole struct{ broker.Broker }

func (withRole) Role() string { return "own" }

type wrapping struct {
	broker.Broker
	as string // the role it wraps, "" for none
}

func (w wrapping) Unwrap() broker.Broker { return w.Broker }

func (w wrapping) As(target any) bool {
	r, ok := target.(*role)
	if ok && w.as != "" {
		*r = named(w.as)
	}
	return ok && w.as != ""
}

type named string

func (n named) Role() string { return string(n) }

func TestAs(t *testing.T) {
	for name, c := range map[string]struct {
		b    broker.Broker
		want string // "" for an error
	}{
		"itself":                   {withRole{}, "own"},
		"through a wrapper":        {wrapping{Broker: withRole{}}, "own"},
		"the wrapper's own":        {wrapping{withRole{}, "wrapped"}, "wrapped"},
		"through two wrappers":     {wrapping{Broker: wrapping{withRole{}, "inner"}}, "inner"},
		"absent":                   {plain{}, ""},
		"absent behind a wrapper":  {wrapping{Broker: plain{}}, ""},
		"nil":                      {nil, ""},
		"a wrapper around nothing": {wrapping{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := broker.As[role](c.b)
			switch {
			case c.want == "":
				if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "role") {
					t.Errorf("got %v, %v; want an error matching ErrUnsupported that names the role", r, err)
				}
			case err != nil || r.Role() != c.want:
				t.Errorf("got %v, %v; want %s", r, err, c.want)
			}
		})
	}
}

func TestDeliveryAs(t *testing.T) {
	var d broker.Delivery
	var s string
	if d.As(&s) || d.As(nil) {
		t.Error("a delivery without a handle reaches something")
	}
	d.Handle = asString("native")
	if !d.As(&s) || s != "native" {
		t.Errorf("As: %q", s)
	}
	if d.As(nil) || d.As(new(int)) {
		t.Error("As(nil) or As of a strange type is true")
	}
}

type asString string

func (a asString) As(target any) bool {
	s, ok := target.(*string)
	if ok {
		*s = string(a)
	}
	return ok
}

type describer struct {
	s   broker.Semantics
	err error
}

func (d describer) Describe(context.Context, string) (broker.Semantics, error) { return d.s, d.err }

// A handler's word can be asked for: tests and middleware need that.
func TestVerdictsCanBeAskedFor(t *testing.T) {
	var retry *broker.RetryError
	if err := fmt.Errorf("wrapped: %w", broker.RetryAfter(3, io.EOF)); !errors.As(err, &retry) || retry.Delay != 3 || !errors.Is(retry.Cause, io.EOF) {
		t.Errorf("RetryAfter: %+v", retry)
	}
	var reject *broker.RejectError
	if err := fmt.Errorf("wrapped: %w", broker.Reject(io.EOF)); !errors.As(err, &reject) || !errors.Is(reject.Cause, io.EOF) {
		t.Errorf("Reject: %+v", reject)
	}
}
