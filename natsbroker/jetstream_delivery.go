package natsbroker

import (
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/lease"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// jsDelivery is a leased Delivery and its own Handle, so that one object holds
// both.
type jsDelivery struct {
	broker.Delivery
	lease.Lease
	owner *JetStream
	queue *queue
	name  string // of the queue, as the caller named it
	msg   *nats.Msg
	facts *consumerFacts
}

var _ broker.Leased = (*jsDelivery)(nil)

// newJSDelivery returns a Delivery of a message that came at a time.
func (j *JetStream) newJSDelivery(r *receive, msg *nats.Msg, now time.Time) *jsDelivery {
	d := &jsDelivery{owner: j, queue: r.queue, name: r.name, msg: msg, facts: r.facts}
	at, _ := parsePosition(msg.Reply) // fields that cannot be parsed are absent
	d.Subject = msg.Subject
	d.Body = msg.Data
	d.ID = messageID(r.queue.Stream, at.sequence)
	d.Source = r.queue.address
	d.Sequence = broker.NewSequence(at.sequence)
	d.Attempt = at.attempt
	d.Time = at.time
	if l := r.facts.lease(at.attempt); l > 0 {
		d.Delivery.LeaseEnd = now.Add(l)
		d.Renew(d.Delivery.LeaseEnd)
	}
	switch {
	case len(msg.Header) > 0:
		d.readHeader(msg.Header)
	case headersLost(msg):
		j.logger.WarnContext(j.life, "delivered without its headers", "delivery", &d.Delivery, "error", errHeadersLost)
	}
	d.Handle = d
	return d
}

var errHeadersLost = fmt.Errorf("the headers cannot be parsed: %w", nats.ErrBadHeaderMsg)

// readHeader takes the publisher's headers. Headers that begin with Nats- tell
// the server what to do with a message, and would do so again if the message
// were republished with them.
func (d *jsDelivery) readHeader(native nats.Header) {
	for key, values := range native {
		switch {
		case len(values) == 0:
		case key == jetstream.MsgIDHeader:
			d.DedupID = values[0]
		case !strings.HasPrefix(key, natsrules.ControlPrefix):
			if d.Header == nil {
				d.Header = make(broker.Header, len(native))
			}
			d.Header[key] = values[0]
		}
	}
}

// LeaseEnd returns when the lease currently ends. The field of that name holds
// the end as of receipt.
func (d *jsDelivery) LeaseEnd() time.Time { return d.Lease.LeaseEnd() }

// As sets a **nats.Msg to the native message, with all its headers.
func (d *jsDelivery) As(target any) bool {
	p, ok := target.(**nats.Msg)
	if !ok || p == nil {
		return false
	}
	*p = d.msg
	return true
}

// own returns the delivery that j created.
func (j *JetStream) own(d *broker.Delivery) (*jsDelivery, error) {
	if d == nil {
		return nil, &broker.FieldError{Field: "Delivery", Value: "nil", Limit: "a delivery that this broker received"}
	}
	own, ok := d.Handle.(*jsDelivery)
	if !ok || own.owner != j {
		return nil, &broker.FieldError{Field: "Delivery", Value: d.ID, Limit: "a delivery that this broker received"}
	}
	return own, nil
}
