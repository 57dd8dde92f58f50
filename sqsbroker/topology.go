package sqsbroker

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// AdminAPI is what EnsureQueue, UpdateQueue and Redrive call of the AWS client
// beyond [API]. With a client that does not have it, they are a
// [*broker.UnsupportedError].
type AdminAPI interface {
	CreateQueue(context.Context, *sqs.CreateQueueInput, ...func(*sqs.Options)) (*sqs.CreateQueueOutput, error)
	SetQueueAttributes(context.Context, *sqs.SetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.SetQueueAttributesOutput, error)
	StartMessageMoveTask(context.Context, *sqs.StartMessageMoveTaskInput, ...func(*sqs.Options)) (*sqs.StartMessageMoveTaskOutput, error)
	ListMessageMoveTasks(context.Context, *sqs.ListMessageMoveTasksInput, ...func(*sqs.Options)) (*sqs.ListMessageMoveTasksOutput, error)
}

var _ AdminAPI = (*sqs.Client)(nil)

// QueueOptions are attributes that a queue is to have. What is zero is SQS's
// default in a queue that is made, and is not compared in one that is there.
type QueueOptions struct {
	// Visibility is the visibility timeout: whole seconds up to 12 hours.
	Visibility time.Duration
	// Delay is how long each message is invisible at first, unless it has a
	// Delay of its own: whole seconds up to 15 minutes.
	Delay time.Duration
	// Retention is how long a message is kept: whole seconds, 1 minute to 14
	// days.
	Retention time.Duration
	// Wait is the queue's own wait of a receive: whole seconds up to 20.
	Wait time.Duration
	// MaxMessage is the largest message in bytes: 1 KiB to 1 MiB.
	MaxMessage int
	// DeadLetter is the name, URL or ARN of a queue of the same kind, which
	// exists, or its name in Options.Queues.
	DeadLetter string
	// MaxReceives goes with DeadLetter: 1 to 1,000, 10 by default.
	MaxReceives int
	// ContentBasedDedup is for FIFO queues, as is DedupScope:
	// [broker.ScopeDestination], which goes with the throughput limit of the
	// queue (FifoThroughputLimit of perQueue), or [broker.ScopeKey], which brings
	// high throughput (perMessageGroupId).
	ContentBasedDedup bool
	DedupScope        broker.Scope
	// Other are attributes by the names that AWS has for them, such as
	// KmsMasterKeyId or Policy. They win over the fields above.
	Other map[string]string
}

// EnsureQueue makes a queue if there is none of that name, and reports where
// one that there is differs from o, by the names that AWS has for attributes; it
// changes nothing in it. A name that ends in ".fifo" is that of a FIFO queue.
// Address is the queue's URL. It returns once the queue can be used,
// which takes a second after it was made (API CreateQueue). A queue given by URL
// or ARN is not made. Permissions: sqs:GetQueueUrl, sqs:GetQueueAttributes (also
// on the dead-letter queue), sqs:CreateQueue.
func (b *Broker) EnsureQueue(ctx context.Context, queue string, o QueueOptions) (broker.Ensured, error) {
	return b.ensure(ctx, "ensure queue", queue, &o, false)
}

// UpdateQueue is [Broker.EnsureQueue], and then changes what differs
// (sqs:SetQueueAttributes); Drift is how the queue was before. A change takes up to a minute to hold, that of the
// retention up to fifteen, and a shorter retention discards messages that are
// older.
func (b *Broker) UpdateQueue(ctx context.Context, queue string, o QueueOptions) (broker.Ensured, error) {
	return b.ensure(ctx, "update queue", queue, &o, true)
}

func (b *Broker) ensure(ctx context.Context, op, queue string, o *QueueOptions, update bool) (broker.Ensured, error) {
	if err := b.ready(ctx, op, queue); err != nil {
		return broker.Ensured{}, err
	}
	q, err := b.find(queue)
	if err != nil {
		return broker.Ensured{}, sqsrules.Field("queue", err)
	}
	if err := o.check(q.fifo); err != nil {
		return broker.Ensured{}, err
	}
	admin, err := b.admin(op)
	if err != nil {
		return broker.Ensured{}, err
	}
	want, err := b.wanted(ctx, o, q.fifo)
	if err != nil {
		return broker.Ensured{}, failure(ctx, op, queue, err)
	}
	report, err := q.ensure(ctx, admin, want, update)
	if err != nil {
		return report, q.fail(ctx, op, queue, err)
	}
	return report, nil
}

func (b *Broker) admin(op string) (AdminAPI, error) {
	if admin, ok := b.client.(AdminAPI); ok {
		return admin, nil
	}
	return nil, &broker.UnsupportedError{
		Backend: backend, What: op, Why: fmt.Sprintf("the client, a %T, does not have the methods of AdminAPI", b.client),
		Instead: "an *sqs.Client",
	}
}

// check returns all that is wrong with o.
func (o *QueueOptions) check(fifo bool) error {
	errs := []error{
		secondsWithin("Visibility", o.Visibility, 0, sqsrules.MaxLease),
		secondsWithin("Delay", o.Delay, 0, sqsrules.MaxDelay),
		secondsWithin("Wait", o.Wait, 0, sqsrules.MaxWait),
	}
	if o.Retention != 0 {
		errs = append(errs, secondsWithin("Retention", o.Retention, sqsrules.MinRetention, sqsrules.MaxRetention))
	}
	if n := o.MaxMessage; n != 0 && (n < sqsrules.MinMaxSize || n > sqsrules.MaxMessage) {
		errs = append(errs, &broker.FieldError{Field: "MaxMessage", Value: strconv.Itoa(n), Limit: "1024 to 1048576"})
	}
	if n := o.MaxReceives; n < 0 || n > sqsrules.MaxReceives || n > 0 && o.DeadLetter == "" {
		errs = append(errs, &broker.FieldError{Field: "MaxReceives", Value: strconv.Itoa(n), Limit: "1 to 1000, with DeadLetter"})
	}
	scope := o.DedupScope == "" || o.DedupScope == broker.ScopeDestination || o.DedupScope == broker.ScopeKey
	if !scope || !fifo && (o.ContentBasedDedup || o.DedupScope != "") {
		errs = append(errs, &broker.FieldError{
			Field: "DedupScope", Value: string(o.DedupScope), Limit: "destination or key, on a FIFO queue",
		})
	}
	return errors.Join(errs...)
}

