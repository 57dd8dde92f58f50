package sqsbroker

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// errUnanswered is the error of an entry that the answer does not mention.
var errUnanswered = errors.New("the answer does not mention this entry")

// PublishBatch sends the messages of each queue with SendMessageBatch, one
// call after the other, each of at most 10 messages and 1 MiB. If a message is
// refused before anything is sent, nothing is: the error is then no
// *BatchError, and names the messages by their index.
//
// On a FIFO queue SQS itself may fail one entry of a call and store a later
// one of the same group; such a message is reported as stored. Calls that come
// after send no more of that group.
func (b *Broker) PublishBatch(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
	const op = "publish"
	receipts := make([]broker.Receipt, len(ms))
	if len(ms) == 0 {
		return receipts, nil
	}
	if err := b.ready(ctx, op, ms[0].Subject); err != nil {
		return receipts, err
	}
	shipments, errs, err := b.load(ctx, op, ms)
	if err != nil {
		return receipts, err
	}
	for _, s := range shipments {
		s.receipts, s.errs = receipts, errs
		s.send(ctx, op)
	}
	return receipts, broker.NewBatchError(errs)
}

// shipment is the messages of one batch that go to one queue.
type shipment struct {
	queue    *queue
	url      string
	parcels  []parcel
	receipts []broker.Receipt    // of the whole batch
	errs     []error             // of the whole batch
	failed   map[string]struct{} // keys of which a message failed
}

// parcel is one message of a shipment.
type parcel struct {
	index   int // in the batch
	message broker.Message
}

// load checks every message and sorts them by queue. errs has those whose
// queue could not be looked up; err is for bad input.
func (b *Broker) load(ctx context.Context, op string, ms []broker.Message) (all []*shipment, errs []error, err error) {
	errs = make([]error, len(ms))
	byQueue := map[*queue]*shipment{}
	absent := map[string]error{} // by subject: asked for once, so that order holds
	var bad []error
	for i, m := range ms {
		if errs[i] = absent[m.Subject]; errs[i] != nil {
			continue
		}
		m.Clear(b.ignore)
		q, url, err := b.route(ctx, op, &m)
		switch {
		case refusedHere(err):
			bad = append(bad, fmt.Errorf("message %d: %w", i, err))
			continue
		case err != nil:
			errs[i], absent[m.Subject] = err, err
			continue
		}
		s := byQueue[q]
		if s == nil {
			s = &shipment{queue: q, url: url, failed: map[string]struct{}{}}
			byQueue[q] = s
			all = append(all, s)
		}
		s.parcels = append(s.parcels, parcel{i, m})
	}
	return all, errs, errors.Join(bad...)
}

// route finds the queue that m goes to, and its URL, and checks m.
func (b *Broker) route(ctx context.Context, op string, m *broker.Message) (*queue, string, error) {
	q, err := b.find(m.Subject)
	if err != nil {
		return nil, "", err
	}
	url, err := q.check(ctx, op, m)
	return q, url, err
}

// refusedHere reports whether this package refused the message, not SQS.
func refusedHere(err error) bool {
	if _, ok := errors.AsType[*broker.FieldError](err); ok {
		return true
	}
	_, ok := errors.AsType[*broker.UnsupportedError](err)
	return ok
}

// send makes the calls.
func (s *shipment) send(ctx context.Context, op string) {
	for len(s.parcels) > 0 {
		call := s.next()
		if len(call) == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			s.failAll(call, &broker.Error{Backend: backend, Op: op, Subject: call[0].message.Subject, Err: err})
			continue
		}
		s.sendCall(ctx, op, call)
	}
}

// next takes the messages of one call, and skips those of keys that failed.
func (s *shipment) next() []parcel {
	var call []parcel
	size := 0
	for len(s.parcels) > 0 {
		p := s.parcels[0]
		if _, failed := s.failed[p.message.Key]; failed {
			s.errs[p.index] = &broker.Error{
				Backend: backend, Op: "publish", Subject: p.message.Subject, Kind: broker.ErrSkipped,
			}
			s.parcels = s.parcels[1:]
			continue
		}
		size += sqsrules.Size(&p.message)
		if len(call) == sqsrules.MaxBatch || len(call) > 0 && size > sqsrules.MaxBatchSize {
			break
		}
		call = append(call, p)
		s.parcels = s.parcels[1:]
	}
	return call
}

func (s *shipment) sendCall(ctx context.Context, op string, call []parcel) {
	entries := make([]types.SendMessageBatchRequestEntry, len(call))
	for i := range call {
		m := &call[i].message
		entries[i] = types.SendMessageBatchRequestEntry{
			Id:                     aws.String(strconv.Itoa(i)),
			MessageBody:            aws.String(string(m.Body)),
			MessageAttributes:      attributesOf(m.Header),
			MessageGroupId:         group(m),
			MessageDeduplicationId: optional(m.DedupID),
			DelaySeconds:           sqsrules.Seconds(m.Delay),
		}
	}
	var tries attempts
	out, err := s.queue.broker.client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{
		QueueUrl: &s.url, Entries: entries,
	}, tries.watch)
	if err != nil {
		s.failAll(call, s.queue.sendFailed(ctx, op, call[0].message.Subject, err, &tries))
		return
	}
	answers := make([]error, len(call))
	for i := range answers {
		answers[i] = &broker.Error{
			Backend: backend, Op: op, Subject: call[i].message.Subject, OutcomeUnknown: true, Err: errUnanswered,
		}
	}
	for _, e := range out.Successful {
		if i, ok := entryIndex(e.Id, len(call)); ok {
			answers[i] = nil
			s.receipts[call[i].index] = s.queue.receipt(e.MessageId, e.SequenceNumber)
		}
	}
	for _, e := range out.Failed {
		if i, ok := entryIndex(e.Id, len(call)); ok {
			answers[i] = s.queue.fail(ctx, op, call[i].message.Subject, entryError(e))
		}
	}
	for i, err := range answers {
		s.settle(call[i], err)
	}
}

func (s *shipment) failAll(call []parcel, err error) {
	for _, p := range call {
		s.settle(p, err)
	}
}

// settle records what became of a message.
func (s *shipment) settle(p parcel, err error) {
	s.errs[p.index] = err
	if err != nil && p.message.Key != "" {
		s.failed[p.message.Key] = struct{}{}
	}
}

// entryIndex is the position of the entry that an id was given to.
func entryIndex(id *string, n int) (int, bool) {
	i, err := strconv.Atoi(aws.ToString(id))
	return i, err == nil && 0 <= i && i < n
}
