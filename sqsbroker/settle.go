package sqsbroker

import (
	"context"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/lease"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// whyLate is the reason in errors of deliveries whose lease is over.
const whyLate = "the visibility timeout has passed"

// settling is one delivery of a call that settles or extends several.
type settling struct {
	*handle
	index   int
	seconds int32 // the visibility timeout to set
	late    bool  // the lease was over before the call
	err     error
}

// Delete deletes the messages with DeleteMessageBatch, ten a call. A success
// is no proof: SQS may deliver a message of a Standard queue again all the
// same. What is late is refused on a FIFO queue, as SQS would, and sent on a
// Standard queue; both are [broker.ErrLeaseLost].
func (b *Broker) Delete(ctx context.Context, ds ...*broker.Delivery) error {
	const op = "delete"
	return b.settle(ctx, op, ds, func(s *settling) (done bool, err error) {
		if done, err := s.CheckDelete(); done {
			return true, settled(op, s.handle, err)
		}
		if s.late && s.queue.fifo {
			return true, lost(op, s.subject, whyLate)
		}
		return false, nil
	}, func(ctx context.Context, url string, batch []*settling) {
		b.deleteCall(ctx, op, url, batch, lease.Deleted)
	})
}

// Extend sets the visibility timeouts with ChangeMessageVisibilityBatch, ten a
// call. lease is rounded up to whole seconds, and shortened to what is left of
// the 12 hours since the receive, which SQS never exceeds; 0 is the queue's
// visibility timeout. It is [broker.ErrLeaseLost] when the lease is over or
// nothing is left of the 12 hours.
func (b *Broker) Extend(ctx context.Context, lease time.Duration, ds ...*broker.Delivery) error {
	if err := sqsrules.CheckExtend(lease); err != nil {
		return err
	}
	const op = "extend"
	return b.settle(ctx, op, ds, func(s *settling) (done bool, err error) {
		if err := s.checkChange(op); err != nil {
			return true, err
		}
		want := lease
		if want == 0 {
			_, a, err := s.queue.look(ctx, fresh)
			if err != nil {
				return true, failure(ctx, op, s.subject, err)
			}
			want = max(a.visibility, time.Second)
		}
		s.limit(want)
		if s.seconds == 0 {
			return true, lost(op, s.subject, "12 hours have passed since the receive")
		}
		return false, nil
	}, b.extendCall)
}

// Release sets the visibility timeouts with ChangeMessageVisibilityBatch, ten
// a call, in the order of ds. delay is rounded up to whole seconds, and
// shortened to what is left of the 12 hours since the receive; more than 12
// hours is an error. What is late is [broker.ErrLeaseLost]: it is visible
// already.
func (b *Broker) Release(ctx context.Context, delay time.Duration, ds ...*broker.Delivery) error {
	if err := sqsrules.CheckRelease(delay); err != nil {
		return err
	}
	const op = "release"
	return b.settle(ctx, op, ds, func(s *settling) (done bool, err error) {
		s.limit(delay)
		return false, s.checkChange(op)
	}, b.releaseCall)
}

// checkChange refuses what is settled or late.
func (s *settling) checkChange(op string) error {
	if err := s.CheckChange(); err != nil {
		return settled(op, s.handle, err)
	}
	if s.late {
		return lost(op, s.subject, whyLate)
	}
	return nil
}

// limit sets the visibility timeout to d, or what is left of the 12 hours.
func (s *settling) limit(d time.Duration) {
	left := time.Until(s.latest).Truncate(time.Second)
	s.seconds = sqsrules.Seconds(min(d, max(left, 0)))
}

// settled is the error of a delivery that was settled before.
func settled(op string, h *handle, err error) error {
	if err == nil {
		return nil
	}
	return lost(op, h.subject, "the message is settled already")
}

// settle runs check on each delivery, and call on batches of those that it
// does not call done or refuse.
func (b *Broker) settle(ctx context.Context, op string, ds []*broker.Delivery,
	check func(*settling) (done bool, err error), call func(ctx context.Context, url string, batch []*settling),
) error {
	if err := b.ready(ctx, op, ""); err != nil {
		return err
	}
	errs := make([]error, len(ds))
	todo := make([]*settling, 0, len(ds))
	for i, d := range ds {
		h, err := b.own(d)
		if err != nil {
			errs[i] = err
			continue
		}
		s := &settling{handle: h, index: i, late: h.Expired(time.Now())}
		if done, err := check(s); done || err != nil {
			errs[i] = err
			continue
		}
		todo = append(todo, s)
	}
	for _, batch := range batches(todo) {
		call(ctx, batch[0].url, batch)
	}
	for _, s := range todo {
		errs[s.index] = s.err
	}
	return broker.NewBatchError(errs)
}

// batches splits by queue and by ten, and keeps the order within each queue.
func batches(all []*settling) [][]*settling {
	var split [][]*settling
	latest := map[string]int{} // by URL
	for _, s := range all {
		i, ok := latest[s.url]
		if !ok || len(split[i]) == sqsrules.MaxBatch {
			i = len(split)
			latest[s.url] = i
			split = append(split, nil)
		}
		split[i] = append(split[i], s)
	}
	return split
}

// deleteCall deletes, and records the state that the deliveries are in then.
func (b *Broker) deleteCall(ctx context.Context, op, url string, batch []*settling, state lease.State) {
	entries := make([]types.DeleteMessageBatchRequestEntry, len(batch))
	for i, s := range batch {
		entries[i] = types.DeleteMessageBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), ReceiptHandle: s.native.ReceiptHandle,
		}
	}
	in := &sqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: entries}
	out, err := b.client.DeleteMessageBatch(ctx, in)
	if err != nil {
		callFailed(ctx, op, batch, err)
		return
	}
	ids := make([]*string, len(out.Successful))
	for i, e := range out.Successful {
		ids[i] = e.Id
	}
	answered(ctx, op, batch, ids, out.Failed)
	for _, s := range batch {
		switch {
		case s.err != nil:
		case s.late:
			s.err = lost(op, s.subject, whyLate+"; the delete was sent all the same")
		default:
			s.Settle(state)
		}
	}
}

