package sqsbroker

import (
	"context"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// Reject copies each message to the dead-letter queue that the RedrivePolicy
// names, with the headers candidmq-reject-reason, candidmq-reject-source (the
// queue's name) and candidmq-reject-attempts (how often it was received) where
// there is room for them, and then deletes it. SQS has no call that moves one
// message, so:
//
//   - the copy is a new message: its id, its time and its count of receives
//     begin anew;
//   - if the delete fails, which is the error then, the message is in both
//     queues, and rejecting it again makes a second copy (not on a FIFO queue
//     within five minutes).
//
// Without a RedrivePolicy it is a [*broker.UnsupportedError] and the message
// stays leased, as it does after any failure.
func (b *Broker) Reject(ctx context.Context, reason string, ds ...*broker.Delivery) error {
	return b.settle(ctx, opReject, ds, func(s *settling) (done bool, err error) {
		if err := s.checkChange(); err != nil {
			return true, err
		}
		return false, s.copyToDeadLetter(ctx, opReject, reason)
	})
}

func (s *settling) copyToDeadLetter(ctx context.Context, op, reason string) error {
	target, url, a, err := s.queue.deadLetter(ctx, op, s.subject)
	if err != nil {
		return err
	}
	in := s.copyTo(url, "reject-")
	in.MessageAttributes = rejectAttributes(&s.native, target.rules(a), reason, s.queue.name)
	var tries attempts
	if _, err := s.queue.broker.client.SendMessage(ctx, in, tries.watch, takenInTime); err != nil {
		return target.sendFailed(ctx, op, s.subject, err, &tries)
	}
	return nil
}

// deadLetter finds the dead-letter queue of q.
func (q *queue) deadLetter(ctx context.Context, op, subject string) (target *queue, url string, a *attributes, err error) {
	_, own, err := q.look(ctx, fresh)
	if err != nil {
		return nil, "", nil, failure(ctx, op, subject, err)
	}
	if own.redrive.Target == "" {
		return nil, "", nil, noDeadLetter(own, q.name)
	}
	at, err := parseAddress(own.redrive.Target, "")
	if err != nil {
		return nil, "", nil, failure(ctx, op, subject, err)
	}
	target = q.broker.at(at)
	url, a, err = target.look(ctx, anyAge)
	if err != nil {
		return nil, "", nil, failure(ctx, op, subject, err)
	}
	return target, url, a, nil
}

func noDeadLetter(a *attributes, name string) error {
	if a.all != nil {
		return sqsrules.NoDeadLetter(name)
	}
	return &broker.UnsupportedError{
		Backend: backend, What: "Reject", Why: "the RedrivePolicy of queue " + name + " may not be read",
		Instead: "allow sqs:GetQueueAttributes",
	}
}

// rejectAttributes are the message's own attributes, of whatever type, with
// the reason where there is room.
func rejectAttributes(native *types.Message, q sqsrules.Queue, reason, source string) map[string]types.MessageAttributeValue {
	stand := sqsrules.Wire{Body: []byte(aws.ToString(native.Body)), Attributes: broker.Header{}}
	all := make(map[string]types.MessageAttributeValue, len(native.MessageAttributes)+2)
	for name, value := range native.MessageAttributes {
		all[name] = value
		// Counts for as many bytes: a type is as long as String, or has a label.
		label := aws.ToString(value.DataType)
		stand.Attributes[name] = label[min(len("String"), len(label)):] + aws.ToString(value.StringValue) + string(value.BinaryValue)
	}
	// What is no number is taken for unknown.
	attempts, _ := strconv.Atoi(native.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)])
	with := sqsrules.RejectHeader(stand, q, reason, source, attempts)
	for _, name := range []string{sqsrules.RejectReason, sqsrules.RejectSource, sqsrules.RejectAttempts} {
		if value, ok := with[name]; ok && value != stand.Attributes[name] {
			all[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &value}
		}
	}
	return all
}
