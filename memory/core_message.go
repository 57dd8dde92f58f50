package memory

import (
	"fmt"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/reply"
	"github.com/candidmq/candidmq/internal/subject"
)

// refused are the fields that core NATS cannot honour, each with the reason and
// what to use instead.
var refused = [...]struct {
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

// prepare checks m, makes its addresses native and drops what is to be ignored.
func (b *CoreNATS) prepare(m *broker.Message) error {
	m.Subject = b.address(m.Subject)
	if m.ReplyTo != "" {
		m.ReplyTo = b.address(m.ReplyTo)
	}
	return b.check(m)
}

// check is prepare for native addresses.
func (b *CoreNATS) check(m *broker.Message) error {
	if f := m.Fields(); f != 0 {
		m.Clear(b.ignore)
		if err := checkFields(f &^ b.ignore); err != nil {
			return err
		}
	}
	if err := subject.CheckPublish(m.Subject); err != nil {
		return subjectError("Subject", m.Subject, err)
	}
	if m.ReplyTo != "" {
		if err := checkReplyTo(m); err != nil {
			return err
		}
	}
	if len(m.Header) > 0 {
		if err := m.Header.Check(); err != nil {
			return err
		}
	}
	return b.checkSize(m)
}

func checkFields(f broker.Fields) error {
	if f&^broker.FieldReplyTo == 0 {
		return nil
	}
	for _, r := range refused {
		if f&r.field != 0 {
			return &broker.UnsupportedError{
				Backend: natsBackend, What: "Message." + r.field.String(), Why: r.why, Instead: r.instead,
			}
		}
	}
	return nil
}

// checkReplyTo also keeps both subjects within one line of NATS's protocol.
func checkReplyTo(m *broker.Message) error {
	if err := subject.CheckPublish(m.ReplyTo); err != nil {
		return subjectError("ReplyTo", m.ReplyTo, err)
	}
	return checkTogether("ReplyTo", m.Subject, m.ReplyTo)
}

// checkTogether checks what stands on one line of NATS's protocol with a
// subject.
func checkTogether(field, native, other string) error {
	if len(native)+len(other) <= subject.MaxLen {
		return nil
	}
	return &broker.FieldError{
		Field: field, Value: other, TooLarge: true,
		Limit: fmt.Sprintf("at most %d bytes together with the subject's %d", subject.MaxLen, len(native)),
	}
}

func subjectError(field, value string, err error) error {
	return &broker.FieldError{Field: field, Value: value, Limit: err.Error(), TooLarge: len(value) > subject.MaxLen}
}

func (b *CoreNATS) checkSize(m *broker.Message) error {
	if n := wireSize(m); n > b.maxPayload {
		return &broker.FieldError{
			Field: "Body", Value: fmt.Sprintf("%d bytes", n), TooLarge: true,
			Limit: fmt.Sprintf("at most %d bytes with the headers (the server's max_payload)", b.maxPayload),
		}
	}
	return nil
}

// wireSize is what counts against max_payload: the body, and the headers as
// NATS writes them ("NATS/1.0", a line each, an empty line).
func wireSize(m *broker.Message) int {
	size := len(m.Body)
	if len(m.Header) == 0 {
		return size
	}
	size += len("NATS/1.0\r\n") + len("\r\n")
	for k, v := range m.Header {
		size += len(k) + len(": ") + len(v) + len("\r\n")
	}
	return size
}

// checkReply refuses what a requester on NATS takes for no responders.
func checkReply(m *broker.Message) error {
	if m.Header["Status"] == "503" && len(m.Body) == 0 {
		return &broker.FieldError{
			Field: "Header[Status]", Value: "503",
			Limit: `not "503" with an empty body: a requester takes that for no responders`,
		}
	}
	return nil
}

// unsendable is what the requester gets in place of a reply that was refused.
func unsendable() broker.Message {
	return broker.Message{Header: broker.Header{
		reply.CodeHeader:  "500",
		reply.ErrorHeader: "the responder's reply could not be sent",
	}}
}
