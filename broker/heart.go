package broker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// minBeat keeps the retries of a failing heartbeat apart.
const minBeat = 10 * time.Millisecond

// heart is the heartbeat of a consumer: one goroutine that sleeps until a
// lease needs renewing, and one more for each Extend call in flight.
type heart struct {
	wakeAt  time.Time     // when the goroutine wakes by itself; zero: never. Guarded by Subscription.mu
	sooner  chan struct{} // holds a token when wakeAt has come nearer
	stopped chan struct{} // closed to end the goroutine
	over    chan struct{} // closed when it has ended
	calls   sync.WaitGroup
}

func newHeart() heart {
	return heart{
		sooner:  make(chan struct{}, 1),
		stopped: make(chan struct{}),
		over:    make(chan struct{}),
	}
}

func (h *heart) stop() {
	close(h.stopped)
	<-h.over
}

// beat is the heart's goroutine.
func (c *consumer) beat() {
	defer close(c.heart.over)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-c.heart.sooner:
		case <-c.heart.stopped:
			c.heart.calls.Wait()
			return
		}
		if wait, needed := c.beatOnce(time.Now()); needed {
			timer.Reset(wait)
		}
	}
}

// beatOnce renews what is due, gives up what is lost, and returns how long to
// sleep, if there is anything to wake for.
func (c *consumer) beatOnce(now time.Time) (wait time.Duration, needed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var due []*run
	c.heart.wakeAt = time.Time{}
	for r := range c.runs {
		if r.beatAt.IsZero() {
			continue
		}
		wake, end := r.beatAt, leaseEnd(r.delivery)
		switch {
		case !now.Before(end):
			c.lose(r, nil)
			continue
		case r.beating != nil:
			wake = end
		case r.beatAt.Sub(now) <= r.lease/8: // due, or so soon that one call may serve both
			due = append(due, r)
			wake = end
		}
		if c.heart.wakeAt.IsZero() || wake.Before(c.heart.wakeAt) {
			c.heart.wakeAt = wake
		}
	}
	if len(due) > 0 {
		called := make(chan struct{})
		for _, r := range due {
			r.beating = called
		}
		c.heart.calls.Go(func() { c.extend(due, called) })
	}
	return c.heart.wakeAt.Sub(now), !c.heart.wakeAt.IsZero()
}

// extend renews the leases of some deliveries in one call. It does not outlive
// the first of them to end.
func (c *consumer) extend(due []*run, called chan struct{}) {
	deadline := leaseEnd(due[0].delivery)
	ds := make([]*Delivery, len(due))
	for i, r := range due {
		ds[i] = r.delivery
		if end := leaseEnd(r.delivery); end.Before(deadline) {
			deadline = end
		}
	}
	ctx, cancel := context.WithDeadline(c.base, deadline)
	err := c.receiver.Extend(ctx, c.lease, ds...)
	cancel()

	now := time.Now()
	c.mu.Lock()
	for i, r := range due {
		r.beating = nil
		c.extended(r, ItemError(err, i), now)
	}
	c.mu.Unlock()
	close(called)
	if err != nil {
		c.tell(c.base, nil, fmt.Errorf("heartbeat: %w", err))
	}
}

// extended takes the result of one renewal. The caller holds mu.
func (c *consumer) extended(r *run, err error, now time.Time) {
	switch {
	case r.lost:
	case err == nil:
		c.counts.Extended++
		c.scheduleBeat(r, now)
	case errors.Is(err, ErrLeaseLost):
		c.lose(r, err)
	default: // try again while the lease lasts
		c.counts.Errors++
		c.scheduleBeat(r, now)
	}
}

// scheduleBeat sets when a delivery's lease is renewed next: after a third to
// a half of what is left of it. The caller holds mu.
func (c *consumer) scheduleBeat(r *run, now time.Time) {
	end := leaseEnd(r.delivery)
	if end.IsZero() || r.settling {
		return
	}
	r.lease = end.Sub(now)
	after := r.lease/3 + time.Duration(rand.Float64()*float64(r.lease/6))
	r.beatAt = now.Add(min(max(after, minBeat), r.lease))
	if h := &c.heart; h.wakeAt.IsZero() || r.beatAt.Before(h.wakeAt) {
		h.wakeAt = r.beatAt
		select {
		case h.sooner <- struct{}{}:
		default:
		}
	}
}

// lose cancels a handler whose lease has ended. The caller holds mu.
func (c *consumer) lose(r *run, cause error) {
	r.lost = true
	r.beatAt = time.Time{}
	c.counts.LeasesLost++
	if cause == nil {
		cause = fmt.Errorf("%w: it ended at %v", ErrLeaseLost, leaseEnd(r.delivery).Format(time.RFC3339))
	}
	r.cancel(cause)
}

// stopBeat ends the heartbeat of a delivery, waits for an Extend call that it
// is part of, since that would overwrite what a settlement sets, and reports
// whether the lease is lost.
func (c *consumer) stopBeat(r *run) (lost bool) {
	c.mu.Lock()
	r.beatAt = time.Time{}
	r.settling = true
	beating := r.beating
	c.mu.Unlock()
	if beating != nil {
		<-beating
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return r.lost
}
