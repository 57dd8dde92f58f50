package sqsbroker

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/coalesce"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// traffic is the calls to one queue that concurrent callers share.
type traffic struct {
	sends   *coalesce.Calls[*parcel]
	deletes *coalesce.Calls[*settling]
	changes *coalesce.Calls[*settling] // of the visibility timeout
}

const (
	// maxInFlight is how many calls of a kind may be in flight to one queue:
	// enough for 640 concurrent callers, few enough to keep their connections.
	maxInFlight = 64
	// patience is how long a call that is late may hold others up. It is well
	// above what SQS takes to answer, so that only a call that hangs or is
	// being retried costs calls that are less than full.
	patience = 200 * time.Millisecond
)

// to returns the traffic to a queue, by its URL. It outlives what is known of
// the queue. Names, ARNs and URLs of the queue share it where they come to the same
// URL: one that is given with another host does not, and has calls of its own.
func (b *Broker) to(url string) *traffic {
	b.mu.Lock()
	defer b.mu.Unlock()
	t := b.traffic[url]
	if t == nil {
		t = b.newTraffic(url)
		b.traffic[url] = t
	}
	return t
}

func (b *Broker) newTraffic(url string) *traffic {
	limits := coalesce.Limits{Count: sqsrules.MaxBatch, InFlight: maxInFlight, Patience: patience}
	sends := limits
	sends.Size = sqsrules.MaxBatchSize
	sends.Linger = uploadTime + answerTime
	settle := func(ctx context.Context, call []*settling) { b.settleCall(ctx, url, call) }
	return &traffic{
		sends: coalesce.New(sends, func(ctx context.Context, call []*parcel) {
			b.send(ctx, url, call)
		}),
		deletes: coalesce.New(limits, settle),
		changes: coalesce.New(limits, settle),
	}
}

// closeTraffic refuses further shared calls and waits for those in flight,
// within ctx.
func (b *Broker) closeTraffic(ctx context.Context) error {
	b.mu.Lock()
	all := slices.Collect(maps.Values(b.traffic))
	b.mu.Unlock()
	errs := make([]error, len(all))
	var closing sync.WaitGroup
	for i, t := range all {
		closing.Go(func() {
			errs[i] = errors.Join(t.sends.Close(ctx), t.deletes.Close(ctx), t.changes.Close(ctx))
		})
	}
	closing.Wait()
	return errors.Join(errs...)
}

// over is why no further call is to be made, nil if there is no reason: ctx has
// ended, or the broker is closed.
func (b *Broker) over(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.closed.Err() != nil {
		return coalesce.ErrClosed
	}
	return nil
}

// notCalled is the error of a request that no call has answered: its caller's
// context ended, the broker was closed, or what it waited for failed.
func notCalled(op, subject string, err error) *broker.Error {
	e := &broker.Error{Backend: backend, Op: op, Subject: subject, Err: err}
	switch {
	case errors.Is(err, coalesce.ErrClosed):
		e.Kind, e.Err = broker.ErrClosed, nil
	case errors.Is(err, coalesce.ErrBehind):
		e.Kind, e.Err, e.Retryable = broker.ErrSkipped, nil, true
	case errors.Is(err, coalesce.ErrAbandoned):
		e.OutcomeUnknown = true
	}
	return e
}

// cutOff is the error of a request whose call was cancelled though its caller
// was not: by Close, when it could wait no longer.
func cutOff(ctx context.Context, err error) error {
	e, ok := errors.AsType[*broker.Error](err)
	if !ok || ctx.Err() != nil || !errors.Is(err, context.Canceled) {
		return err
	}
	closed := *e
	closed.Kind = broker.ErrClosed
	return &closed
}

// entryTries is how often an entry is sent that SQS itself failed, rather than
// its sender; the AWS client retries calls that fail as a whole.
const entryTries = 5

// entryPause keeps the tries of an entry apart.
var entryPause = broker.Backoff{Min: 50 * time.Millisecond, Max: time.Second}

// pauseAfter waits before another try. It reports false if there is to be none:
// tries are used up, or ctx ends before.
func pauseAfter(ctx context.Context, tries int) bool {
	if tries >= entryTries {
		return false
	}
	return sleepUntil(ctx, time.Now().Add(entryPause.Delay(tries, rand.Float64())))
}

// sleepUntil reports whether ctx lasted until then.
func sleepUntil(ctx context.Context, due time.Time) bool {
	timer := time.NewTimer(time.Until(due))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
