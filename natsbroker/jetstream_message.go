package natsbroker

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// jsMessage is a checked message in the form in which it is sent.
type jsMessage struct {
	name   string // the subject as the caller named it
	native string
	header nats.Header // nil: none
	body   []byte
}

// prepare checks m, without I/O unless it has a delay.
func (j *JetStream) prepare(ctx context.Context, m *broker.Message) (jsMessage, error) {
	p := jsMessage{name: m.Subject, native: j.core.address(m.Subject), body: m.Body}
	if err := natsrules.CheckJetStream(m, p.native, j.options.Ignore); err != nil {
		return p, err
	}
	header := m.Header
	if m.DedupID != "" || m.TTL != 0 {
		header = withControls(m)
	}
	if len(header) > 0 {
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

// withControls returns the headers, including those that stand for fields. A
// TTL is rounded up to whole seconds, because the server would round it down.
func withControls(m *broker.Message) broker.Header {
	header := make(broker.Header, len(m.Header)+2)
	maps.Copy(header, m.Header)
	if m.DedupID != "" {
		header[jetstream.MsgIDHeader] = m.DedupID
	}
	if m.TTL > 0 {
		header[jetstream.MsgTTLHeader] = fmt.Sprintf("%ds", natsrules.WholeTTL(m.TTL)/time.Second)
	}
	return header
}

// checkJSSize compares the message with the limit of the connected server; see
// checkSize.
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

// size returns what counts against the limits: the body, and the headers as
// written.
func (p *jsMessage) size() int64 {
	return int64(len(p.body)) + p.headerSize()
}

func (p *jsMessage) headerSize() int64 {
	if len(p.header) == 0 {
		return 0
	}
	size := int64(len("NATS/1.0\r\n") + len("\r\n"))
	for k, values := range p.header {
		size += int64(len(k) + len(": ") + len(values[0]) + len("\r\n"))
	}
	return size
}
