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
	settleTimeout  = 5 * time.Second  // of one call
	settleLimit    = 30 * time.Second // of all tries, where the lease does not end before
	settlePauseMin = 50 * time.Millisecond
	settlePauseMax = 2 * time.Second
)

// settle makes a settling call for one delivery and, while the lease lasts,
// makes it again if it fails in a way that may pass.
func (c *consumer) settle(r *run, op func(ctx context.Context) error) error {
	limit := time.Now().Add(settleLimit)
	if end := leaseEnd(r.delivery); !end.IsZero() && end.Before(limit) {
		limit = end
	}
	base := context.WithoutCancel(r)
	for try := 1; ; try++ {
		ctx, cancel := context.WithTimeout(base, settleTimeout)
		err := op(ctx)
		cancel()
		pause := Backoff{Min: settlePauseMin, Max: settlePauseMax}.Delay(try, rand.Float64())
		if err == nil || !mayPass(err) || !time.Now().Add(pause).Before(limit) {
			return err
		}
		time.Sleep(pause)
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
	waiting []*deletion
	calls   int // under way
}

// gathered takes what waits.
func (d *deletes) gathered() []*deletion {
	batch := d.waiting
	d.waiting = nil
	return batch
}

// deletion is one delete that waits: for its result, or for its turn to make
// the call for all that have gathered.
type deletion struct {
	run   *run
	done  chan struct{} // closed when err is set, or batch
	batch []*deletion   // what to make the call for, this one included
	err   error
}

// deleteInBatch deletes one message. The first delete goes at once; while a
// call is under way the next ones gather, and go together when it returns or
// when they fill a batch.
func (c *consumer) deleteInBatch(r *run) error {
	own := &deletion{run: r}
	c.mu.Lock()
	c.deletes.waiting = append(c.deletes.waiting, own)
	if c.deletes.calls > 0 && (c.batch == 0 || len(c.deletes.waiting) < c.batch) {
		own.done = make(chan struct{})
		c.mu.Unlock()
		<-own.done
		if own.batch == nil {
			return own.err
		}
	} else {
		c.deletes.calls++
		own.batch = c.deletes.gathered()
		c.mu.Unlock()
	}

	c.deleteAll(own.batch)

	c.mu.Lock()
	defer c.mu.Unlock()
	if next := c.deletes.gathered(); next != nil {
		next[0].batch = next // the next call is its to make
		close(next[0].done)
	} else {
		c.deletes.calls--
	}
	return own.err
}

// deleteAll makes the call for a batch, and again for those that failed in a
// way that may pass, and hands out the results.
func (c *consumer) deleteAll(batch []*deletion) {
	pending := batch
	ds := make([]*Delivery, 0, len(batch))
	// The lease that ends last bounds the tries; those whose lease ends before
	// get the backend's word on that.
	last := batch[0].run
	for _, d := range batch {
		if leaseEnd(d.run.delivery).After(leaseEnd(last.delivery)) {
			last = d.run
		}
	}
	_ = c.settle(last, func(ctx context.Context) error {
		ds = ds[:0]
		for _, d := range pending {
			ds = append(ds, d.run.delivery)
		}
		err := c.receiver.Delete(ctx, ds...)
		var again []*deletion
		var worst error
		for i, d := range pending {
			d.err = ItemError(err, i)
			if d.err != nil && mayPass(d.err) {
				again = append(again, d)
				worst = d.err
			}
		}
		pending = again
		return worst
	})
	for _, d := range batch {
		if d.done != nil && d.batch == nil {
			close(d.done)
		}
	}
}

// releaseUnstarted gives deliveries back whose handlers have not started, last
// first.
func (c *consumer) releaseUnstarted(ctx context.Context, waiting []*run) {
	if len(waiting) == 0 {
		return
	}
	slices.Reverse(waiting)
	ds := make([]*Delivery, len(waiting))
	for i, r := range waiting {
		c.stopBeat(r)
		ds[i] = r.delivery
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	err := c.receiver.Release(ctx, 0, ds...)
	for i, r := range waiting {
		c.released(r, ItemError(err, i))
		r.cancel(context.Canceled)
		c.mu.Lock()
		delete(c.runs, r)
		c.leaveLocked()
		c.mu.Unlock()
	}
	c.changed()
}

// released counts a release, or tells why it failed.
func (c *consumer) released(r *run, err error) {
	c.mu.Lock()
	if err == nil {
		c.counts.Released++
		if c.begun {
			c.report.Released++
		}
	} else {
		c.counts.Errors++
	}
	c.mu.Unlock()
	c.observe(Event{Kind: EventSettled, Delivery: r.delivery, Messages: 1, Op: "release", Err: err})
	if err != nil {
		c.tell(r, r.delivery, err)
	}
}
