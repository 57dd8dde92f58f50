package natsbroker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/reply"
)

// StrayAckError is a stream's acknowledgement that came as the reply to a
// request: the stream captures the subject, stored the request as a message,
// and was faster than any responder. It is wrapped in a [*broker.Error] of the
// kind [errors.ErrUnsupported].
//
// An acknowledgement is distinguished from a service's answer by its form, and
// by asking the server whether that stream captures the subject, which takes
// the two round trips of [Broker.Describe]. Only if the server says that it
// does not is the reply treated as an answer.
type StrayAckError struct {
	Stream   string
	Sequence uint64 // of the request in the stream; 0 if the stream refused it
	Refusal  string // why the stream refused it, "" if it did not
	Reply    *broker.Delivery
}

// Error returns a description and a remedy.
func (e *StrayAckError) Error() string {
	did := fmt.Sprintf("stored the request as message %d", e.Sequence)
	if e.Refusal != "" {
		did = "refused the request (" + e.Refusal + ")"
	}
	return fmt.Sprintf("received an acknowledgement instead of a responder's answer: stream %s captures the subject and %s; "+
		"request on a subject that no stream captures, give the stream no_ack, or publish through JetStream", e.Stream, did)
}

// streamAck is a stream's answer to a publisher (ADR-1). The fields that are
// not read are present because an answer with any other field is not an
// acknowledgement.
type streamAck struct {
	Stream    string          `json:"stream"`
	Sequence  uint64          `json:"seq"`
	Type      string          `json:"type"`
	Domain    string          `json:"domain"`
	Duplicate bool            `json:"duplicate"`
	Value     json.RawMessage `json:"val"`
	Batch     string          `json:"batch"`
	Count     int             `json:"count"`
	Error     *struct {
		Code        int    `json:"code"`
		ErrCode     int    `json:"err_code"`
		Description string `json:"description"`
	} `json:"error"`
}

// looksLikeAck is a first check of a reply, which costs next to nothing.
func looksLikeAck(d *broker.Delivery) bool {
	return len(d.Header) == 0 && bytes.HasPrefix(d.Body, []byte("{")) && bytes.Contains(d.Body, []byte(`"stream":`))
}

// parseStreamAck parses a reply that has the form of an acknowledgement.
func parseStreamAck(body []byte) (ack streamAck, ok bool) {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&ack)
	return ack, err == nil && ack.Stream != "" && (ack.Sequence > 0 || ack.Error != nil)
}

var errReplyHeaders = fmt.Errorf("the reply's headers, which may have carried an error, cannot be parsed: %w", nats.ErrBadHeaderMsg)

// replyError returns why a reply is not an answer, or nil if it is.
func (b *Broker) replyError(ctx context.Context, op, name string, msg *nats.Msg, d *broker.Delivery) error {
	if headersLost(msg) {
		return &broker.Error{Backend: backend, Op: op, Subject: name, Err: errReplyHeaders}
	}
	if err := reply.Error(d.Header, d.Body); err != nil {
		return err
	}
	if !looksLikeAck(d) {
		return nil
	}
	ack, ok := parseStreamAck(d.Body)
	if !ok || b.isAnswer(ctx, name, ack.Stream) {
		return nil
	}
	stray := &StrayAckError{Stream: ack.Stream, Sequence: ack.Sequence, Reply: d}
	if ack.Error != nil {
		stray.Refusal = ack.Error.Description
	}
	return &broker.Error{Backend: backend, Op: op, Subject: name, Kind: errors.ErrUnsupported, Err: stray}
}

// isAnswer reports whether something that looks like an acknowledgement of the
// stream came from a responder: the server says that the stream does not
// capture the subject.
func (b *Broker) isAnswer(ctx context.Context, name, stream string) bool {
	stored, err := b.capture(ctx, b.address(name))
	return err == nil && (stored.known && stored.stream != stream || stored.unlisted)
}
