package sqsbroker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// RedriveOptions say where dead letters go.
type RedriveOptions struct {
	// To is the queue for all of them. "" is for each the queue that it came
	// from.
	To string
	// Rate is the most messages a second, up to 500; 0 leaves it to SQS, and
	// makes copies as fast as they can be.
	Rate int
}

// RedriveReport is what became of dead letters.
type RedriveReport struct {
	Moved int64 // from the dead-letter queue; approximate if SQS moved them
	// Copied is how many of them this process sent and deleted itself.
	Copied int64
}

// redriveLook is how often a task of SQS is asked for.
const redriveLook = time.Second

// opRedrive is how errors speak of Redrive.
const opRedrive = "redrive"

// Redrive moves the messages of a dead-letter queue back to work and returns
// when none is left that was there when it began. SQS moves them itself where
// it can (StartMessageMoveTask): it goes on if ctx ends, which is
// [broker.ErrOutcomeUnknown] then. Called again, Redrive waits for a task that
// is under way to the same To, at the rate that it has; one to another queue is
// an error.
//
// SQS does not know where rejected messages came from, and some SQS-compatible
// servers have no such tasks, or tasks that do nothing. What is left is copied and
// then deleted by this process, one message after the other: if that ends between the two, a message
// is in both queues, and Redrive, called again, moves it a second time, which a
// FIFO queue deduplicates for five minutes. Nothing is lost, and what is moved
// stays moved. A message with no known source, and no To, is an error and stays,
// and so does, for a minute, what was sent after Redrive began by this machine's
// clock.
//
// The copies are new messages: their ids, times and counts of receives begin
// anew. Permissions: sqs:StartMessageMoveTask, sqs:ListMessageMoveTasks,
// sqs:ReceiveMessage, sqs:DeleteMessage, sqs:ChangeMessageVisibility (to give back
// what was received when a copy fails) and sqs:GetQueueAttributes on the
// dead-letter queue, sqs:SendMessage on the other, and sqs:GetQueueAttributes on
// To.
func (b *Broker) Redrive(ctx context.Context, queue string, o RedriveOptions) (RedriveReport, error) {
	var report RedriveReport
	if err := b.ready(ctx, opRedrive, queue); err != nil {
		return report, err
	}
	if o.Rate < 0 || o.Rate > 500 {
		return report, &broker.FieldError{Field: "Rate", Value: fmt.Sprint(o.Rate), Limit: "0 to 500 a second"}
	}
	q, err := b.find(queue)
	if err != nil {
		return report, sqsrules.Field("queue", err)
	}
	r := &redrive{queue: q, subject: queue, rate: int32(o.Rate), begin: time.Now().Truncate(time.Millisecond), stay: newStaying()}
	if o.To != "" {
		if r.to, err = b.find(o.To); err != nil {
			return report, sqsrules.Field("To", err)
		}
		if r.to.fifo != q.fifo {
			return report, &broker.FieldError{Field: "To", Value: o.To, Limit: "a queue of the dead-letter queue's kind"}
		}
	}
	rest, err := r.bySQS(ctx)
	if err == nil && rest {
		err = r.byCopy(ctx)
	}
	return r.report, r.failed(ctx, err)
}

// failed is the error of the whole call: err, if it has ended that early, and
// those of the messages that stay.
func (r *redrive) failed(ctx context.Context, err error) error {
	e := &broker.Error{Backend: backend, Op: opRedrive, Subject: r.subject}
	stays := r.stay.errs
	if n := len(r.stay.ids) - len(stays); n > 0 {
		stays = append(stays, fmt.Errorf("and %d more messages were not moved", n))
	}
	if err != nil {
		e = r.queue.fail(ctx, opRedrive, r.subject, err)
		e.OutcomeUnknown = e.OutcomeUnknown || r.running
		if ctx.Err() != nil && !errors.Is(e, ctx.Err()) {
			stays = append([]error{ctx.Err()}, stays...)
		}
	}
	if len(stays) > 0 {
		e.Err = errors.Join(append([]error{e.Err}, stays...)...)
	}
	if e.Err == nil {
		return nil
	}
	return e
}

