package natsbroker

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
	"github.com/candidmq/candidmq/internal/reply"
)

// Request sends the message and waits for the first reply. If ctx has no
// deadline, [Options].RequestTimeout applies.
//
// [broker.ErrNoResponders] takes one round trip. It is not reported if some
// other subscription overlaps the subject, such as a wiretap on ">", or if the
// server denies the subject: the request then runs into its deadline. If a
// JetStream stream captures the subject, the stream's acknowledgement may be
// the first reply: that is a [*StrayAckError]. A request made while the
// connection is down is buffered and may be served after its caller has given
// up, unless [Options].RefuseWhileDown refuses it.
//
// The conventions of NATS services (ADR-32) are followed: a reply with their
// error headers is returned as a [*broker.ReplyError]. A reply whose headers
// nats.go cannot parse is an error that matches nats.ErrBadHeaderMsg.
func (b *Broker) Request(ctx context.Context, m broker.Message) (*broker.Delivery, error) {
	const op = "request"
	if err := b.ready(ctx, op, m.Subject); err != nil {
		return nil, err
	}
	if err := natsrules.CheckRequest(&m); err != nil {
		return nil, err
	}
	native, err := b.prepare(&m)
	if err != nil {
		return nil, err
	}
	// nats.go leaks its entry for a request that it then refuses to publish, so
	// anything it would refuse is detected here.
	status := b.conn.Status() // once: each look takes the lock that all callers share
	if status == nats.CLOSED {
		return nil, b.failure(op, m.Subject, nats.ErrConnectionClosed)
	}
	if err := b.checkSize(&m); err != nil {
		return nil, b.sendFailure(op, &m, err)
	}
	if status != nats.CONNECTED && b.full() {
		return nil, b.sendFailure(op, &m, nats.ErrReconnectBufExceeded)
	}
	ctx, cancel := b.withDeadline(ctx)
	defer cancel()
	msg, err := b.ask(ctx, native, &m)
	if err != nil {
		return nil, b.requestFailure(m.Subject, err)
	}
	d := newDelivery(msg, msg.Subject)
	if err := b.replyError(ctx, op, m.Subject, msg, d); err != nil {
		return nil, err
	}
	return d, nil
}

// full reports whether the connection is down and the buffer has no room.
func (b *Broker) full() bool {
	if b.conn.IsConnected() {
		return false
	}
	buffered, err := b.conn.Buffered()
	return err == nil && buffered >= b.conn.Opts.ReconnectBufSize
}

func (b *Broker) ask(ctx context.Context, native string, m *broker.Message) (*nats.Msg, error) {
	if len(m.Header) > 0 {
		return b.conn.RequestMsgWithContext(ctx, nativeMsg(native, m))
	}
	return b.conn.RequestWithContext(ctx, native, m.Body)
}

// requestFailure accounts for a request that was sent and not answered, which
// may have been served, or still may be.
func (b *Broker) requestFailure(subject string, err error) error {
	e := b.failure("request", subject, err)
	for _, unserved := range []error{
		nats.ErrNoResponders, nats.ErrMaxPayload, nats.ErrReconnectBufExceeded,
		nats.ErrConnectionDraining, nats.ErrHeadersNotSupported,
	} {
		if errors.Is(err, unserved) {
			return e
		}
	}
	e.OutcomeUnknown = true
	return e
}

// Respond answers requests, including those of foreign clients. Use
// [broker.Group] to share the requests among several responders; without it
// each answers, and all answers but the first are lost. A reply that cannot be
// sent, such as one over the server's max_payload, is reported to
// [broker.OnError], and the requester gets a [*broker.ReplyError] with code
// "500" instead. With [Options].Service, other clients can discover the
// responder.
func (b *Broker) Respond(ctx context.Context, subject string, h broker.ReplyHandler, opts ...broker.SubscribeOption) (*broker.Subscription, error) {
	if err := natsrules.CheckReplyHandler(h); err != nil {
		return nil, err
	}
	if b.service == nil {
		return b.subscribe(ctx, "respond", subject, reply.Handler(h, b.reply), opts)
	}
	if err := b.service.start(ctx); err != nil {
		return nil, err
	}
	e := newEndpoint(b.address(subject), opts)
	sub, err := b.subscribe(ctx, "respond", subject, reply.Handler(e.counted(h), b.reply), opts)
	if err == nil {
		e.sub = sub
		b.service.add(e)
	}
	return sub, err
}

// reply sends a responder's answer, even while the broker drains.
func (b *Broker) reply(_ context.Context, d *broker.Delivery, m broker.Message) error {
	err := b.sendReply(d.ReplyTo, m)
	if errors.Is(err, broker.ErrInvalid) || errors.Is(err, errors.ErrUnsupported) {
		return errors.Join(err, b.sendReply(d.ReplyTo, natsrules.Unsendable()))
	}
	return err
}

func (b *Broker) sendReply(replyTo string, m broker.Message) error {
	const op = "reply"
	m.Subject = replyTo
	if err := natsrules.Check(&m, replyTo, b.ignore); err != nil {
		return err
	}
	if err := natsrules.CheckReply(&m); err != nil {
		return err
	}
	return b.send(op, replyTo, &m)
}
