package natsbroker

import (
	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
)

// handle is a native message as the Handle of its Delivery: a separate type for
// a pointer that exists anyway costs nothing.
type handle nats.Msg

// newDelivery shares the message's body: nats.go gives each message its own.
func newDelivery(msg *nats.Msg, source string) *broker.Delivery {
	d := &broker.Delivery{Source: source, Handle: (*handle)(msg)}
	d.Subject = msg.Subject
	d.Body = msg.Data
	d.ReplyTo = msg.Reply
	if len(msg.Header) > 0 {
		d.Header = firstValues(msg.Header)
	}
	return d
}

// firstValues takes the first value of each key; a foreign publisher may have
// sent several.
func firstValues(native nats.Header) broker.Header {
	h := make(broker.Header, len(native))
	for k, values := range native {
		if len(values) > 0 {
			h[k] = values[0]
		}
	}
	return h
}

// As sets a **nats.Msg to the native message.
func (h *handle) As(target any) bool {
	p, ok := target.(**nats.Msg)
	if !ok || p == nil {
		return false
	}
	*p = (*nats.Msg)(h)
	return true
}

// headersLost reports whether a message had headers that nats.go could not
// parse: nats.go delivers the rest, and calls the connection's error handler.
func headersLost(msg *nats.Msg) bool {
	return msg.Header == nil && msg.Size() > len(msg.Subject)+len(msg.Reply)+len(msg.Data)
}