// redrive is one call of Redrive.
type redrive struct {
	queue   *queue // of dead letters
	subject string
	to      *queue // nil: each to its own
	rate    int32
	begin   time.Time // of the precision of SQS's times
	due     time.Time // of the next copy, by rate
	running bool      // a task of SQS
	stay    staying
	report  RedriveReport
}

// bySQS has SQS move the messages, and reports whether it leaves a rest.
func (r *redrive) bySQS(ctx context.Context) (rest bool, err error) {
	b := r.queue.broker
	admin, err := b.admin(opRedrive)
	if err != nil {
		return true, nil //nolint:nilerr // then by copy
	}
	source, err := r.arn(ctx, r.queue)
	if err != nil {
		return false, err
	}
	in := &sqs.StartMessageMoveTaskInput{SourceArn: &source}
	if r.rate > 0 {
		in.MaxNumberOfMessagesPerSecond = &r.rate
	}
	if r.to != nil {
		to, err := r.arn(ctx, r.to)
		if err != nil {
			return false, err
		}
		in.DestinationArn = &to
	}
	if _, err := admin.StartMessageMoveTask(ctx, in, answeredInTime); err != nil {
		if hasNoTasks(err) {
			return true, nil
		}
		if !errors.Is(classify(err).kind, broker.ErrInvalid) || !underWay(ctx, admin, in) {
			return false, err
		}
	}
	r.running = true
	return r.follow(ctx, admin, source)
}

// hasNoTasks reports whether an endpoint cannot move messages: it says so, or
// what it answers is not in the form of SQS's errors (moto 5.2.5).
func hasNoTasks(err error) bool {
	_, foreign := errors.AsType[*smithy.DeserializationError](err)
	return foreign || errors.Is(classify(err).kind, errors.ErrUnsupported)
}

// underWay reports whether a task like the one that SQS refused to start is
// running.
func underWay(ctx context.Context, admin AdminAPI, in *sqs.StartMessageMoveTaskInput) bool {
	out, err := admin.ListMessageMoveTasks(ctx, &sqs.ListMessageMoveTasksInput{SourceArn: in.SourceArn, MaxResults: aws.Int32(1)}, answeredInTime)
	if err != nil || len(out.Results) == 0 {
		return false
	}
	task := out.Results[0]
	return aws.ToString(task.Status) == "RUNNING" && aws.ToString(task.DestinationArn) == aws.ToString(in.DestinationArn)
}

func (r *redrive) arn(ctx context.Context, q *queue) (string, error) {
	a, err := q.readAttributes(ctx)
	if err != nil {
		return "", err
	}
	return a.get(types.QueueAttributeNameQueueArn), nil
}

// follow waits for the end of SQS's task.
func (r *redrive) follow(ctx context.Context, admin AdminAPI, source string) (rest bool, err error) {
	for {
		if err := wait(ctx, redriveLook); err != nil {
			return false, err
		}
		out, err := admin.ListMessageMoveTasks(ctx, &sqs.ListMessageMoveTasksInput{SourceArn: &source, MaxResults: aws.Int32(1)}, answeredInTime)
		if err != nil {
			return false, err
		}
		if len(out.Results) == 0 {
			return false, errors.New("ListMessageMoveTasks does not know the task")
		}
		task := out.Results[0]
		r.report.Moved = task.ApproximateNumberOfMessagesMoved
		switch aws.ToString(task.Status) {
		case "RUNNING", "CANCELLING":
		case "COMPLETED":
			r.running = false
			return r.report.Moved == 0, nil // ElasticMQ 1.7.1 says so, and has moved nothing of a FIFO queue
		case "FAILED": // such as at a message whose source SQS does not know
			r.running = false
			return true, nil
		default:
			r.running = false
			return false, fmt.Errorf("the task is %s: %s", aws.ToString(task.Status), aws.ToString(task.FailureReason))
		}
	}
}
