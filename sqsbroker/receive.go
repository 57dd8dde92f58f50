package sqsbroker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// Receive makes a long poll of 20 s unless [broker.Wait] says otherwise, for
// at most 10 messages whatever limit is. Wait and [broker.Lease] are rounded up
// to whole seconds. Without Lease the queue's visibility timeout holds, as it
// was read at most a minute ago.
//
// Where ctx has a deadline, the poll is kept shorter than that, since SQS may
// go on handing messages to a poll that its client has given up; they come
// again when their lease ends. A poll that is cancelled may lose messages to
// their lease in the same way. With less than a second left it is a short poll,
// or none on a queue with a ReceiveMessageWaitTimeSeconds, for the reason below:
// Receive then only waits for ctx to end.
//
// On a FIFO queue a receive whose answer was lost is made again by the next one
// that asks for as many messages or more and for the same lease, so that the
// messages do not keep their groups blocked (ReceiveRequestAttemptId).
//
// A message whose attributes do not have the MD5 that SQS gives for them is left
// out, and logged; it comes again when its lease ends. It is an error only if
// there is no other.
//
// A poll that is not answered 15 s after its wait is over is made again, on
// another connection.
//
// Wait(0) is a short poll, which asks some of the servers and may miss
// messages. It is refused for a queue with a ReceiveMessageWaitTimeSeconds,
// because the AWS client cannot override that with 0.
func (b *Broker) Receive(ctx context.Context, queue string, limit int, opts ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	const op = "receive"
	if err := b.ready(ctx, op, queue); err != nil {
		return nil, err
	}
	p := poll{op: op, subject: queue, limit: min(limit, sqsrules.MaxBatch), wait: sqsrules.MaxWait}
	if err := errors.Join(sqsrules.CheckLimit(limit), p.apply(opts)); err != nil {
		return nil, err
	}
	q, err := b.find(queue)
	if err != nil {
		return nil, sqsrules.Field("queue", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(b.closed, cancel)()

	ds, err := p.run(ctx, q)
	if err != nil && b.closed.Err() != nil {
		return nil, b.ready(ctx, op, queue)
	}
	return ds, err
}

// poll is one call of Receive.
type poll struct {
	op, subject string
	limit       int
	wait, lease time.Duration // lease 0: the queue's

	began time.Time // SQS's own receive is not earlier
}

func (p *poll) apply(opts []broker.ReceiveOption) error {
	var errs []error
	for _, opt := range opts {
		switch o := opt.(type) {
		case broker.Wait:
			p.wait = time.Duration(o)
			errs = append(errs, sqsrules.CheckWait(p.wait))
		case broker.Lease:
			p.lease = time.Duration(o)
			errs = append(errs, sqsrules.CheckLease(p.lease))
		default:
			errs = append(errs, &broker.UnsupportedError{
				Backend: backend, What: fmt.Sprintf("option %T", opt), Why: "it has no meaning for Receive",
			})
		}
	}
	p.wait, p.lease = sqsrules.WholeSeconds(p.wait), sqsrules.WholeSeconds(p.lease)
	return errors.Join(errs...)
}

// run polls until a message is there or the wait is over.
func (p *poll) run(ctx context.Context, q *queue) ([]*broker.Delivery, error) {
	url, a, err := q.look(ctx, fresh)
	if err != nil {
		return nil, failure(ctx, p.op, p.subject, err)
	}
	if err := sqsrules.CheckShortPoll(p.wait, a.wait); err != nil {
		return nil, err
	}
	if p.lease == 0 {
		p.lease = max(a.visibility, time.Second) // 0 cannot be asked for
	}
	deadline, bounded := ctx.Deadline()
	wait := p.wait
	if bounded {
		wait = min(wait, time.Until(deadline).Truncate(time.Second))
	}
	if wait > 0 || sqsrules.CheckShortPoll(0, a.wait) == nil {
		ds, err := p.call(ctx, q, url, max(wait, 0))
		if len(ds) > 0 || err != nil || wait == p.wait {
			return ds, err
		}
	}
	<-ctx.Done() // less than a second away
	return nil, &broker.Error{Backend: backend, Op: p.op, Subject: p.subject, Err: ctx.Err()}
}

// call is one ReceiveMessage.
func (p *poll) call(ctx context.Context, q *queue, url string, wait time.Duration) ([]*broker.Delivery, error) {
	in := &sqs.ReceiveMessageInput{
		QueueUrl:                    &url,
		MaxNumberOfMessages:         int32(p.limit),
		WaitTimeSeconds:             sqsrules.Seconds(wait),
		VisibilityTimeout:           sqsrules.Seconds(p.lease),
		MessageAttributeNames:       []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	}
	receive := p.receive
	if q.fifo {
		receive = p.inOrder
	}
	out, err := receive(ctx, q, in)
	if err != nil {
		return nil, q.fail(ctx, p.op, p.subject, err)
	}
	now := time.Now()
	ds := make([]*broker.Delivery, 0, len(out.Messages))
	var damaged map[string]bool // groups, on a FIFO queue: what follows waits as well
	for i := range out.Messages {
		m := &out.Messages[i]
		group := m.Attributes[string(types.MessageSystemAttributeNameMessageGroupId)]
		switch {
		case q.fifo && damaged[group]:
		case q.broker.intact(m.MD5OfMessageAttributes, m.MessageAttributes):
			ds = append(ds, p.delivery(q, url, *m, now))
		default:
			if damaged == nil {
				damaged = map[string]bool{}
			}
			damaged[group] = true
			q.broker.logger.WarnContext(ctx, "a damaged message was not delivered",
				"queue", q.name, "id", aws.ToString(m.MessageId), "err", errDamaged)
			err = &broker.Error{
				Backend: backend, Op: p.op, Subject: p.subject, Kind: broker.ErrUnavailable, Err: errDamaged, Retryable: true,
			}
		}
	}
	if len(ds) > 0 {
		return ds, nil
	}
	return nil, err
}

func (p *poll) receive(ctx context.Context, q *queue, in *sqs.ReceiveMessageInput) (*sqs.ReceiveMessageOutput, error) {
	p.began = time.Now()
	return q.broker.client.ReceiveMessage(ctx, in, answeredWithin(p.wait+answerTime))
}

// delivery makes a Delivery of what came. Foreign messages lack nothing: every
// part may be absent.
func (p *poll) delivery(q *queue, url string, native types.Message, now time.Time) *broker.Delivery {
	system := native.Attributes
	body, header := contentOf(&native)
	both := &struct {
		delivery broker.Delivery
		handle   handle
	}{
		delivery: broker.Delivery{
			Message: broker.Message{
				Subject: p.subject,
				Body:    body,
				Header:  header,
				DedupID: system[string(types.MessageSystemAttributeNameMessageDeduplicationId)],
			},
			ID:       aws.ToString(native.MessageId),
			Source:   q.name,
			Time:     milliseconds(system[string(types.MessageSystemAttributeNameSentTimestamp)]),
			LeaseEnd: now.Add(p.lease),
		},
		handle: handle{queue: q, url: url, subject: p.subject, native: native, latest: p.began.Add(sqsrules.MaxLease)},
	}
	d, h := &both.delivery, &both.handle
	group := system[string(types.MessageSystemAttributeNameMessageGroupId)]
	if q.fifo {
		d.Key = group
	} else {
		d.Tenant = group
	}
	// What is no number is taken for absent.
	d.Sequence, _ = broker.ParseSequence(system[string(types.MessageSystemAttributeNameSequenceNumber)])
	d.Attempt, _ = strconv.Atoi(system[string(types.MessageSystemAttributeNameApproximateReceiveCount)])
	h.Renew(d.LeaseEnd)
	d.Handle = h
	return d
}

// milliseconds reads a time of SQS, zero if there is none.
func milliseconds(s string) time.Time {
	ms, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
