package natsbroker

import (
	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// address returns the native subject for a name.
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
	return native, natsrules.Check(m, native, b.ignore)
}

// checkSize compares m with the limit of the connected server.
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
	case natsrules.Size(m) > limit:
		return natsrules.TooLarge(m, limit)
	}
	return nil
}

// begin is called before sending while it is not known that there has been a
// connection: from the first one on, nats.go checks sizes by itself. nativeMsg
// returns a message with headers for nats.go.
func (b *Broker) begin(m *broker.Message) error {
	b.ledger.start()
	if err := b.checkSize(m); err != nil {
		return err
	}
	if b.conn.IsConnected() {
		b.connected.Store(true)
	}
	return nil
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
