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
	received time.Time

	// Guarded by the consumer's mu:
	beatAt   time.Time     // when the heartbeat is due; zero: none
	renewed  time.Duration // the lease as of the last renewal
	lease    time.Duration // what was left of the lease when beatAt was set
	beating  chan struct{} // closed when the Extend call in flight has returned; nil: none
	lost     bool          // the lease is lost
	settling bool          // no heartbeat any more

	deletion deletion
	fate     fate
	failed   bool // what is behind it in its lane goes back
}

// fate is what becomes of a delivery, as a drain reports it.
type fate uint8

const (
	fateFinished  fate = iota // its handler returned, or it was put to rest
	fateReleased              // it went back without that
	fateAbandoned             // it was left
)

func newRun(c *consumer, d *Delivery, now time.Time) *run {
	ctx, cancel := context.WithCancelCause(c.base)
	return &run{
		scope:    scope{Context: ctx, sub: &c.Subscription, delivery: d},
		consumer: c,
		cancel:   cancel,
		received: now,
	}
}

// handled settles by what the handler returned.
func (r *run) handled(_ context.Context, d *Delivery, err error) {
	c := r.consumer
	defer c.finished(r) // also if a hook ends the goroutine: no slot is lost
	defer r.cancel(context.Canceled)
	lost := c.stopBeat(r)
	interrupted := err != nil && errors.Is(context.Cause(r), ErrDraining)
	c.mu.Lock()
	c.countResult(err)
	if !interrupted {
		c.circuit.result(time.Now(), err)
	}
	c.mu.Unlock()
	c.observe(Event{Kind: EventHandled, Delivery: d, Messages: 1, Took: time.Since(r.received), Err: err})
	if err != nil {
		c.tell(r, d, err)
	}
	switch {
	case err == nil:
		r.delete()
	case lost:
		c.clearLane(r) // somebody else has the message: nothing to settle
	default:
		c.clearLane(r)
		r.settleFailed(err, interrupted)
	}
	if !interrupted {
		r.fate = fateFinished
	}
}

// delete settles a message whose handler succeeded.
func (r *run) delete() {
	c, d := r.consumer, r.delivery
	err := c.settle(r, func(ctx context.Context) error { return c.deleteInBatch(ctx, r) })
	c.mu.Lock()
	switch {
	case err == nil:
		c.counts.Deleted++
	case errors.Is(err, ErrLeaseLost):
		r.countLost()
	default:
		c.counts.Errors++
		if end := leaseEnd(d); !end.IsZero() && !time.Now().Before(end) {
			r.countLost()
		}
	}
	c.mu.Unlock()
	c.observe(Event{Kind: EventSettled, Delivery: d, Messages: 1, Op: "delete", Err: err})
	if err != nil {
		c.tell(r, d, err)
		c.clearLane(r)
	}
}

// countLost counts the lease as lost, unless it is counted. The caller holds
// mu.
func (r *run) countLost() {
	if !r.lost {
		r.lost = true
		r.consumer.counts.LeasesLost++
	}
}

// settleFailed rejects or releases a message whose handler failed.
func (r *run) settleFailed(err error, interrupted bool) {
	c, d := r.consumer, r.delivery
	reject, rejected := errors.AsType[*RejectError](err)
	if !rejected && !interrupted && c.attempts > 0 && d.Attempt >= c.attempts {
		reject, rejected = &RejectError{Cause: errors.Join(errAttempts, err)}, true
	}
	if rejected && r.reject(reject) {
		return
	}
	delay := time.Duration(0)
	if retry, ok := errors.AsType[*RetryError](err); ok {
		delay = retry.Delay
	} else if !interrupted {
		delay = c.retryDelay(d.Attempt)
	}
	c.released(r, c.settle(r, func(ctx context.Context) error {
		return ItemError(c.receiver.Release(ctx, delay, d), 0)
	}))
}

// reject reports whether the message is at rest.
func (r *run) reject(reason *RejectError) bool {
	c, d := r.consumer, r.delivery
	err := c.settle(r, func(ctx context.Context) error {
		return ItemError(c.receiver.Reject(ctx, reason.Cause.Error(), d), 0)
	})
	c.mu.Lock()
	if err == nil {
		c.counts.Rejected++
	} else {
		c.counts.Errors++
	}
	c.mu.Unlock()
	c.observe(Event{Kind: EventSettled, Delivery: d, Messages: 1, Op: "reject", Err: err})
	if err != nil {
		c.tell(r, d, err)
	}
	return err == nil
}

// exhausted puts a delivery to rest that has had its attempts already.
func (r *run) exhausted() {
	c := r.consumer
	defer c.finished(r)
	defer r.cancel(context.Canceled)
	lost := c.stopBeat(r)
	c.clearLane(r)
	if lost {
		r.fate = fateAbandoned
		return
	}
	r.settleFailed(Reject(errAttempts), false)
}

// skip lets go of a delivery whose lease was lost before it could start, and
// of those behind it.
func (r *run) skip() {
	c := r.consumer
	defer c.finished(r)
	c.clearLane(r)
	r.fate = fateAbandoned
	c.tell(r, r.delivery, context.Cause(r))
}
