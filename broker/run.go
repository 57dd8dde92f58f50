package broker

import (
	"context"
	"errors"
	"time"
)

// run is one delivery in hand: its context, its lease, its result.
type run struct {
	scope
	consumer *consumer
	cancel   context.CancelCauseFunc

	// Guarded by the consumer's mu:
	beatAt   time.Time     // when the heartbeat is due; zero: none
	lease    time.Duration // what was left of the lease when beatAt was set
	beating  chan struct{} // closed when the Extend call in flight has returned; nil: none
	lost     bool          // the lease is lost
	settling bool          // no heartbeat any more
}

func newRun(c *consumer, d *Delivery) *run {
	ctx, cancel := context.WithCancelCause(c.base)
	return &run{
		scope:    scope{Context: ctx, sub: &c.Subscription, delivery: d},
		consumer: c,
		cancel:   cancel,
	}
}

// handled settles by what the handler returned.
func (r *run) handled(_ context.Context, d *Delivery, err error) {
	c := r.consumer
	lost := c.stopBeat(r)
	interrupted := err != nil && errors.Is(context.Cause(r), ErrDraining)
	c.mu.Lock()
	c.countResult(err)
	if c.begun && !interrupted {
		c.report.Finished++
	}
	c.mu.Unlock()
	if err != nil {
		c.tell(r, d, err)
	}

	ctx, cancel := context.WithTimeout(context.WithoutCancel(r), settleTimeout)
	defer cancel()
	switch {
	case err == nil:
		r.delete(ctx)
	case lost:
		c.clearLane(ctx, d.Key) // somebody else has the message: nothing to settle
	default:
		c.clearLane(ctx, d.Key)
		r.settleFailed(ctx, err, interrupted)
	}
	r.cancel(context.Canceled)
	c.finished(r)
}

func (r *run) delete(ctx context.Context) {
	c, d := r.consumer, r.delivery
	err := ItemError(c.receiver.Delete(ctx, d), 0)
	c.mu.Lock()
	switch {
	case err == nil:
		c.counts.Deleted++
	case errors.Is(err, ErrLeaseLost) && !r.lost:
		c.counts.LeasesLost++
	default:
		c.counts.Errors++
	}
	c.mu.Unlock()
	if err != nil {
		c.tell(ctx, d, err)
		c.clearLane(ctx, d.Key)
	}
}

// settleFailed rejects or releases a message whose handler failed.
func (r *run) settleFailed(ctx context.Context, err error, interrupted bool) {
	c, d := r.consumer, r.delivery
	if reject, ok := errors.AsType[*rejectError](err); ok && r.reject(ctx, reject) {
		return
	}
	delay := time.Duration(0)
	if retry, ok := errors.AsType[*retryError](err); ok {
		delay = retry.delay
	} else if !interrupted {
		delay = c.retryDelay(d.Attempt)
	}
	c.released(r, ItemError(c.receiver.Release(ctx, delay, d), 0))
}

// reject reports whether the message is at rest.
func (r *run) reject(ctx context.Context, reason *rejectError) bool {
	c, d := r.consumer, r.delivery
	err := ItemError(c.receiver.Reject(ctx, reason.cause.Error(), d), 0)
	c.mu.Lock()
	if err == nil {
		c.counts.Rejected++
	} else {
		c.counts.Errors++
	}
	c.mu.Unlock()
	if err != nil {
		c.tell(ctx, d, err)
	}
	return err == nil
}

// skip lets go of a delivery whose lease was lost before it could start, and
// of those behind it.
func (r *run) skip() {
	c := r.consumer
	c.clearLane(c.base, r.delivery.Key)
	c.tell(r, r.delivery, context.Cause(r))
	c.finished(r)
}
