package natsrules

import (
	"errors"
	"fmt"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/subject"
)

// Refused are the message fields that core NATS cannot honour.
const Refused = broker.FieldKey | broker.FieldTenant | broker.FieldDedupID | broker.FieldDelay | broker.FieldTTL

// reasons gives the reason for each refused field, and an alternative.
var reasons = [...]struct {
	field        broker.Fields
	why, instead string
}{
	{
		broker.FieldKey, "the messages of one connection arrive in order anyway, and nothing keeps order across handlers",
		"SQS FIFO, or one subscription without Concurrency",
	},
	{broker.FieldTenant, "messages are pushed to subscribers as they come, with no queue to be fair about", "SQS Standard"},
	{broker.FieldDedupID, "nothing is stored that a duplicate could be compared with", "a JetStream stream, or SQS FIFO"},
	{broker.FieldDelay, "nothing is stored that could wait", "a JetStream stream that allows schedules, or SQS Standard"},
	{broker.FieldTTL, "nothing is stored that could grow old", "a JetStream stream that allows message TTLs"},
}

// Check drops the ignored fields from m and returns the first reason for which
// core NATS does not accept the rest: a [*broker.FieldError] for bad input, a
// [*broker.UnsupportedError] for a field that it cannot honour. native is the
// subject to publish to, in place of m's, and m.ReplyTo is native already.
// Sizes are for [CheckSize].
func Check(m *broker.Message, native string, ignore broker.Fields) error {
	if f := m.Fields(); f != 0 {
		m.Clear(f & ignore)
		if err := checkFields(f &^ ignore); err != nil {
			return err
		}
	}
	if err := CheckSubject(native); err != nil {
		return err
	}
	if m.ReplyTo != "" {
		if err := checkReplyTo(native, m.ReplyTo); err != nil {
			return err
		}
	}
	if len(m.Header) > 0 {
		return checkHeader(m.Header)
	}
	return nil
}

// traceHeaders make the server report on a message, and may keep it from being
// delivered. The server recognises them only in this spelling.
var traceHeaders = [...]string{"Nats-Trace-Only", "Nats-Trace-Dest"}

func checkHeader(h broker.Header) error {
	for _, key := range traceHeaders {
		if _, set := h[key]; set {
			return &broker.FieldError{
				Field: "Header", Value: key,
				Limit: "another key: this one asks the server for a report, and may keep the message from being delivered",
			}
		}
	}
	return h.Check()
}

// CheckIgnore checks the fields to be ignored.
func CheckIgnore(ignore broker.Fields) error {
	if unknown := ignore &^ Refused; unknown != 0 {
		return &broker.FieldError{Field: "Ignore", Value: unknown.String(), Limit: "a subset of " + Refused.String()}
	}
	return nil
}

func checkFields(f broker.Fields) error {
	if f&Refused == 0 {
		return nil
	}
	for _, r := range reasons {
		if f&r.field != 0 {
			return &broker.UnsupportedError{
				Backend: Backend, What: "Message." + r.field.String(), Why: r.why, Instead: r.instead,
			}
		}
	}
	return nil
}

// CheckSubject checks a native subject for uses other than subscribing.
func CheckSubject(native string) error {
	if err := subject.CheckPublish(native); err != nil {
		return SubjectError("Subject", native, err)
	}
	return nil
}

func checkReplyTo(native, replyTo string) error {
	if err := subject.CheckPublish(replyTo); err != nil {
		return SubjectError("ReplyTo", replyTo, err)
	}
	return checkTogether("ReplyTo", native, replyTo)
}

// checkTogether limits the text that shares a protocol line with a subject. A
// server closes a connection that sends a line above max_control_line, 4,096
// bytes by default; [subject.MaxLen] leaves room for ids, sizes and a request's
// inbox.
func checkTogether(field, native, other string) error {
	if len(native)+len(other) <= subject.MaxLen {
		return nil
	}
	return &broker.FieldError{
		Field: field, Value: other, TooLarge: true,
		Limit: fmt.Sprintf("at most %d bytes together with the subject's %d", subject.MaxLen, len(native)),
	}
}

// SubjectError returns the error for a subject that package subject refuses
// with err.
func SubjectError(field, value string, err error) error {
	e := &broker.FieldError{Field: field, Value: value, Limit: err.Error()}
	if bad, ok := errors.AsType[*subject.Error](err); ok {
		e.Limit = string(bad.Reason)
		e.TooLarge = bad.Reason == subject.ReasonTooLong
	}
	return e
}
