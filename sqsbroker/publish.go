package sqsbroker

import (
	"cmp"
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

const opPublish = "publish"

// Publish sends one message. The outcome is OutcomeStored on a Standard queue
// and OutcomeAccepted on a FIFO queue, which does not tell a stored message
// from a duplicate; the Receipt has the message's id, and on a FIFO queue its
// sequence number. Message.Delay is rounded up to whole seconds. The AWS client
// retries by its own settings; on a FIFO queue a retry within five minutes
// stores nothing twice, on a Standard queue it may.
//
// Concurrent calls for one queue share calls of SQS, as the package
// documentation says. If ctx ends while the message is in a call that others
// share, or on a FIFO queue in any, Publish returns with
// [broker.ErrOutcomeUnknown]; while it waits for one, it is not sent, and the
// error is that of ctx alone.
//
// On a FIFO queue the calls of one Key go in the order in which Publish was
// called. If one of them fails, those that wait behind it are not sent, since
// sending it again would then break the order: they are [broker.ErrSkipped]. A
// Publish that was cancelled by its own ctx fails no others: its call goes on, for
// a minute at most, and what is published next for its Key waits for that, so as
// not to overtake it. (Where one queue is addressed by URLs with different hosts,
// each has calls of its own, and there is no order between them.)
func (b *Broker) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	if err := b.ready(ctx, opPublish, m.Subject); err != nil {
		return broker.Receipt{}, err
	}
	m.Clear(b.ignore)
	q, url, err := b.route(ctx, opPublish, &m)
	if err != nil {
		return broker.Receipt{}, err
	}
	p, sends := q.pack(&m), b.to(url).sends
	if err := sends.Do(ctx, p); err != nil {
		e := notCalled(opPublish, m.Subject, err)
		if !e.OutcomeUnknown { // else p is still in a call
			e.Err = errors.Join(e.Err, p.err)
			e = p.doubtful(e)
		}
		return broker.Receipt{}, e
	}
	if p.err != nil {
		return broker.Receipt{}, cutOff(ctx, p.err)
	}
	return p.receipt, nil
}

// check returns the queue's URL if the queue takes m. What no queue takes is
// found without a call.
func (q *queue) check(ctx context.Context, op string, m *broker.Message) (string, error) {
	lenient := q.leastRules()
	if err := sqsrules.Check(m, lenient); err != nil {
		return "", err
	}
	url, a, err := q.look(ctx, anyAge)
	if err != nil {
		return "", failure(ctx, op, m.Subject, err)
	}
	if r := q.rules(a); r == lenient || sqsrules.Check(m, r) == nil {
		return url, nil
	}
	url, a, err = q.look(ctx, fresh) // the queue may take it by now
	if err != nil {
		return "", failure(ctx, op, m.Subject, err)
	}
	return url, sqsrules.Check(m, q.rules(a))
}

// sendFailed is the error of a send, with what is known of its outcome.
func (q *queue) sendFailed(ctx context.Context, op, subject string, err error, tries *attempts) error {
	e := q.fail(ctx, op, subject, err)
	e.OutcomeUnknown = tries.outcomeUnknown(err)
	return e
}

func (q *queue) receipt(id, sequence *string) broker.Receipt {
	r := broker.Receipt{Outcome: broker.OutcomeStored, ID: aws.ToString(id)}
	if q.fifo {
		r.Outcome = broker.OutcomeAccepted
	}
	if sequence != nil {
		// One that is no number is a server's mistake, and absent here.
		r.Sequence, _ = broker.ParseSequence(*sequence)
	}
	return r
}

// group is the message group: what orders on a FIFO queue, and what shares
// fairly on a Standard one. It keeps no part of m alive but the name.
func group(m *broker.Message) *string {
	return optional(cmp.Or(m.Key, m.Tenant))
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
