package natsbroker

import (
	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
)

// delivery is a Delivery and its own Handle, so that one object holds both.
type delivery struct {
	broker.Delivery
	msg *nats.Msg
}

// newDelivery shares the message's body: nats.go gives each message its own.
func newDelivery(msg *nats.Msg, source string) *delivery {
	d := &delivery{msg: msg}
	d.Subject = msg.Subject
	d.Body = msg.Data
	d.ReplyTo = msg.Reply
	d.Source = source
	d.Handle = d
	if len(msg.Header) > 0 {
		d.Header = firstValues(msg.Header)
	}
	return d
}

// firstValues takes what a foreign publisher sent, which may be several values
// for a key.
func firstValues(native nats.Header) broker.Header {
	h := make(broker.Header, len(native))
	for k, values := range native {
		if len(values) > 0 {
			h[k] = values[0]
		}
	}
	return h
}

// As gives the native message for a **nats.Msg.
func (d *delivery) As(target any) bool {
	p, ok := target.(**nats.Msg)
	if !ok || p == nil {
		return false
	}
	*p = d.msg
	return true
}
