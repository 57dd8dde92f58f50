package memory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/queue"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// Receive implements [broker.Receiver]. Options: [broker.Wait], up to 20 s,
// which is the default; [broker.Lease], up to 12 hours. A delivery's Subject is
// the queue as named in the call, its Source the queue's name, and Delivery.As
// sets a [Native].
func (b *SQS) Receive(ctx context.Context, queue string, limit int, opts ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	if err := b.open(ctx, OpReceive, queue); err != nil {
		return nil, err
	}
	wait, lease, err := receiveOptions(opts)
	if err := errors.Join(sqsrules.CheckLimit(limit), err); err != nil {
		return nil, err
	}
	q, err := b.resolve(OpReceive, queue)
	if err != nil {
		return nil, sqsrules.Field("queue", err)
	}
	if err := sqsrules.CheckShortPoll(wait, q.options.Wait); err != nil {
		return nil, err
	}
	lease = cmp.Or(lease, q.options.Visibility)
	if err := b.failure(OpReceive); err != nil {
		return nil, err
	}
	ms, err := b.engine.Receive(ctx, q.name, min(limit, sqsrules.MaxBatch), wait, lease)
	if err != nil {
		return nil, engineFailed(OpReceive, queue, err)
	}
	if len(ms) == 0 {
		return nil, nil
	}
	ds := make([]*broker.Delivery, len(ms))
	for i := range ms {
		ds[i] = b.deliver(q, queue, &ms[i], lease)
	}
	return ds, nil
}

// receiveOptions reads the options of a Receive. A lease of 0 is the queue's.
func receiveOptions(opts []broker.ReceiveOption) (wait, lease time.Duration, err error) {
	wait = sqsrules.MaxWait
	var errs []error
	for _, opt := range opts {
		switch o := opt.(type) {
		case broker.Wait:
			wait = time.Duration(o)
			errs = append(errs, sqsrules.CheckWait(wait))
		case broker.Lease:
			lease = time.Duration(o)
			errs = append(errs, sqsrules.CheckLease(lease))
		default:
			errs = append(errs, &broker.UnsupportedError{
				Backend: sqsrules.Backend, What: fmt.Sprintf("option %T", opt), Why: "it has no meaning for Receive",
			})
		}
	}
	return sqsrules.WholeSeconds(wait), sqsrules.WholeSeconds(lease), errors.Join(errs...)
}

// delivery is a Delivery together with its Handle.
type delivery struct {
	broker.Delivery
	handle handle
}

func (b *SQS) deliver(q *settings, subject string, m *queue.Message, lease time.Duration) *broker.Delivery {
	d := &delivery{}
	q.fill(&d.Delivery, subject, m)
	h := &d.handle
	h.owner, h.queue = b, q.name
	h.receipt = m.Receipt
	h.received = m.LeaseEnd.Add(-lease)
	h.native = Native{FirstReceive: m.FirstReceive, DeadLetterSource: m.Source}
	h.Renew(m.LeaseEnd)
	d.Handle = h
	return &d.Delivery
}

// fill makes d of m, without a Handle.
func (q *settings) fill(d *broker.Delivery, subject string, m *queue.Message) {
	d.Subject, d.Body = subject, m.Body
	d.Header, _ = m.Attrs.(broker.Header)
	d.ID, d.Source = m.ID, q.name
	d.Attempt = m.Receives
	d.Time, d.LeaseEnd = m.Sent, m.LeaseEnd
	if q.rules.FIFO {
		d.Key, d.DedupID = m.Group, m.DedupID
		if m.Source != "" {
			d.DedupID = m.ID // of a dead letter (DG sqs-configure-dead-letter-queue-redrive)
		}
		d.Sequence = broker.NewSequence(m.Seq)
	} else {
		d.Tenant = m.Group
	}
}
