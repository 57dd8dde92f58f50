package broker

import (
	"context"
	"errors"
	"slices"
	"time"
)

// Bounds of settling, which does not end with the handler's context.
const (
	settleTimeout  = 5 * time.Second  // minimum for one call, which may take twice as long
	settleLimit    = 30 * time.Second // for all tries, where the lease does not end earlier
	settlePauseMin = 50 * time.Millisecond
	settlePauseMax = 2 * time.Second
	deletePatience = 200 * time.Millisecond // of a delete, with a call in progress
)

// settleContext is shared by the settling calls of this moment: one context for
// many calls, since creating one costs more than the rest of a settlement.
func (c *consumer) settleContext() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.settleContextLocked()
}

func (c *consumer) settleContextLocked() context.Context {
	now := time.Now()
	if c.settleCtx == nil || now.After(c.settleUntil) {
		// The previous one ends at its deadline: calls may need it until then.
		c.settleCtx, c.settleEnd = context.WithDeadline(c.base, now.Add(2*settleTimeout))
		c.settleUntil = now.Add(settleTimeout)
	}
	return c.settleCtx
}

// tries counts the failed tries of one settlement.
type tries struct {
	made  int
	until time.Time // when to stop; set by the first
}

// again waits before the next try to settle r after err. It reports false if
// there is none: the settlement worked, cannot work, or the lease would be
// over.
func (c *consumer) again(t *tries, r *run, err error) bool {
	if err == nil || !mayPass(err) {
		return false
	}
	now := time.Now()
	if t.made == 0 {
		t.until = now.Add(settleLimit)
		if !leaseEnd(r.delivery).IsZero() && r.givesUp().Before(t.until) {
			t.until = r.givesUp()
		}
	}
	t.made++
	pause := Backoff{Min: settlePauseMin, Max: settlePauseMax}.Delay(t.made, c.chance(r.delivery))
	if !now.Add(pause).Before(t.until) {
		return false
	}
	time.Sleep(pause)
	return true
}

// settle makes a settling call for one delivery and, while the lease lasts,
// repeats it after failures that may be temporary.
func (c *consumer) settle(r *run, op func(ctx context.Context) error) error {
	var t tries
	for {
		err := op(c.settleContext())
		if !c.again(&t, r, err) {
			return err
		}
	}
}

// delete is settle for a delete.
func (c *consumer) delete(r *run) error {
	var t tries
	for {
		err := c.deleteInBatch(r)
		if !c.again(&t, r, err) {
			return err
		}
	}
}

// mayPass reports whether a failed settlement is worth retrying.
func mayPass(err error) bool {
	for _, final := range []error{ErrLeaseLost, ErrClosed, ErrInvalid, ErrNotFound, ErrDenied, errors.ErrUnsupported} {
		if errors.Is(err, final) {
			return false
		}
	}
	return true
}

// deletes collects deletes while a call is in progress.
type deletes struct {
	waiting []*run
	spare   []*run // an empty slice to collect in next
	calls   int    // in progress
}

// gathered takes the waiting deletes.
func (d *deletes) gathered() []*run {
	batch := d.waiting
	d.waiting, d.spare = d.spare, nil
	return batch
}

// deletion is a waiting delete: it waits for its result, or for its turn to
// make the call for all collected deletes.
type deletion struct {
	done  chan struct{} // closed when err or batch is set; nil: it need not wait
	batch []*run        // the deliveries to make the call for, including this one
	err   error
}

