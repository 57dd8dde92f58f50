package sqsbroker

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/coalesce"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// errUnanswered is the error of an entry that the answer does not mention.
var errUnanswered = errors.New("the answer does not mention this entry")

// parcel is one message that was checked, on its way to a queue.
type parcel struct {
	queue   *queue
	subject string
	key     string // "" on a Standard queue
	size    int
	entry   types.SendMessageBatchRequestEntry

	// What a call leaves.
	receipt broker.Receipt
	err     error
	again   bool // it may be sent again: SQS failed this one entry, by its own fault
	maybe   bool // a call that did not say so may have stored it, whatever a later one says
	tries   int
}

// pack makes a parcel of a message. It keeps neither Body nor Header.
func (q *queue) pack(m *broker.Message) *parcel {
	w := sqsrules.Pack(m)
	return &parcel{
		queue: q, subject: m.Subject, key: m.Key, size: w.Size(),
		entry: types.SendMessageBatchRequestEntry{
			MessageBody:             aws.String(string(w.Body)),
			MessageAttributes:       attributesOf(w.Attributes),
			MessageGroupId:          group(m),
			MessageSystemAttributes: traceOf(w.Trace),
			MessageDeduplicationId:  optional(m.DedupID),
			DelaySeconds:            sqsrules.Seconds(m.Delay),
		},
	}
}

// Trait is what calls that are shared must know: no two of them have messages
// of one group.
func (p *parcel) Trait() (key string, size int) { return p.key, p.size }

// Result sends a parcel again that SQS failed by its own fault. Behind one that
// failed for good, no later one of its group is sent.
func (p *parcel) Result() coalesce.Result {
	if p.again {
		return coalesce.Result{Again: entryPause.Delay(p.tries, rand.Float64())}
	}
	return coalesce.Result{Failed: p.err != nil}
}

// send makes one call for 1 to 10 parcels of one queue, and leaves each one's
// result in it.
func (b *Broker) send(ctx context.Context, url string, call []*parcel) {
	for _, p := range call {
		p.err, p.again = nil, false
		p.tries++
	}
	if len(call) == 1 && call[0].tries == 1 { // what was in a batch keeps to its form of errors
		b.sendOne(ctx, url, call[0])
		return
	}
	entries := make([]types.SendMessageBatchRequestEntry, len(call))
	for i, p := range call {
		entries[i] = p.entry
		entries[i].Id = aws.String(strconv.Itoa(i))
	}
	var tries attempts
	out, err := b.client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: entries}, tries.watch, takenInTime)
	if err != nil {
		for _, p := range call {
			p.failed(ctx, err, tries.outcomeUnknown(err))
		}
		if len(call) > 1 && errors.Is(call[0].err, broker.ErrInvalid) && !tries.outcomeUnknown(err) {
			b.sendApart(ctx, url, call)
		}
		return
	}
	for _, p := range call {
		p.err = &broker.Error{Backend: backend, Op: opPublish, Subject: p.subject, OutcomeUnknown: true, Err: errUnanswered}
	}
	for _, e := range out.Successful {
		if i, ok := entryIndex(e.Id, len(call)); ok {
			call[i].err = nil
			call[i].stored(e.MessageId, e.SequenceNumber, e.MD5OfMessageAttributes, e.MD5OfMessageSystemAttributes)
		}
	}
	for _, e := range out.Failed {
		if i, ok := entryIndex(e.Id, len(call)); ok {
			call[i].failed(ctx, entryError(e), tries.maybe)
			call[i].again = !e.SenderFault && call[i].tries < entryTries
		}
	}
	keepOrder(call)
}

// sendApart is for a call that SQS has refused as a whole. One message is enough
// for that, such as one without a DedupID on a queue that needs it, and the
// others may be those of other callers: each is sent alone, in order, and behind
// one that fails none of its group.
func (b *Broker) sendApart(ctx context.Context, url string, call []*parcel) {
	failed := map[string]*broker.Error{} // by group
	for _, p := range call {
		p.queue.doubt() // what is known of it let the message through
		if first := failed[p.key]; first != nil {
			p.err = p.doubtful(skipped(p.subject, first.Retryable))
			continue
		}
		if err := b.over(ctx); err != nil {
			p.err = p.doubtful(notCalled(opPublish, p.subject, err))
		} else {
			p.err = nil
			b.sendOne(ctx, url, p)
		}
		if e, ok := errors.AsType[*broker.Error](p.err); ok && p.key != "" {
			failed[p.key] = e
		}
	}
}

// keepOrder takes back what may be sent again where that would break the order
// of a group: SQS has stored a later message of it, or an earlier one has failed
// for good.
func keepOrder(call []*parcel) {
	over := map[string]bool{} // groups
	for _, p := range slices.Backward(call) {
		p.again = p.again && !over[p.key]
		over[p.key] = over[p.key] || p.key != "" && p.err == nil
	}
	clear(over)
	for _, p := range call {
		p.again = p.again && !over[p.key]
		over[p.key] = over[p.key] || p.key != "" && p.err != nil && !p.again
	}
}

// sendOne makes a call for a parcel that is alone: SQS models the errors of
// SendMessage, and not those of entries.
func (b *Broker) sendOne(ctx context.Context, url string, p *parcel) {
	var tries attempts
	out, err := b.client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl:                &url,
		MessageBody:             p.entry.MessageBody,
		MessageAttributes:       p.entry.MessageAttributes,
		MessageSystemAttributes: p.entry.MessageSystemAttributes,
		MessageGroupId:          p.entry.MessageGroupId,
		MessageDeduplicationId:  p.entry.MessageDeduplicationId,
		DelaySeconds:            p.entry.DelaySeconds,
	}, tries.watch, takenInTime)
	if err != nil {
		p.failed(ctx, err, tries.outcomeUnknown(err))
		return
	}
	p.stored(out.MessageId, out.SequenceNumber, out.MD5OfMessageAttributes, out.MD5OfMessageSystemAttributes)
}

// failed takes an error of a call, in which the message may have been stored.
func (p *parcel) failed(ctx context.Context, err error, maybe bool) {
	p.maybe = p.maybe || maybe
	p.err = p.doubtful(p.queue.fail(ctx, opPublish, p.subject, err))
}

// doubtful has an error of the parcel tell that an earlier call, or try of one,
// may have stored the message all the same.
func (p *parcel) doubtful(e *broker.Error) *broker.Error {
	e.OutcomeUnknown = e.OutcomeUnknown || p.maybe
	return e
}

// stored takes SQS's answer. A digest that differs says that SQS has stored
// something else.
func (p *parcel) stored(id, sequence, digest, system *string) {
	b := p.queue.broker
	if !b.intact(digest, p.entry.MessageAttributes) || !b.intact(system, sameForm(p.entry.MessageSystemAttributes)) {
		p.err = &broker.Error{
			Backend: backend, Op: opPublish, Subject: p.subject, Kind: broker.ErrUnavailable, Err: errDamaged,
			Retryable: true, OutcomeUnknown: true,
		}
		return
	}
	p.receipt = p.queue.receipt(id, sequence)
}

// entryIndex is the position of the entry that an id was given to.
func entryIndex(id *string, n int) (int, bool) {
	i, err := strconv.Atoi(aws.ToString(id))
	return i, err == nil && 0 <= i && i < n
}
