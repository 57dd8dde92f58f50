package broker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// run is one delivery in hand: its context, its lease, its result.
type run struct {
	scope
	consumer *consumer
	cancel   context.CancelCauseFunc
	received time.Time
	waited   time.Duration // from then until it started
	deletion deletion
	next     *run // started in its place when it ended
	fate     fate

	renewable bool // the handle reports when the lease ends

	// Set as it starts:
	late, exhausted bool // its lease is lost, or its attempts are used up
	untold          bool // its lease was lost just then, and this is not yet reported

	// Guarded by the consumer's mu:
	before, after *run          // in hand
	behind        []*run        // those of its key that wait for it, if it is the first of them
	cleared       chan struct{} // closed when a drain has released those behind it; nil: none
	beatAt        time.Time     // when the heartbeat is due; zero: none
	renewed       time.Duration // the lease as of the last renewal
	lease         time.Duration // what was left of the lease when beatAt was set
	beating       chan struct{} // closed when the Extend call in flight has returned; nil: none
	slotless      bool          // it has left its slot while its delete waits
	rests         bool          // it was deleted or rejected: those behind it may start
	lost          bool          // the lease is lost
	settling      bool          // no further heartbeat
}

// fate is the outcome of a delivery, as a drain reports it.
type fate uint8

const (
	fateAbandoned fate = iota // it was left behind
	fateReleased              // it was released, its handler not run or interrupted
	fateFinished              // its handler returned, or it was rejected
)

func newRun(c *consumer, d *Delivery, now time.Time) *run {
	ctx, cancel := context.WithCancelCause(c.base)
	_, renewable := d.Handle.(Leased)
	return &run{
		scope:     scope{Context: ctx, sub: &c.Subscription, delivery: d},
		consumer:  c,
		cancel:    cancel,
		received:  now,
		renewable: renewable,
	}
}

// handled settles by the handler's result.
func (r *run) handled(_ context.Context, d *Delivery, err error) {
	c := r.consumer
	defer c.finished(r) // even if a hook ends the goroutine: no slot is lost
	defer r.cancel(context.Canceled)
	interrupted := err != nil && errors.Is(context.Cause(r), ErrDraining)
	if !interrupted {
		r.fate = fateFinished
	}
	c.mu.Lock()
	if d.Key != "" {
		c.noteHandlerTime(time.Since(r.received) - r.waited)
	}
	c.countResult(err)
	if !interrupted {
		c.circuit.result(err)
	}
	beating, lost := c.stopBeatLocked(r), r.lost
	c.mu.Unlock()
	if beating != nil {
		lost = c.awaitBeat(r, beating)
	}
	if c.observer != nil {
		c.observe(Event{Kind: EventHandled, Delivery: d, Messages: 1, Took: time.Since(r.received), Err: err})
	}
	if err != nil {
		c.tell(r, d, err)
	}
	switch {
	case err == nil:
		r.settled("delete", c.delete(r), &c.counts.Deleted)
	case !lost: // otherwise another receiver may hold the message: nothing to settle
		r.settleFailed(err, interrupted)
	}
}

// settleFailed rejects or releases a message whose handler failed. The waiting
// messages of its key are released before it.
func (r *run) settleFailed(err error, interrupted bool) {
	c, d := r.consumer, r.delivery
	reject, rejected := errors.AsType[*RejectError](err)
	if !rejected && !interrupted && c.lastAttempt(d) {
		reject, rejected = &RejectError{Cause: errors.Join(errAttempts, err)}, true
	}
	if rejected && r.reject(reject) {
		return
	}
	delay := time.Duration(0)
	if retry, ok := errors.AsType[*RetryError](err); ok {
		delay = retry.Delay
	} else if !interrupted {
		delay = c.backoff.Delay(d.Attempt, c.chance(d))
	}
	if interrupted {
		c.clearLane(r, 0)
	} else {
		c.clearLane(r, r.comesAgain(delay)+laneGap)
	}
	why := &c.counts.Retried
	if interrupted {
		why = &c.counts.Interrupted
	}
	r.released(c.settle(r, func(ctx context.Context) error {
		return ItemError(c.receiver.Release(ctx, delay, d), 0)
	}), why)
}

// comesAgain is when to expect a message again that is about to be released
// with a delay, for those behind it, which are released first. A backend may
// refuse a long delay (SQS: above 12 hours); the message then arrives again
// when its lease ends. Where the backend accepts it, those behind it wait for
// it at the destination.
func (r *run) comesAgain(delay time.Duration) time.Duration {
	if delay <= longDelay {
		return delay
	}
	if end := leaseEnd(r.delivery); !end.IsZero() {
		return min(max(time.Until(end), 0), longDelay)
	}
	return longDelay
}

// reject reports whether that settles the message: it was rejected, or another
// receiver may hold it.
func (r *run) reject(reason *RejectError) bool {
	c, d := r.consumer, r.delivery
	err := c.settle(r, func(ctx context.Context) error {
		return ItemError(c.receiver.Reject(ctx, fmt.Sprint(reason.Cause), d), 0)
	})
	if err == nil {
		r.fate = fateFinished
	}
	r.settled("reject", err, &c.counts.Rejected)
	return err == nil || errors.Is(err, ErrLeaseLost)
}

// released records the result of a release, and counts it as such and in
// counts.
func (r *run) released(err error, counts ...*uint64) {
	if err == nil && r.fate != fateFinished {
		r.fate = fateReleased
	}
	r.settled("release", err, append(counts, &r.consumer.counts.Released)...)
}

// settled counts a settlement that worked and reports its result.
func (r *run) settled(op string, err error, counts ...*uint64) {
	c, d := r.consumer, r.delivery
	refused := errors.Is(err, ErrLeaseLost)
	c.mu.Lock()
	switch {
	case err == nil:
		for _, n := range counts {
			*n++
		}
		r.rests = op != "release"
	case !refused:
		c.counts.Errors++
	}
	lost := err != nil && !r.lost && (refused || r.over(time.Now()))
	if lost {
		r.lost = true
		c.counts.LeasesLost++
	}
	c.mu.Unlock()
	c.observe(Event{Kind: EventSettled, Delivery: d, Messages: 1, Op: op, Err: err})
	if lost {
		c.tellLost(r, err)
	}
	if err != nil {
		c.tell(r, d, err)
	}
}

// over reports whether the lease has ended.
func (r *run) over(now time.Time) bool {
	end := leaseEnd(r.delivery)
	return !end.IsZero() && !now.Before(end)
}

// takeNext returns the run that was started in its place, and clears it:
// otherwise whoever keeps a handler's context would keep everything that the
// goroutine handles afterwards.
func (r *run) takeNext() *run {
	if r == nil {
		return nil
	}
	next := r.next
	r.next = nil
	return next
}

// handle runs the handler and settles by its result, if the handler may run.
func (r *run) handle() {
	switch {
	case r.late:
		r.skip()
	case r.exhausted:
		r.rest()
	default:
		call(r, r.consumer.handler, r.delivery, r)
	}
}

// rest rejects a delivery whose attempts are already used up.
func (r *run) rest() {
	c := r.consumer
	defer c.finished(r)
	defer r.cancel(context.Canceled)
	if !c.stopBeat(r) {
		r.settleFailed(Reject(errAttempts), false)
	}
}

// skip lets go of a delivery whose lease was lost before it could start;
// finished releases those behind it.
func (r *run) skip() {
	c := r.consumer
	defer c.finished(r)
	cause := context.Cause(r)
	if r.untold {
		c.tellLost(r, cause)
	}
	c.tell(r, r.delivery, cause)
}
