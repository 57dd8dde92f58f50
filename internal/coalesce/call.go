package coalesce

import (
	"context"
	"slices"
	"time"
)

// start begins calls for waiting requests: as many as are full and, if none is
// in flight or Patience has passed, one more. The caller holds mu.
func (c *Calls[T]) start() {
	if c.holders > 0 {
		c.grant()
	}
	now := time.Now()
	for c.inFlight < c.limits.InFlight && len(c.waiting) > 0 {
		batch, full := c.next(now)
		overdue := func(r *request[T]) bool { return c.due(r, now) <= 0 }
		if len(batch) == 0 || !full && c.inFlight > 0 && !slices.ContainsFunc(batch, overdue) {
			break
		}
		c.begin(context.Background(), batch)
	}
	c.setTimer(now)
}

// due returns how long it is from now until a request has waited for Patience.
func (c *Calls[T]) due(r *request[T], now time.Time) time.Duration {
	return r.since.Add(c.limits.Patience).Sub(now)
}

// next returns the first waiting requests that one call may take. The caller
// holds mu.
func (c *Calls[T]) next(now time.Time) (batch []*request[T], full bool) {
	size := 0
	var wanted map[string]struct{} // keys that later requests cannot have
	for _, r := range c.waiting {
		if r.keys != nil {
			wanted = join(wanted, r.keys)
			continue
		}
		if !c.mayGo(r, wanted, now) {
			continue
		}
		if r.again && r.key != "" {
			wanted = join(wanted, []string{r.key})
		}
		size += r.size
		if len(batch) > 0 && c.limits.Size > 0 && size > c.limits.Size {
			return batch, true
		}
		if batch = append(batch, r); len(batch) == c.limits.Count {
			return batch, true
		}
	}
	return batch, false
}

// mayGo reports whether a request may be in the next call. The caller holds mu.
func (c *Calls[T]) mayGo(r *request[T], wanted map[string]struct{}, now time.Time) bool {
	if r.key == "" {
		return !now.Before(r.since)
	}
	_, busy := c.busy[r.key]
	_, taken := wanted[r.key]
	return !busy && !taken
}

// begin makes a shared call with the values of a context that does not end. The
// caller holds mu.
func (c *Calls[T]) begin(values context.Context, batch []*request[T]) {
	ctx, cancel := context.WithCancel(values)
	stop := context.AfterFunc(c.base, cancel)
	in := &shared{callers: len(batch), cancel: cancel}
	items := make([]T, len(batch))
	for i, r := range batch {
		r.in = in
		items[i] = r.item
		c.occupy(r.key)
		if r.key != "" {
			in.linger = c.limits.Linger
		}
	}
	c.waiting = slices.DeleteFunc(c.waiting, func(r *request[T]) bool { return r.in != nil })
	c.inFlight++
	c.shared.Go(func() {
		defer cancel()
		defer stop()
		defer c.returned(in, batch)
		c.call(ctx, items)
	})
}

// returned handles the end of a shared call.
func (c *Calls[T]) returned(in *shared, batch []*request[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight--
	if in.timer != nil {
		in.timer.Stop()
	}
	again := map[string][]*request[T]{} // by key
	pauses := map[string]time.Duration{}
	for _, r := range batch {
		c.vacate(r.key)
	}
	for _, r := range batch {
		result := r.item.Result()
		if result.Again > 0 && !r.left && !c.closed {
			r.in, r.again = nil, true
			again[r.key] = append(again[r.key], r)
			pauses[r.key] = max(pauses[r.key], result.Again)
			continue
		}
		if result.Failed && !r.left {
			c.fail(r.key)
		}
		close(r.done)
	}
	for key, rs := range again {
		c.rest(rs, pauses[key])
	}
	c.start()
}

// setTimer arranges for waiting requests to be checked when the next one has
// waited for Patience, so that a call that hangs does not hold up requests that
// could go in another. Requests that have waited longer go when a key or a call
// becomes free, and resting requests begin to wait when they may go; both are
// checked separately. The caller holds mu.
func (c *Calls[T]) setTimer(now time.Time) {
	if len(c.waiting) == 0 {
		c.stopTimer()
	}
	if len(c.waiting) == 0 || c.overdue != nil {
		return // whoever comes later is due later
	}
	next := c.limits.Patience + 1 // more than what waits has left; what rests has as much or more
	for _, r := range c.waiting {
		if due := c.due(r, now); due > 0 {
			next = min(next, due)
		}
	}
	if next <= c.limits.Patience {
		c.overdue = time.AfterFunc(next, c.hurry)
	}
}

// stopTimer stops the timer. The caller holds mu.
func (c *Calls[T]) stopTimer() {
	if c.overdue != nil {
		c.overdue.Stop()
		c.overdue = nil
	}
}

// hurry is the timer's function.
func (c *Calls[T]) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.overdue = nil
	c.start()
}
