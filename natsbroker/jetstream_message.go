package natsbroker

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// ignorable are the fields that JetStream cannot honour, or not on every stream.
const (
	ignorable = jsRefused | broker.FieldDelay | broker.FieldTTL
	jsRefused = broker.FieldReplyTo | broker.FieldKey | broker.FieldTenant
)

// jsReasons says for each refused field why, and what to use instead.
var jsReasons = []struct {
	field        broker.Fields
	why, instead string
}{
	{
		broker.FieldReplyTo, "a stream does not keep the reply address: what is delivered has the acknowledgement's in its place",
		"a header of your own, or a request on core NATS (broker.As finds the Requester)",
	},
	{
		broker.FieldKey, "a consumer keeps the order of the whole stream and knows no keys: a redelivered message comes after later ones",
		"a consumer with max_ack_pending 1, or a subject and a consumer for each key",
	},
	{broker.FieldTenant, "a consumer delivers in the order of the stream, without regard to fairness", "a subject and a consumer for each tenant"},
}

// The control headers that a publish may set by itself. All others beginning
// with Nats- are the server's, or stand for a field of the message.
const (
	controlPrefix     = "Nats-"
	expectationPrefix = "Nats-Expected-"
	rollupHeader      = "Nats-Rollup"
)

// jsMessage is a message that was checked, as it goes out.
type jsMessage struct {
	name   string // the subject as the caller named it
	native string
	header nats.Header // nil: none
	body   []byte
}

// prepare checks m, without I/O unless it has a delay.
func (j *JetStream) prepare(ctx context.Context, m *broker.Message) (jsMessage, error) {
	p := jsMessage{name: m.Subject, native: j.core.address(m.Subject), body: m.Body}
	if f := m.Fields(); f != 0 {
		m.Clear(f & j.options.Ignore)
		if err := checkJSFields(m); err != nil {
			return p, err
		}
	}
	if err := natsrules.CheckSubject(p.native); err != nil {
		return p, err
	}
	header := m.Header
	for key := range header {
		if err := checkControlHeader(key); err != nil {
			return p, err
		}
	}
	if m.DedupID != "" || m.TTL != 0 {
		header = withControls(m)
	}
	if len(header) > 0 {
		if err := header.Check(); err != nil {
			return p, err
		}
		p.header = nativeHeader(header)
	}
	if m.Delay > 0 {
		if err := j.schedule(ctx, &p, m.Delay); err != nil {
			return p, err
		}
	}
	err := j.checkJSSize(&p)
	return p, err
}

func checkJSFields(m *broker.Message) error {
	f := m.Fields()
	for _, r := range jsReasons {
		if f&r.field != 0 {
			return &broker.UnsupportedError{
				Backend: jsBackend, What: "Message." + r.field.String(), Why: r.why, Instead: r.instead,
			}
		}
	}
	if m.Delay < 0 {
		return &broker.FieldError{Field: "Delay", Value: m.Delay.String(), Limit: "0 or above"}
	}
	if m.TTL < 0 {
		return &broker.FieldError{Field: "TTL", Value: m.TTL.String(), Limit: "0 or above"}
	}
	return nil
}

func checkControlHeader(key string) error {
	if len(key) < len(controlPrefix) || !strings.EqualFold(key[:len(controlPrefix)], controlPrefix) ||
		strings.HasPrefix(key, expectationPrefix) || key == rollupHeader {
		return nil
	}
	return &broker.FieldError{
		Field: "Header", Value: key,
		Limit: "a key that begins with Nats- is the server's; of these only Nats-Expected-… and Nats-Rollup may be set, " +
			"and DedupID, TTL and Delay are fields of the message",
	}
}

// withControls are the headers that stand for fields. A TTL is rounded up to
// whole seconds, because the server would round it down.
func withControls(m *broker.Message) broker.Header {
	header := make(broker.Header, len(m.Header)+2)
	maps.Copy(header, m.Header)
	if m.DedupID != "" {
		header[jetstream.MsgIDHeader] = m.DedupID
	}
	if m.TTL > 0 {
		header[jetstream.MsgTTLHeader] = fmt.Sprintf("%ds", (m.TTL-1)/time.Second+1)
	}
	return header
}

// checkJSSize compares the message with the limit of the server connected to;
// see checkSize.
func (j *JetStream) checkJSSize(p *jsMessage) error {
	limit, size := j.conn.MaxPayload(), p.size()
	switch {
	case limit == 0:
		return j.failure("publish", p.name, nats.ErrDisconnected)
	case size > limit:
		return &broker.FieldError{
			Field: "Body", Value: fmt.Sprintf("%d bytes", size), TooLarge: true,
			Limit: fmt.Sprintf("at most %d bytes with the headers (the server's max_payload)", limit),
		}
	}
	return nil
}

// size is what counts against the limits: the body, and the headers as they are
// written.
func (p *jsMessage) size() int64 {
	size := int64(len(p.body))
	if len(p.header) > 0 {
		size += int64(len("NATS/1.0\r\n") + len("\r\n"))
		for k, values := range p.header {
			size += int64(len(k) + len(": ") + len(values[0]) + len("\r\n"))
		}
	}
	return size
}
