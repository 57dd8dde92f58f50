package memory

import (
	"context"
	"errors"
	"strconv"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
	"github.com/candidmq/candidmq/internal/reply"
)

// inboxPrefix begins the reply address of a request, as on NATS. It is a
// subject like any other: a subscription to > sees replies too, and hides that
// nobody responds.
const inboxPrefix = "_INBOX."

// Request implements [broker.Requester].
func (b *CoreNATS) Request(ctx context.Context, m broker.Message) (*broker.Delivery, error) {
	named := m.Subject
	if err := b.open(ctx, OpRequest, named); err != nil {
		return nil, err
	}
	if err := natsrules.CheckRequest(&m); err != nil {
		return nil, err
	}
	if err := b.prepare(&m); err != nil {
		return nil, err
	}
	if err := b.failure(OpRequest); err != nil {
		return nil, err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, b.timeout)
		defer cancel()
	}
	answers := make(inbox, 1)
	m.ReplyTo = b.newInbox()
	b.attach(m.ReplyTo, answers)
	defer b.detach(m.ReplyTo, answers)
	if b.deliver(&m) == 0 {
		return nil, &broker.Error{
			Backend: backend, Op: string(OpRequest), Subject: named, Kind: broker.ErrNoResponders, Retryable: true,
		}
	}
	select {
	case m := <-answers:
		return answer(m)
	case <-ctx.Done():
		return nil, uncertain(OpRequest, named, nil, context.Cause(ctx))
	case <-b.over:
		return nil, uncertain(OpRequest, named, broker.ErrClosed, nil)
	}
}

// uncertain is the error of a request that may have been served.
func uncertain(op Op, subject string, kind, cause error) error {
	return &broker.Error{
		Backend: backend, Op: string(op), Subject: subject, Kind: kind, Err: cause, OutcomeUnknown: true,
	}
}

// inbox is where a request waits for its first reply.
type inbox chan broker.Message

// take drops all replies but the first.
func (i inbox) take(m broker.Message, _ int) {
	select {
	case i <- m:
	default:
	}
}

func (inbox) queueGroup() string { return "" }

// newInbox creates a reply address.
func (b *CoreNATS) newInbox() string {
	return inboxPrefix + strconv.FormatUint(b.lastInbox.Add(1), 36)
}

// attach has the messages for a reply address taken; detach ends that.
func (b *CoreNATS) attach(replyTo string, to receiver) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.index.Add(replyTo, to)
}

func (b *CoreNATS) detach(replyTo string, to receiver) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.index.Remove(replyTo, to)
}

func answer(m broker.Message) (*broker.Delivery, error) {
	if err := reply.Error(m.Header, m.Body); err != nil {
		return nil, err
	}
	return &broker.Delivery{Message: m, Source: m.Subject}, nil
}

// Respond implements [broker.Responder], with the options of Subscribe. A reply
// that cannot be sent, such as one that is too large, is reported to
// [broker.OnError], and the requester gets a [*broker.ReplyError] with code
// "500" instead.
func (b *CoreNATS) Respond(ctx context.Context, subject string, h broker.ReplyHandler, opts ...broker.SubscribeOption) (*broker.Subscription, error) {
	if err := natsrules.CheckReplyHandler(h); err != nil {
		return nil, err
	}
	return b.subscribe(ctx, OpRespond, subject, reply.Handler(h, b.reply), opts)
}

// reply sends a responder's answer.
func (b *CoreNATS) reply(_ context.Context, d *broker.Delivery, m broker.Message) error {
	err := b.sendReply(d.ReplyTo, m)
	if errors.Is(err, broker.ErrInvalid) || errors.Is(err, errors.ErrUnsupported) {
		return errors.Join(err, b.sendReply(d.ReplyTo, natsrules.Unsendable()))
	}
	return err
}

func (b *CoreNATS) sendReply(replyTo string, m broker.Message) error {
	m.Subject = replyTo
	if err := b.check(&m); err != nil {
		return err
	}
	if err := natsrules.CheckReply(&m); err != nil {
		return err
	}
	b.deliver(&m)
	return nil
}
