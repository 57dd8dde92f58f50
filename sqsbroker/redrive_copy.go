package sqsbroker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

const (
	// copyLease is for how long messages are received that are to be copied.
	copyLease = time.Minute
	// lastCalls is how long calls may take after the end of a context, to finish
	// what was begun.
	lastCalls = 5 * time.Second
	// maxStayErrors is how many messages that stay have their errors told.
	maxStayErrors = 10
)

// byCopy sends and deletes what it receives, until nothing comes, or nothing that
// it has not seen: what it leaves comes back after each lease.
func (r *redrive) byCopy(ctx context.Context) error {
	after, cancel := afterwards(ctx, lastCalls)
	defer cancel()
	for news := time.Now(); time.Since(news) <= copyLease; {
		ds, err := r.queue.broker.Receive(ctx, r.subject, sqsrules.MaxBatch, broker.Wait(time.Second), broker.Lease(copyLease))
		if err != nil || len(ds) == 0 {
			return err
		}
		for i, d := range ds {
			// What was sent since may have been moved, and come back.
			if !d.Time.Before(r.begin) || r.stay.has(d) {
				continue
			}
			news = time.Now()
			err := r.pace(ctx)
			if err == nil {
				err = r.move(ctx, after, d)
			}
			if err != nil {
				return errors.Join(err, r.giveBack(after, ds[i:]))
			}
		}
	}
	return nil
}

// afterwards is a context that ends some time after ctx does.
func afterwards(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	after, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(d, cancel) })
	return after, func() {
		stop()
		cancel()
	}
}

// giveBack releases what is not moved, last first.
func (r *redrive) giveBack(ctx context.Context, ds []*broker.Delivery) error {
	slices.Reverse(ds)
	return r.queue.broker.Release(ctx, 0, ds...)
}

// pace waits until the next copy may be made.
func (r *redrive) pace(ctx context.Context) error {
	if r.rate == 0 {
		return nil
	}
	now := time.Now()
	if r.due.After(now) {
		if err := wait(ctx, r.due.Sub(now)); err != nil {
			return err
		}
		now = r.due
	}
	r.due = now.Add(time.Second / time.Duration(r.rate))
	return nil
}

// move copies and deletes one message, or leaves it and what follows of its
// group. What is copied is deleted also after ctx's end.
func (r *redrive) move(ctx, after context.Context, d *broker.Delivery) error {
	if err := r.copy(ctx, d); err != nil {
		if !r.concernsOne(err) {
			return err
		}
		r.stay.add(d, err)
		return nil
	}
	if err := r.queue.broker.Delete(after, d); err != nil {
		return err
	}
	r.report.Moved++
	r.report.Copied++
	return nil
}

// concernsOne reports whether an error of a copy is a matter of one message and
// where it goes, so that others can be moved all the same.
func (r *redrive) concernsOne(err error) bool {
	if errors.Is(err, broker.ErrInvalid) || errors.Is(err, broker.ErrTooLarge) {
		return true
	}
	return r.to == nil && (errors.Is(err, broker.ErrNotFound) || errors.Is(err, broker.ErrDenied))
}

// staying is what a redrive leaves where it is.
type staying struct {
	ids    map[string]bool
	groups map[string]bool // of FIFO queues
	errs   []error         // of the first
}

func newStaying() staying { return staying{ids: map[string]bool{}, groups: map[string]bool{}} }

func (s *staying) add(d *broker.Delivery, why error) {
	s.ids[d.ID] = true
	if d.Key != "" {
		s.groups[d.Key] = true
	}
	if len(s.errs) < maxStayErrors {
		s.errs = append(s.errs, fmt.Errorf("message %s stays: %w", d.ID, why))
	}
}

// has reports whether a message stays, as one does behind another of its group.
func (s *staying) has(d *broker.Delivery) bool {
	if !s.ids[d.ID] && s.groups[d.Key] {
		s.add(d, broker.ErrSkipped)
	}
	return s.ids[d.ID]
}

// copy sends one message to where it is to go.
func (r *redrive) copy(ctx context.Context, d *broker.Delivery) error {
	h, err := r.queue.broker.own(d)
	if err != nil {
		return err
	}
	to, err := r.placeOf(h, d)
	if err != nil {
		return err
	}
	url, err := to.resolve(ctx)
	if err != nil {
		return err
	}
	return to.sendCopy(ctx, opRedrive, r.subject, h.copyTo(url, "redrive-"))
}

// placeOf is where a message is to go.
func (r *redrive) placeOf(h *handle, d *broker.Delivery) (*queue, error) {
	if r.to != nil {
		return r.to, nil
	}
	source := cmp.Or(
		h.native.Attributes[string(types.MessageSystemAttributeNameDeadLetterQueueSourceArn)],
		d.Header[broker.RejectSourceHeader],
	)
	if source == "" {
		return nil, &broker.FieldError{
			Field: "To", Limit: "a queue: the message does not say which one it came from",
		}
	}
	at, err := parseAddress(source, "")
	if err != nil {
		return nil, err
	}
	return r.queue.broker.at(at), nil
}

// copyTo is a send of the same message to another queue. idPrefix is for its
// deduplication id on a FIFO queue.
func (h *handle) copyTo(url, idPrefix string) *sqs.SendMessageInput {
	system := h.native.Attributes
	in := &sqs.SendMessageInput{
		QueueUrl:                &url,
		MessageBody:             h.native.Body,
		MessageAttributes:       h.native.MessageAttributes,
		MessageGroupId:          optional(system[string(types.MessageSystemAttributeNameMessageGroupId)]),
		MessageSystemAttributes: traceOf(system[string(types.MessageSystemAttributeNameAWSTraceHeader)]),
	}
	if h.queue.fifo {
		in.MessageDeduplicationId = aws.String(idPrefix + aws.ToString(h.native.MessageId))
	}
	return in
}

// sendCopy sends a copy to q. It is an error if SQS has stored something else,
// since the original is deleted next.
func (q *queue) sendCopy(ctx context.Context, op, subject string, in *sqs.SendMessageInput) error {
	var tries attempts
	out, err := q.broker.client.SendMessage(ctx, in, tries.watch, takenInTime)
	if err != nil {
		return q.sendFailed(ctx, op, subject, err, &tries)
	}
	if !q.broker.intact(out.MD5OfMessageAttributes, in.MessageAttributes) ||
		!q.broker.intact(out.MD5OfMessageSystemAttributes, sameForm(in.MessageSystemAttributes)) {
		return &broker.Error{
			Backend: backend, Op: op, Subject: subject, Kind: broker.ErrUnavailable, Err: errDamaged,
			Retryable: true, OutcomeUnknown: true,
		}
	}
	return nil
}
