package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// beatTimeout is the longest that one call may take: a settlement may wait for
// it.
const beatTimeout = 5 * time.Second

// shortBeat is the minimum for a call, if the lease lasts that long: with less,
// a slow server would answer no call in time.
const shortBeat = time.Second

// beatsApart spaces the retries of a failing heartbeat: a lease has room for at
// most this many.
const beatsApart = 20

// giveUpEarly is the fraction of a lease before its end at which the handler is
// cancelled if the lease could not be renewed: the server's lease ends earlier
// by a network trip, and the handler must stop before another receiver begins.
const giveUpEarly = 50

// heart is the heartbeat of a consumer: one goroutine that sleeps until a lease
// needs renewing, and one more for each Extend call in flight.
type heart struct {
	wakeAt  time.Time     // when the goroutine wakes by itself; zero: never. Guarded by Subscription.mu
	sooner  chan struct{} // holds a token when wakeAt has moved closer
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

// beatOnce renews leases that are due, gives up those that are lost, and
// returns how long to sleep, if there is anything to wake for.
func (c *consumer) beatOnce(now time.Time) (wait time.Duration, needed bool) {
	var due, lost []*run
	c.mu.Lock()
	c.heart.wakeAt = time.Time{}
	for r := range c.hand.all() {
		if r.beatAt.IsZero() {
			continue
		}
		wake, giveUp := r.beatAt, r.givesUp()
		switch {
		case !now.Before(giveUp):
			c.loseLocked(r, notRenewed(r))
			lost = append(lost, r)
			continue
		case r.beating != nil:
			wake = giveUp
		case r.renewable && r.beatAt.Sub(now) <= r.lease/8: // due, or so soon that one call may serve both
			due = append(due, r)
			wake = giveUp
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
	wake := c.heart.wakeAt
	c.mu.Unlock()
	for _, r := range lost {
		c.heart.calls.Go(func() { c.tellLost(r, notRenewed(r)) }) // a slow hook must not delay heartbeats
	}
	return wake.Sub(now), !wake.IsZero()
}

// extend renews the leases of some deliveries in one call. A call that hangs is
// abandoned after half of the time until the first of their leases is given up,
// to leave time for another try; but if that is short, a slow server may use
// all of it.
func (c *consumer) extend(due []*run, called chan struct{}) {
	first := due[0].givesUp()
	for _, r := range due {
		if end := r.givesUp(); end.Before(first) {
			first = end
		}
	}
	left := time.Until(first)
	ctx, cancel := context.WithTimeout(c.base, min(max(left/2, min(left, shortBeat)), beatTimeout))
	err := c.receiver.Extend(ctx, c.lease, deliveries(due)...)
	cancel()

	now := time.Now()
	lost := make([]bool, len(due))
	c.mu.Lock()
	for i, r := range due {
		r.beating = nil
		err := ItemError(err, i)
		if !r.lost && errors.Is(err, ErrLeaseLost) {
			c.loseLocked(r, err)
			lost[i] = true
		} else if !r.lost {
			c.extended(r, err, now)
		}
	}
	c.mu.Unlock()
	close(called)
	c.observe(Event{Kind: EventExtended, Messages: len(due), Err: err})
	for i, r := range due {
		err := ItemError(err, i)
		if lost[i] {
			c.tellLost(r, err)
		}
		if err != nil {
			c.tell(r, r.delivery, fmt.Errorf("heartbeat: %w", err))
		}
	}
}

// extended handles the result of a renewal; a failed one is retried while the
// lease lasts. The caller holds mu.
func (c *consumer) extended(r *run, err error, now time.Time) {
	if err == nil {
		c.counts.Extended++
	} else {
		c.counts.Errors++
	}
	c.scheduleBeat(r, now)
}

// givesUp is when a lease that could not be renewed counts as lost.
func (r *run) givesUp() time.Time { return leaseEnd(r.delivery).Add(-r.renewed / giveUpEarly) }

func notRenewed(r *run) error {
	return fmt.Errorf("%w: it could not be renewed and ends at %v", ErrLeaseLost, leaseEnd(r.delivery).Format(time.RFC3339))
}

func errOver(r *run) error {
	return fmt.Errorf("%w: it ended before the handler could start, at %v", ErrLeaseLost, leaseEnd(r.delivery).Format(time.RFC3339))
}

// loseLocked records that a lease is lost and cancels its handler. The caller
// holds mu, and calls tellLost afterwards.
func (c *consumer) loseLocked(r *run, cause error) {
	r.lost = true
	r.cancel(cause)
	r.beatAt = time.Time{}
	c.counts.LeasesLost++
}

func (c *consumer) tellLost(r *run, cause error) {
	c.observe(Event{Kind: EventLeaseLost, Delivery: r.delivery, Messages: 1, Err: cause})
}

// scheduleBeat sets when a delivery's lease is renewed next: after a third to a
// half of what is left of it; or when it is given up, if the handle cannot
// report the end of a renewed lease. The caller holds mu.
func (c *consumer) scheduleBeat(r *run, now time.Time) {
	end := leaseEnd(r.delivery)
	if end.IsZero() || r.settling {
		return
	}
	r.lease = end.Sub(now)
	r.renewed = max(r.renewed, r.lease)
	after := r.lease - r.renewed/giveUpEarly
	if r.renewable {
		third := r.lease/3 + time.Duration(c.chance(r.delivery)*float64(r.lease/6))
		after = min(max(third, r.renewed/beatsApart), after)
	}
	r.beatAt = now.Add(after)
	if h := &c.heart; h.wakeAt.IsZero() || r.beatAt.Before(h.wakeAt) {
		h.wakeAt = r.beatAt
		select {
		case h.sooner <- struct{}{}:
		default:
		}
	}
}

// stopBeat ends the heartbeat of a delivery and reports whether the lease is
// lost. It waits for an Extend call that includes the delivery, since that
// would undo a settlement.
func (c *consumer) stopBeat(r *run) (lost bool) {
	c.mu.Lock()
	beating, lost := c.stopBeatLocked(r), r.lost
	c.mu.Unlock()
	if beating == nil {
		return lost
	}
	return c.awaitBeat(r, beating)
}

// awaitBeat is the second half of stopBeat: it waits for the call.
func (c *consumer) awaitBeat(r *run, beating <-chan struct{}) (lost bool) {
	<-beating
	c.mu.Lock()
	defer c.mu.Unlock()
	return r.lost
}

// stopBeats is stopBeat for several deliveries, whose heartbeats end at once;
// it returns those whose leases are held and those whose leases are lost.
func (c *consumer) stopBeats(runs []*run) (held, lost []*run) {
	var calls []<-chan struct{}
	c.mu.Lock()
	for _, r := range runs {
		if beating := c.stopBeatLocked(r); beating != nil {
			calls = append(calls, beating)
		}
	}
	c.mu.Unlock()
	for _, returned := range calls {
		<-returned
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range runs {
		if r.lost {
			lost = append(lost, r)
		} else {
			held = append(held, r)
		}
	}
	return held, lost
}

// stopBeatLocked returns a channel that is closed when the Extend call in
// flight has returned, nil if there is none. The caller holds mu.
func (*consumer) stopBeatLocked(r *run) (beating <-chan struct{}) {
	r.beatAt = time.Time{}
	r.settling = true
	return r.beating
}
