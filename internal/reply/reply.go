// Package reply implements the conventions of request-reply on NATS, shared by
// core NATS and the memory broker that simulates it: an error is a reply with
// the headers of the NATS service API (ADR-32), so that other clients can read
// it.
package reply

import (
	"cmp"
	"context"
	"errors"
	"strings"

	"github.com/candidmq/candidmq/broker"
)

// Headers of an error reply, as named in ADR-32.
const (
	ErrorHeader = "Nats-Service-Error"
	CodeHeader  = "Nats-Service-Error-Code"
)

// errNoReplyTo is reported to OnError for a message that was published rather
// than requested.
var errNoReplyTo = errors.New("the message has no reply address: its reply has nowhere to go")

// Send sends a reply to d.ReplyTo.
type Send func(ctx context.Context, d *broker.Delivery, m broker.Message) error

// Handler turns a ReplyHandler into a Handler that sends the returned reply.
// When h panics it also sends an error reply; the panic goes on to the runtime.
func Handler(h broker.ReplyHandler, send Send) broker.Handler {
	return func(ctx context.Context, d *broker.Delivery) error {
		answered := false
		defer func() {
			if !answered && d.ReplyTo != "" {
				_ = send(ctx, d, errorMessage(nil)) // the panic is what gets reported
			}
		}()
		m, err := h(ctx, d)
		answered = true
		if d.ReplyTo == "" {
			return cmp.Or(err, errNoReplyTo)
		}
		if err != nil {
			return errors.Join(unexpected(err), send(ctx, d, errorMessage(err)))
		}
		return send(ctx, d, m)
	}
}

// unexpected returns nil for an error that the handler sent on purpose.
func unexpected(err error) error {
	if _, ok := errors.AsType[*broker.ReplyError](err); ok {
		return nil
	}
	return err
}

// errorMessage returns the reply that carries err. Only a ReplyError's text
// leaves the process.
func errorMessage(err error) broker.Message {
	e, ok := errors.AsType[*broker.ReplyError](err)
	if !ok {
		e = &broker.ReplyError{Description: "internal error"}
	}
	var m broker.Message
	m.Body = e.Body
	m.Header.Set(CodeHeader, headerText(cmp.Or(e.Code, "500")))
	m.Header.Set(ErrorHeader, headerText(e.Description))
	return m
}

// headerText makes s fit for a header: one line, with no spaces at its ends.
func headerText(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return ' '
		}
		return r
	}, s))
}

// Error returns the error that a reply carries, or nil.
func Error(h broker.Header, body []byte) error {
	code, isError := h[CodeHeader]
	description, described := h[ErrorHeader]
	if !isError && !described {
		return nil
	}
	return &broker.ReplyError{Code: cmp.Or(code, "500"), Description: description, Body: body}
}
