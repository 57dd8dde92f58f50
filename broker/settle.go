package broker

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"
)

// Bounds of settling, which does not end with the handler's context.
const (
	settleTimeout  = 5 * time.Second  // at least, and at most twice that, of one call
	settleLimit    = 30 * time.Second // of all tries, where the lease does not end before
	settlePauseMin = 50 * time.Millisecond
	settlePauseMax = 2 * time.Second
)

// settleContext is what settling calls of this moment share: one context for
// many calls, since making one costs more than the rest of a settlement.
func (c *consumer) settleContext() context.Context {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.settleCtx == nil || now.After(c.settleUntil) {
		// The one before ends at its deadline: calls may need it until then.
		c.settleCtx, c.settleEnd = context.WithDeadline(c.base, now.Add(2*settleTimeout))
		c.settleUntil = now.Add(settleTimeout)
	}
	return c.settleCtx
}

// tries bounds the tries of one settlement.
type tries struct {
	limit time.Time
	made  int
}

// triesFor is for a delivery whose lease ends when it does.
func triesFor(d *Delivery) tries {
	limit := time.Now().Add(settleLimit)
	if end := leaseEnd(d); !end.IsZero() && end.Before(limit) {
		limit = end
	}
	return tries{limit: limit}
}

// another waits before the next try after err, and reports false if there is
// none: it worked, it cannot work, or the lease would be over.
func (t *tries) another(err error) bool {
	if err == nil || !mayPass(err) {
		return false
	}
	t.made++
	pause := Backoff{Min: settlePauseMin, Max: settlePauseMax}.Delay(t.made, rand.Float64())
	if !time.Now().Add(pause).Before(t.limit) {
		return false
	}
	time.Sleep(pause)
	return true
}

// settle makes a settling call for one delivery and, while the lease lasts,
// makes it again if it fails in a way that may pass.
func (c *consumer) settle(r *run, op func(ctx context.Context) error) error {
	t := triesFor(r.delivery)
	for {
		err := op(c.settleContext())
		if !t.another(err) {
			return err
		}
	}
}

// mayPass reports whether a failed settlement is worth another try.
func mayPass(err error) bool {
	for _, final := range []error{ErrLeaseLost, ErrClosed, ErrInvalid, ErrNotFound, ErrDenied, errors.ErrUnsupported} {
		if errors.Is(err, final) {
			return false
		}
	}
	return true
}

// deletes gathers deletes while one call is under way.
type deletes struct {
	waiting []*run
	spare   []*run // an empty slice to gather in next
	calls   int    // under way
}

// gathered takes what waits.
func (d *deletes) gathered() []*run {
	batch := d.waiting
	d.waiting, d.spare = d.spare, nil
	return batch
}

// deletion is one delete that waits: for its result, or for its turn to make
// the call for all that have gathered.
type deletion struct {
	done  chan struct{} // closed when err is set, or batch; nil: it need not wait
	batch []*run        // what to make the call for, this one included
	err   error
}

// deleteInBatch tries once to delete a message. The first delete goes at once;
// while a call is under way the next ones gather, and go together when it
// returns or when they fill a batch. Whoever makes a call makes it once, so that
// one that fails does not hold up the others.
func (c *consumer) deleteInBatch(ctx context.Context, r *run) error {
	r.deletion = deletion{}
	own := &r.deletion
	c.mu.Lock()
	c.deletes.waiting = append(c.deletes.waiting, r)
	if c.deletes.calls > 0 && (c.batch == 0 || len(c.deletes.waiting) < c.batch) {
		own.done = make(chan struct{})
		c.mu.Unlock()
		<-own.done
		if own.batch == nil {
			return own.err
		}
		ctx = c.settleContext() // the wait may have outlasted the other one
	} else {
		c.deletes.calls++
		own.batch = c.deletes.gathered()
		c.mu.Unlock()
	}

	c.deleteAll(ctx, own.batch)

	c.mu.Lock()
	defer c.mu.Unlock()
	clear(own.batch)
	c.deletes.spare = own.batch[:0]
	n := len(c.deletes.waiting)
	if n > 0 && (c.deletes.calls == 1 || c.batch > 0 && n >= c.batch) { // else a call that is under way takes them
		next := c.deletes.gathered()
		next[0].deletion.batch = next // the next call is its to make
		close(next[0].deletion.done)
	} else {
		c.deletes.calls--
	}
	return own.err
}

// deleteAll makes the call for a batch and hands out the results.
func (c *consumer) deleteAll(ctx context.Context, batch []*run) {
	ds := make([]*Delivery, len(batch))
	for i, r := range batch {
		ds[i] = r.delivery
	}
	err := c.receiver.Delete(ctx, ds...)
	for i, r := range batch {
		r.deletion.err = ItemError(err, i)
		if r.deletion.done != nil && r.deletion.batch == nil {
			close(r.deletion.done)
		}
	}
}

// releaseUnstarted gives deliveries back whose handlers have not started, last
// first. One whose lease is lost is somebody else's and just let go.
func (c *consumer) releaseUnstarted(waiting []*run) {
	held := make([]*run, 0, len(waiting))
	for _, r := range slices.Backward(waiting) {
		if !c.stopBeat(r) {
			held = append(held, r)
			continue
		}
		r.fate = fateAbandoned
		c.tell(r, r.delivery, context.Cause(r))
		c.letGoUnstarted(r)
	}
	if len(held) > 0 {
		c.releaseAll(held)
	}
}

// releaseAll makes one call, and another for those that failed in a way that
// may pass.
func (c *consumer) releaseAll(held []*run) {
	t := triesFor(held[0].delivery)
	for {
		ds := make([]*Delivery, len(held))
		for i, r := range held {
			ds[i] = r.delivery
		}
		err := c.receiver.Release(c.settleContext(), 0, ds...)
		var again []*run
		var failure error // of those
		for i, r := range held {
			if err := ItemError(err, i); err == nil || !mayPass(err) {
				c.released(r, err)
				c.letGoUnstarted(r)
			} else {
				again, failure = append(again, r), err
			}
		}
		if held = again; t.another(failure) {
			continue
		}
		for _, r := range held {
			c.released(r, failure)
			c.letGoUnstarted(r)
		}
		return
	}
}

func (c *consumer) letGoUnstarted(r *run) {
	r.cancel(context.Canceled)
	c.mu.Lock()
	c.letGo(r)
	c.mu.Unlock()
	c.changed()
}

// released counts a release, or tells why it failed.
func (c *consumer) released(r *run, err error) {
	r.fate = fateReleased
	if err != nil {
		r.fate = fateAbandoned
	}
	c.mu.Lock()
	if err == nil {
		c.counts.Released++
	} else {
		c.counts.Errors++
	}
	c.mu.Unlock()
	c.observe(Event{Kind: EventSettled, Delivery: r.delivery, Messages: 1, Op: "release", Err: err})
	if err != nil {
		c.tell(r, r.delivery, err)
	}
}
