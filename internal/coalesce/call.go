package coalesce

import (
	"context"
	"slices"
	"time"
)

// start begins calls for what waits: as many as are full and, if none is in
// flight or Patience has passed, one more. The caller holds mu.
func (c *Calls[T]) start() {
	if c.holders > 0 {
		c.grant()
	}
	for c.inFlight < c.limits.InFlight && len(c.waiting) > 0 {
		batch, full := c.next()
		if len(batch) == 0 || !full && c.inFlight > 0 && time.Since(batch[0].since) < c.limits.Patience {
			break
		}
		c.begin(batch)
	}
	c.setTimer()
}

// next are the first of those that wait that one call may take. The caller
// holds mu.
func (c *Calls[T]) next() (batch []*request[T], full bool) {
	size := 0
	now := time.Now()
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

// begin makes a shared call. The caller holds mu.
func (c *Calls[T]) begin(batch []*request[T]) {
	ctx, cancel := context.WithCancel(c.base)
	in := &shared{callers: len(batch), cancel: cancel}
	items := make([]T, len(batch))
	for i, r := range batch {
		r.in = in
		items[i] = r.item
		c.occupy(r.key)
	}
	c.waiting = slices.DeleteFunc(c.waiting, func(r *request[T]) bool { return r.in != nil })
	c.inFlight++
	c.shared.Go(func() {
		defer cancel()
		defer c.returned(batch)
		c.call(ctx, items)
	})
}

// returned is the end of a shared call.
func (c *Calls[T]) returned(batch []*request[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight--
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

// setTimer has requests that wait looked at when the first has waited for
// Patience: a call that hangs does not hold up what could go in another. The
// caller holds mu.
func (c *Calls[T]) setTimer() {
	switch {
	case len(c.waiting) == 0:
		c.stopTimer()
	case c.overdue == nil:
		first := slices.MinFunc(c.waiting, func(a, b *request[T]) int { return a.since.Compare(b.since) })
		wait := c.limits.Patience - time.Since(first.since)
		if wait <= 0 { // and its key is busy, or no call may begin: look again
			wait = c.limits.Patience
		}
		c.overdue = time.AfterFunc(wait, c.hurry)
	}
}

// stopTimer is called by who holds mu.
func (c *Calls[T]) stopTimer() {
	if c.overdue != nil {
		c.overdue.Stop()
		c.overdue = nil
	}
}

// hurry is what the timer does.
func (c *Calls[T]) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.overdue = nil
	c.start()
}