func secondsWithin(field string, d, least, most time.Duration) error {
	if least <= d && d <= most && d%time.Second == 0 {
		return nil
	}
	return &broker.FieldError{Field: field, Value: d.String(), Limit: fmt.Sprintf("whole seconds, %v to %v", least, most)}
}

// wanted is o in attributes.
func (b *Broker) wanted(ctx context.Context, o *QueueOptions, fifo bool) (map[string]string, error) {
	want := map[string]string{}
	set := func(name types.QueueAttributeName, given bool, value string) {
		if given {
			want[string(name)] = value
		}
	}
	inSeconds := func(name types.QueueAttributeName, d time.Duration) {
		set(name, d != 0, strconv.Itoa(int(d/time.Second)))
	}
	inSeconds(types.QueueAttributeNameVisibilityTimeout, o.Visibility)
	inSeconds(types.QueueAttributeNameDelaySeconds, o.Delay)
	inSeconds(types.QueueAttributeNameMessageRetentionPeriod, o.Retention)
	inSeconds(types.QueueAttributeNameReceiveMessageWaitTimeSeconds, o.Wait)
	set(types.QueueAttributeNameMaximumMessageSize, o.MaxMessage != 0, strconv.Itoa(o.MaxMessage))
	set(types.QueueAttributeNameFifoQueue, fifo, "true")
	set(types.QueueAttributeNameContentBasedDeduplication, o.ContentBasedDedup, "true")
	switch o.DedupScope {
	case broker.ScopeKey:
		set(types.QueueAttributeNameDeduplicationScope, true, "messageGroup")
		set(types.QueueAttributeNameFifoThroughputLimit, true, "perMessageGroupId")
	case broker.ScopeDestination:
		set(types.QueueAttributeNameDeduplicationScope, true, "queue")
		set(types.QueueAttributeNameFifoThroughputLimit, true, "perQueue") // the other needs the other scope
	}
	if o.DeadLetter != "" {
		target, err := b.arnOf(ctx, o.DeadLetter)
		if err != nil {
			return nil, err
		}
		receives := cmp.Or(o.MaxReceives, 10)
		policy, err := json.Marshal(redrivePolicy{Target: target, MaxReceives: json.Number(strconv.Itoa(receives))})
		if err != nil {
			return nil, err
		}
		set(types.QueueAttributeNameRedrivePolicy, true, string(policy))
	}
	maps.Copy(want, o.Other)
	return want, nil
}

// arnOf asks for the ARN of a queue.
func (b *Broker) arnOf(ctx context.Context, queue string) (string, error) {
	q, err := b.find(queue)
	if err != nil {
		return "", err
	}
	a, err := q.readAttributes(ctx)
	if err != nil {
		return "", err
	}
	return a.get(types.QueueAttributeNameQueueArn), nil
}

func (q *queue) ensure(ctx context.Context, admin AdminAPI, want map[string]string, update bool) (r broker.Ensured, err error) {
	if q.address.url == "" {
		q.url.Store(nil) // whatever is known of it
	}
	r.Address, err = q.resolve(ctx)
	if errors.Is(err, broker.ErrNotFound) && q.account == "" {
		created, err := admin.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &q.name, Attributes: want}, answeredInTime)
		var exists *types.QueueNameExists // made meanwhile, otherwise
		switch {
		case err == nil:
			r.Address, r.Created = *created.QueueUrl, true
			return r, wait(ctx, time.Second) // before it can be used
		case !errors.As(err, &exists):
			return r, err
		}
		if r.Address, err = q.resolve(ctx); err != nil {
			return r, err
		}
	} else if err != nil {
		return r, err
	}
	have, err := q.readAttributes(ctx)
	if err != nil {
		return r, err
	}
	r.Drift = drift(have.all, want)
	if !update || len(r.Drift) == 0 {
		return r, nil
	}
	changes := map[string]string{}
	for _, d := range r.Drift {
		changes[d.Field] = d.Want
	}
	_, err = admin.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{QueueUrl: &r.Address, Attributes: changes}, answeredInTime)
	return r, err
}

// drift compares what is wanted with what there is.
func drift(have, want map[string]string) []broker.Drift {
	var found []broker.Drift
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !sameValue(have[name], want[name]) {
			found = append(found, broker.Drift{Field: name, Want: want[name], Has: have[name]})
		}
	}
	return found
}

// sameValue compares policies by what they say: the order and the blanks in
// them are SQS's own, and a count may be a string.
func sameValue(a, b string) bool {
	if a == b {
		return true
	}
	var x, y redrivePolicy
	if json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && x.Target != "" {
		return x == y
	}
	var v, w map[string]any
	return json.Unmarshal([]byte(a), &v) == nil && json.Unmarshal([]byte(b), &w) == nil && reflect.DeepEqual(v, w)
}

// wait returns when d has passed, or with ctx's error.
func wait(ctx context.Context, d time.Duration) error {
	if sleepUntil(ctx, time.Now().Add(d)) {
		return nil
	}
	return ctx.Err()
}