func (b *Broker) extendCall(ctx context.Context, url string, batch []*settling) {
	before := time.Now() // SQS counts from a later moment
	b.changeCall(ctx, "extend", url, batch)
	for _, s := range batch {
		if s.err == nil {
			s.Renew(before.Add(time.Duration(s.seconds) * time.Second))
		}
	}
}

func (b *Broker) releaseCall(ctx context.Context, url string, batch []*settling) {
	b.changeCall(ctx, "release", url, batch)
	for _, s := range batch {
		if s.err == nil {
			s.Settle(lease.Released)
		}
	}
}

func (b *Broker) changeCall(ctx context.Context, op, url string, batch []*settling) {
	entries := make([]types.ChangeMessageVisibilityBatchRequestEntry, len(batch))
	for i, s := range batch {
		entries[i] = types.ChangeMessageVisibilityBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), ReceiptHandle: s.native.ReceiptHandle, VisibilityTimeout: s.seconds,
		}
	}
	in := &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &url, Entries: entries}
	out, err := b.client.ChangeMessageVisibilityBatch(ctx, in)
	if err != nil {
		callFailed(ctx, op, batch, err)
		return
	}
	ids := make([]*string, len(out.Successful))
	for i, e := range out.Successful {
		ids[i] = e.Id
	}
	answered(ctx, op, batch, ids, out.Failed)
}

// callFailed gives each delivery of a call that failed as a whole its error.
func callFailed(ctx context.Context, op string, batch []*settling, err error) {
	for _, s := range batch {
		e := s.queue.fail(ctx, op, s.subject, err)
		e.OutcomeUnknown = mayHaveTakenEffect(err)
		s.err = e
	}
}

// answered takes each entry's own result.
func answered(ctx context.Context, op string, batch []*settling, successful []*string, failed []types.BatchResultErrorEntry) {
	for _, s := range batch {
		s.err = &broker.Error{Backend: backend, Op: op, Subject: s.subject, OutcomeUnknown: true, Err: errUnanswered}
	}
	for _, id := range successful {
		if i, ok := entryIndex(id, len(batch)); ok {
			batch[i].err = nil
		}
	}
	for _, e := range failed {
		if i, ok := entryIndex(e.Id, len(batch)); ok {
			batch[i].err = batch[i].queue.fail(ctx, op, batch[i].subject, entryError(e))
		}
	}
}
