package sqsbroker

import (
	"context"
	"maps"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// Reject copies each message to the dead-letter queue that the RedrivePolicy
// names, with the headers [broker.RejectReasonHeader], [broker.RejectSourceHeader]
// (the queue's name) and [broker.RejectAttemptsHeader] (how often it was received),
// and then deletes it. Where the three and the message's own are more than ten
// attributes, they are packed into candidmq-headers, as the package documentation
// says of headers, and where the size leaves no room, they are left out. SQS has
// no call that moves one message, so:
//
//   - the copy is a new message: its id, its time and its count of receives
//     begin anew;
//   - if the delete fails, which is the error then, the message is in both
//     queues. Rejecting the same delivery again only deletes; rejecting the
//     message when it was received again makes a second copy (not on a FIFO
//     queue within five minutes). So does a copy whose outcome is unknown.
//
// Without a RedrivePolicy it is a [*broker.UnsupportedError] and the message
// stays leased, as it does after any failure. Permissions: sqs:DeleteMessage and
// sqs:GetQueueAttributes, without which the RedrivePolicy is unknown, and
// sqs:SendMessage on the dead-letter queue.
func (b *Broker) Reject(ctx context.Context, reason string, ds ...*broker.Delivery) error {
	return b.settle(ctx, opReject, ds, func(s *settling) (done bool, err error) {
		if err := s.checkChange(); err != nil {
			return true, err
		}
		return false, s.copyToDeadLetter(ctx, opReject, reason)
	})
}

func (s *settling) copyToDeadLetter(ctx context.Context, op, reason string) error {
	if s.copied.Load() {
		return nil // what failed was the delete
	}
	target, url, a, err := s.queue.deadLetter(ctx, op, s.subject)
	if err != nil {
		return err
	}
	in := s.copyTo(url, "reject-")
	in.MessageAttributes = rejectAttributes(&s.native, target.rules(a), reason, s.queue.name)
	if err := target.sendCopy(ctx, op, s.subject, in); err != nil {
		return err
	}
	s.copied.Store(true)
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
// the reason.
func rejectAttributes(native *types.Message, q sqsrules.Queue, reason, source string) map[string]types.MessageAttributeValue {
	text := sqsrules.Wire{Body: []byte(aws.ToString(native.Body)), Attributes: broker.Header{}}
	var others sqsrules.Others
	all := make(map[string]types.MessageAttributeValue, len(native.MessageAttributes)+3)
	for name, value := range native.MessageAttributes {
		switch label := aws.ToString(value.DataType); {
		case label == "String":
			text.Attributes[name] = aws.ToString(value.StringValue)
		case name == broker.RejectReasonHeader, name == broker.RejectSourceHeader, name == broker.RejectAttemptsHeader: // ours to give
		default:
			all[name] = value
			others.Count++
			others.Packed = others.Packed || name == sqsrules.PackedHeaders
			others.Size += len(name) + len(label) + len(aws.ToString(value.StringValue)) + len(value.BinaryValue)
		}
	}
	// What is no number is taken for unknown.
	attempts, _ := strconv.Atoi(native.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)])
	maps.Copy(all, attributesOf(sqsrules.RejectHeader(text, others, q, reason, source, attempts)))
	return all
}
