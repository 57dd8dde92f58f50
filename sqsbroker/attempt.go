package sqsbroker

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/candidmq/candidmq/broker"
)

// attempt is a receive on a FIFO queue, by its ReceiveRequestAttemptId: one
// whose answer was lost gets the same messages when it is made again, which
// otherwise keep their groups blocked until their visibility timeouts end (API
// ReceiveMessage). The AWS client's own tries have the same id.
type attempt struct {
	id      string
	limit   int
	lease   time.Duration
	began   time.Time // of its first call
	again   bool      // its answer was lost before
	expires time.Time // if so
}

const (
	// attemptWindow is how long SQS knows an id (API ReceiveMessage).
	attemptWindow = 5 * time.Minute
	// maxLost is how many attempts are kept at most, for one queue.
	maxLost = 16
)

// lostAttempts are those whose answers were lost. The zero value is empty.
type lostAttempts struct {
	mu  sync.Mutex
	all []attempt // oldest first
}

// take returns an attempt that p may make again, or a new one.
func (l *lostAttempts) take(p *poll) attempt {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = slices.DeleteFunc(l.all, func(a attempt) bool { return !now.Before(a.expires) })
	for i, a := range l.all {
		if a.limit <= p.limit && a.lease == p.lease {
			l.all = slices.Delete(l.all, i, i+1)
			return a
		}
	}
	return newAttempt(p)
}

func newAttempt(p *poll) attempt {
	return attempt{id: rand.Text(), limit: p.limit, lease: p.lease, began: time.Now()}
}

// keep is for an attempt whose answer was lost. SQS may have given it messages as
// late as just now, and knows them by its id for as long as their lease: a long
// poll waits before that.
func (l *lostAttempts) keep(a attempt) {
	if !a.again {
		a.again, a.expires = true, time.Now().Add(min(a.lease, attemptWindow))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.all) == maxLost {
		l.all = slices.Delete(l.all, 0, 1)
	}
	l.all = append(l.all, a)
}

// inOrder is a receive on a FIFO queue. A throttled one is made again with a
// new id, since SQS refuses the old one then.
func (p *poll) inOrder(ctx context.Context, q *queue, in *sqs.ReceiveMessageInput) (*sqs.ReceiveMessageOutput, error) {
	a := q.lost.take(p)
	for tries := 1; ; {
		p.began = a.began
		in.ReceiveRequestAttemptId = aws.String(a.id)
		out, err := q.broker.client.ReceiveMessage(ctx, in, throttlesFail, answeredWithin(p.wait+answerTime))
		if err == nil {
			return out, nil
		}
		switch kind := failure(ctx, p.op, p.subject, err).Kind; {
		case errors.Is(kind, broker.ErrThrottled):
			if !pauseAfter(ctx, tries) {
				return nil, err
			}
			tries++
		case a.again && errors.Is(kind, broker.ErrInvalid): // its messages have been dealt with
		default:
			if mayHaveTakenEffect(err) && !checksumFailed(err) {
				q.lost.keep(a)
			}
			return nil, err
		}
		a = newAttempt(p)
	}
}

// throttlesFail keeps the AWS client from trying a throttled call again.
func throttlesFail(o *sqs.Options) {
	if inner, ok := o.Retryer.(aws.RetryerV2); ok {
		o.Retryer = unlessThrottled{inner}
	}
}

type unlessThrottled struct{ aws.RetryerV2 }

// IsErrorRetryable is asked after each failed try.
func (u unlessThrottled) IsErrorRetryable(err error) bool {
	return !errors.Is(classify(err).kind, broker.ErrThrottled) && u.RetryerV2.IsErrorRetryable(err)
}
