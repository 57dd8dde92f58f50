package sqsbroker

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// Ages that attributes may have, for those who ask.
const (
	anyAge = time.Duration(math.MaxInt64)
	// fresh is how long AWS takes at most to apply a change of an attribute
	// (API SetQueueAttributes): looking more often would show no more.
	fresh = time.Minute
)

// queue is one SQS queue that the broker was asked for, with what is known of
// it. It is forgotten when SQS says that there is no such queue.
type queue struct {
	broker *Broker
	address
	fifo bool

	url      atomic.Pointer[string]
	urls     flight[string]
	seen     atomic.Pointer[attributes]
	lookings flight[*attributes]
	lost     lostAttempts
}

// find returns the queue of a name in Options.Queues, or a queue's own name,
// URL or ARN. It asks nobody.
func (b *Broker) find(subject string) (*queue, error) {
	at, named := b.names[subject]
	if !named {
		var err error
		if at, err = b.address(subject); err != nil {
			return nil, err
		}
	}
	return b.at(at), nil
}

// at returns the queue at an address.
func (b *Broker) at(at address) *queue {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.queues[at]
	if q == nil {
		q = &queue{broker: b, address: at, fifo: sqsrules.IsFIFO(at.name)}
		if at.url != "" {
			q.url.Store(&at.url)
		}
		b.queues[at] = q
	}
	return q
}

// forget drops what is known of a queue, so that the next call looks anew.
func (q *queue) forget() {
	q.broker.mu.Lock()
	defer q.broker.mu.Unlock()
	if q.broker.queues[q.address] == q {
		delete(q.broker.queues, q.address)
	}
}

// fail maps an error of a call for q, and forgets q if it is gone.
func (q *queue) fail(ctx context.Context, op, subject string, err error) *broker.Error {
	e := failure(ctx, op, subject, err)
	if errors.Is(e, broker.ErrNotFound) {
		q.forget()
	}
	return e
}

// resolve returns the queue's URL: the one given, or what GetQueueUrl says,
// once.
func (q *queue) resolve(ctx context.Context) (string, error) {
	if known := q.url.Load(); known != nil {
		return *known, nil
	}
	return q.urls.do(ctx, q.fetchURL)
}

func (q *queue) fetchURL(ctx context.Context) (string, error) {
	if known := q.url.Load(); known != nil { // of a look-up that has just ended
		return *known, nil
	}
	in := &sqs.GetQueueUrlInput{QueueName: &q.name}
	if q.account != "" {
		in.QueueOwnerAWSAccountId = &q.account
	}
	out, err := q.broker.client.GetQueueUrl(ctx, in, answeredInTime)
	if err != nil {
		return "", q.fail(ctx, "look up", q.name, err)
	}
	if out.QueueUrl == nil {
		return "", failure(ctx, "look up", q.name, errors.New("GetQueueUrl gave no URL"))
	}
	q.url.Store(out.QueueUrl)
	return *out.QueueUrl, nil
}

// refreshTime is how long a caller waits for attributes to be read again that
// are known.
const refreshTime = time.Second

// look returns the queue's URL and its attributes, read at most maxAge ago
// where that is possible: attributes that may not be read are the documented
// defaults, and a reading that fails, or takes long, leaves the earlier one
// standing.
func (q *queue) look(ctx context.Context, maxAge time.Duration) (string, *attributes, error) {
	url, err := q.resolve(ctx)
	if err != nil {
		return "", nil, err
	}
	before := q.seen.Load()
	if before.youngerThan(maxAge) {
		return url, before, nil
	}
	within := ctx
	if before != nil {
		var cancel context.CancelFunc
		within, cancel = context.WithTimeout(ctx, refreshTime)
		defer cancel()
	}
	a, err := q.lookings.do(within, func(ctx context.Context) (*attributes, error) {
		if now := q.seen.Load(); now.youngerThan(maxAge) { // a look that has just ended
			return now, nil
		}
		return q.fetchAttributes(ctx)
	})
	switch {
	case err == nil:
		return url, a, nil
	case before != nil && ctx.Err() == nil && !errors.Is(err, broker.ErrNotFound):
		again := *before
		again.readAt = time.Now()
		q.seen.Store(&again)
		return url, &again, nil
	}
	return "", nil, err
}

// doubt has the attributes read anew by whoever looks at them next, at whatever
// age. If that fails, the earlier ones go on to stand.
func (q *queue) doubt() {
	if a := q.seen.Load(); a != nil {
		old := *a
		old.readAt = time.Time{} // since when more than anyAge has passed
		q.seen.CompareAndSwap(a, &old)
	}
}

func (q *queue) fetchAttributes(ctx context.Context) (*attributes, error) {
	a, err := q.readAttributes(ctx)
	if permissionMissing(err) {
		a, err = defaultAttributes(), nil
	}
	if err == nil {
		q.seen.Store(a)
	}
	return a, err
}

// readAttributes makes one GetQueueAttributes call.
func (q *queue) readAttributes(ctx context.Context) (*attributes, error) {
	url, err := q.resolve(ctx)
	if err != nil {
		return nil, err
	}
	out, err := q.broker.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl:       &url,
		AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	}, answeredInTime)
	if err != nil {
		return nil, q.fail(ctx, "look up", q.name, err)
	}
	return parseAttributes(out.Attributes), nil
}