// deleteInBatch tries once to delete a message. The first delete is sent at
// once; while a call is in progress further ones collect, and are sent together
// when it returns, when they fill a batch, or when it takes too long. Each
// delete makes at most one call for the others, so a failing one does not hold
// them up.
func (c *consumer) deleteInBatch(r *run) error {
	r.deletion = deletion{}
	own := &r.deletion
	c.mu.Lock()
	c.deletes.waiting = append(c.deletes.waiting, r)
	if c.deletes.calls > 0 && (c.batch == 0 || len(c.deletes.waiting) < c.batch) {
		own.done = make(chan struct{})
		first := len(c.deletes.waiting) == 1
		c.leaveSlot(r)
		c.mu.Unlock()
		if !c.awaitTurn(r, first) {
			return own.err
		}
		c.mu.Lock()
	} else {
		c.deletes.calls++
		own.batch = c.deletes.gathered()
	}
	ctx := c.settleContextLocked()
	c.mu.Unlock()

	c.deleteAll(ctx, own.batch)

	c.mu.Lock()
	defer c.mu.Unlock()
	clear(own.batch)
	c.deletes.spare = own.batch[:0]
	n := len(c.deletes.waiting)
	if n > 0 && (c.deletes.calls == 1 || c.batch > 0 && n >= c.batch) { // otherwise a call in progress takes them
		next := c.deletes.gathered()
		next[0].deletion.batch = next // it makes the next call
		close(next[0].deletion.done)
	} else {
		c.deletes.calls--
	}
	return own.err
}

// awaitTurn waits until a delete has its result, or returns true if it is its
// turn to make the call for all collected deletes. The first of these waits no
// longer than deletePatience for a call that hangs: their leases are no longer
// renewed.
func (c *consumer) awaitTurn(r *run, first bool) bool {
	own := &r.deletion
	if !first {
		<-own.done
		return own.batch != nil
	}
	timer := time.NewTimer(deletePatience)
	defer timer.Stop()
	select {
	case <-own.done:
		return own.batch != nil
	case <-timer.C:
	}
	c.mu.Lock()
	if waiting := c.deletes.waiting; len(waiting) > 0 && waiting[0] == r {
		c.deletes.calls++
		own.batch = c.deletes.gathered()
		c.mu.Unlock()
		return true
	}
	c.mu.Unlock()
	<-own.done // another call has included it by now
	return own.batch != nil
}

// deleteAll makes the call for a batch and distributes the results.
func (c *consumer) deleteAll(ctx context.Context, batch []*run) {
	err := c.receiver.Delete(ctx, deliveries(batch)...)
	for i, r := range batch {
		r.deletion.err = ItemError(err, i)
		if r.deletion.done != nil && r.deletion.batch == nil {
			close(r.deletion.done)
		}
	}
}

// releaseUnstarted releases deliveries whose handlers have not started, last
// first, to be delivered again after delay. One whose lease is lost may be held
// by another receiver and is only let go.
func (c *consumer) releaseUnstarted(waiting []*run, delay time.Duration) {
	if len(waiting) == 0 {
		return
	}
	slices.Reverse(waiting)
	held, lost := c.stopBeats(waiting)
	for _, r := range lost {
		c.apart(func() { c.tell(r, r.delivery, context.Cause(r)) })
		c.letGoUnstarted(r)
	}
	var t tries
	for len(held) > 0 {
		held = c.releaseOnce(held, delay, &t)
	}
}

// releaseOnce makes one call, and returns the deliveries worth retrying.
func (c *consumer) releaseOnce(held []*run, delay time.Duration, t *tries) (again []*run) {
	err := c.receiver.Release(c.settleContext(), delay, deliveries(held)...)
	var failed []*run
	var failures []error
	for i, r := range held {
		if err := ItemError(err, i); err != nil && mayPass(err) {
			failed, failures = append(failed, r), append(failures, err)
		} else {
			c.gaveBack(r, err)
		}
	}
	if len(failed) == 0 || c.again(t, failed[0], failures[0]) {
		return failed
	}
	for i, r := range failed {
		c.gaveBack(r, failures[i])
	}
	return nil
}

func (c *consumer) gaveBack(r *run, err error) {
	c.apart(func() { r.released(err) })
	c.letGoUnstarted(r)
}

func (c *consumer) letGoUnstarted(r *run) {
	r.cancel(context.Canceled)
	c.mu.Lock()
	c.letGo(r)
	c.mu.Unlock()
	c.changed()
}

// deliveries returns the deliveries of runs.
func deliveries(runs []*run) []*Delivery {
	ds := make([]*Delivery, len(runs))
	for i, r := range runs {
		ds[i] = r.delivery
	}
	return ds
}
