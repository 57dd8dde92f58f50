package natsbroker

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/subject"
)

// maxControl bounds the subjects and the queue name of one protocol line
// together, in bytes. The server closes a connection that sends a line above
// max_control_line, 4096 bytes by default; the rest is for ids, sizes and a
// request's inbox.
const maxControl = subject.MaxLen

// refused are the fields that core NATS cannot honour.
const refused = broker.FieldKey | broker.FieldTenant | broker.FieldDedupID | broker.FieldDelay | broker.FieldTTL

// reasons says for each refused field why, and what to use instead.
var reasons = []struct {
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

// address finds a native subject for a name.
func (b *Broker) address(name string) string {
	if len(b.subjects) > 0 {
		if native, ok := b.subjects[name]; ok {
			return native
		}
	}
	return name
}

// prepare checks m and returns the native subject to publish it to. It drops
// the fields that Options.Ignore names, and makes ReplyTo native.
func (b *Broker) prepare(m *broker.Message) (string, error) {
	native := b.address(m.Subject)
	if m.ReplyTo != "" {
		m.ReplyTo = b.address(m.ReplyTo)
	}
	return native, b.check(native, m)
}

func (b *Broker) check(native string, m *broker.Message) error {
	if f := m.Fields(); f != 0 {
		m.Clear(f & b.ignore)
		if err := checkFields(f &^ b.ignore); err != nil {
			return err
		}
	}
	if err := subject.CheckPublish(native); err != nil {
		return subjectError("Subject", native, err)
	}
	if m.ReplyTo != "" {
		if err := checkReplyTo(native, m.ReplyTo); err != nil {
			return err
		}
	}
	if len(m.Header) > 0 {
		return m.Header.Check()
	}
	return nil
}

func checkFields(f broker.Fields) error {
	if f&refused == 0 {
		return nil
	}
	for _, r := range reasons {
		if f&r.field != 0 {
			return &broker.UnsupportedError{
				Backend: backend, What: "Message." + r.field.String(), Why: r.why, Instead: r.instead,
			}
		}
	}
	return nil
}

func checkReplyTo(native, replyTo string) error {
	if err := subject.CheckPublish(replyTo); err != nil {
		return subjectError("ReplyTo", replyTo, err)
	}
	return checkControl("ReplyTo", native, replyTo)
}

// checkControl keeps two parts of a protocol line within it together.
func checkControl(field, native, other string) error {
	if len(native)+len(other) <= maxControl {
		return nil
	}
	return &broker.FieldError{
		Field: field, Value: other, TooLarge: true,
		Limit: fmt.Sprintf("at most %d bytes together with the subject's %d", maxControl, len(native)),
	}
}

// checkPattern checks a native subject to subscribe to.
func checkPattern(field, pattern string) error {
	if err := subject.CheckSubscribe(pattern); err != nil {
		return subjectError(field, pattern, err)
	}
	return nil
}

func subjectError(field, value string, err error) error {
	e := &broker.FieldError{Field: field, Value: value, Limit: err.Error()}
	if bad, ok := errors.AsType[*subject.Error](err); ok {
		e.Limit = string(bad.Reason)
		e.TooLarge = bad.Reason == subject.ReasonTooLong
	}
	return e
}

// checkSize compares m with the limit of the server connected to.
//
// Before the first connection (nats.RetryOnFailedConnect) nats.go knows no
// limit and buffers a message of any size; the server then closes the
// connection for good when it gets one that is too large. So nothing is
// published before the limit is known.
func (b *Broker) checkSize(m *broker.Message) error {
	limit := b.conn.MaxPayload()
	switch {
	case limit == 0:
		return nats.ErrDisconnected
	case wireSize(m) > limit:
		return tooLarge(m, limit)
	case b.conn.IsConnected():
		b.first.Do(b.firstConnection)
	}
	return nil
}

// firstConnection: from now on nats.go checks sizes by itself. It counts its
// first connection as a reconnect if that failed at first, with which nothing
// was lost.
func (b *Broker) firstConnection() {
	b.flushed.set(b.conn.Stats())
	b.connected.Store(true)
}

func tooLarge(m *broker.Message, limit int64) error {
	return &broker.FieldError{
		Field: "Body", Value: fmt.Sprintf("%d bytes", wireSize(m)), TooLarge: true,
		Limit: fmt.Sprintf("at most %d bytes with the headers (the server's max_payload)", limit),
	}
}

// wireSize is what counts against max_payload: the body, and the headers as
// they are written ("NATS/1.0", a line each, an empty line).
func wireSize(m *broker.Message) int64 {
	size := len(m.Body)
	if len(m.Header) > 0 {
		size += len("NATS/1.0\r\n") + len("\r\n")
		for k, v := range m.Header {
			size += len(k) + len(": ") + len(v) + len("\r\n")
		}
	}
	return int64(size)
}

// nativeMsg makes a message with headers for nats.go.
func nativeMsg(native string, m *broker.Message) *nats.Msg {
	return &nats.Msg{Subject: native, Reply: m.ReplyTo, Header: nativeHeader(m.Header), Data: m.Body}
}

func nativeHeader(h broker.Header) nats.Header {
	native := make(nats.Header, len(h))
	values := make([]string, 0, len(h))
	for k, v := range h {
		values = append(values, v)
		native[k] = values[len(values)-1 : len(values) : len(values)]
	}
	return native
}
