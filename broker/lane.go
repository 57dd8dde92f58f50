package broker

import "time"

// laneGap is how long after a failed message those behind it are delivered
// again, so that the failed one arrives alone. Together they would each use up
// an attempt, and be dead-lettered with it, none of them handled. They arrive
// together every other time, when the gap is over and it has failed again.
// Visibility timeouts are whole seconds on SQS: a gap of two seconds is at
// least one.
const laneGap = 2 * time.Second

// longDelay is the longest delay for messages behind one that failed. Behind a
// longer one they arrive with it: see comesAgain.
const longDelay = time.Hour

// startInLane reports whether a delivery starts now, for the caller to handle;
// otherwise it waits behind an earlier one of its key, or for a slot. The
// caller holds mu.
func (c *consumer) startInLane(r *run, now time.Time) bool {
	key := r.delivery.Key
	if key == "" {
		return c.start(r, now)
	}
	if first := c.lanes[key]; first != nil {
		first.behind = append(first.behind, r)
		c.behind++
		return false
	}
	c.lanes[key] = r
	return c.start(r, now)
}

// start takes a slot for a delivery, or lets it wait for one behind those
// already waiting: a key that never runs dry does not keep its slot. Once a
// drain has begun the delivery waits for stopIntake, which releases it. The
// caller holds mu, and handles the delivery if it has a slot.
func (c *consumer) start(r *run, now time.Time) bool {
	if c.begun || c.running >= c.concurrency || len(c.ready) > 0 {
		c.ready = append(c.ready, r)
		return false
	}
	c.takeSlot(r, now)
	return true
}

// takeSlot takes a slot for a delivery that starts. The caller holds mu.
func (c *consumer) takeSlot(r *run, now time.Time) {
	c.running++
	if !r.lost && r.over(now) { // already at receipt, or not noticed yet
		c.loseLocked(r, errOver(r))
		r.untold = true
	}
	r.late, r.exhausted = r.lost, c.overLimit(r.delivery)
	r.waited = now.Sub(r.received)
}

// finished removes a delivery that is settled, or left, from hand, and starts
// the delivery that waited for its slot or behind it in its lane. Deliveries
// behind one that was neither deleted nor rejected are released, since that one
// will be delivered again; unless it has been already, and is the next of its
// key.
func (c *consumer) finished(r *run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !r.rests && len(r.behind) > 0 && !r.cameAgain() {
		c.mu.Unlock()
		c.clearLane(r, 0)
		c.mu.Lock()
	}
	if r.slotless {
		c.leaving--
	} else {
		c.running--
	}
	r.next = c.nextInLane(r)
	c.letGo(r)
	if r.next == nil {
		r.next = c.nextReady()
	}
	c.startReady()
	if r.next != nil && c.free() > 0 {
		c.changedLocked()
	}
}

// cameAgain reports whether the first delivery behind another is the same
// message, released or lost before: the following ones of its key came after
// it. The caller holds mu.
func (r *run) cameAgain() bool {
	return r.behind[0].delivery.ID == r.delivery.ID && r.delivery.ID != ""
}

// letGo removes a delivery from hand; while draining it enters the report. The
// caller holds mu.
func (c *consumer) letGo(r *run) {
	c.hand.remove(r)
	r.left = true
	if r.drains > 0 {
		c.calls--
	}
	if c.begun {
		switch r.fate {
		case fateFinished:
			c.report.Finished++
		case fateReleased:
			c.report.Released++
		case fateAbandoned:
			c.report.Abandoned++
		}
	}
	c.leaveLocked()
}

// nextInLane starts the delivery behind one that is done, and returns it for
// the caller to handle. The caller holds mu.
func (c *consumer) nextInLane(r *run) *run {
	key := r.delivery.Key
	if key == "" {
		return nil
	}
	if len(r.behind) == 0 {
		delete(c.lanes, key)
		return nil
	}
	next := r.behind[0]
	r.behind[0] = nil
	next.behind = r.behind[1:]
	r.behind = nil
	c.behind--
	c.lanes[key] = next
	if !c.start(next, time.Now()) {
		return nil
	}
	return next
}

// nextReady starts the first delivery that waits for a slot, if there is one,
// and returns it for the caller to handle. The caller holds mu.
func (c *consumer) nextReady() *run {
	if c.begun || len(c.ready) == 0 || c.running >= c.concurrency {
		return nil
	}
	next := c.ready[0]
	c.ready[0] = nil
	c.ready = c.ready[1:]
	c.takeSlot(next, time.Now())
	return next
}

// startReady starts deliveries that wait for a slot. The caller holds mu.
func (c *consumer) startReady() {
	for next := c.nextReady(); next != nil; next = c.nextReady() {
		go c.work(next)
	}
}

// leaveSlot gives the slot of a handler that has returned to another delivery
// while its delete waits for a call in progress, so that the latency of deletes
// does not take up handler time. At most as many leave as there are slots:
// where deletes hang, the intake ends. The caller holds mu.
func (c *consumer) leaveSlot(r *run) {
	if r.slotless || c.leaving >= c.concurrency {
		return
	}
	r.slotless = true
	c.leaving++
	c.running--
	c.startReady()
	if c.free() > 0 {
		c.changedLocked()
	}
}

// takeLane removes and returns the deliveries behind another. The caller holds
// mu.
func (c *consumer) takeLane(r *run) []*run {
	waiting := r.behind
	r.behind = nil
	c.behind -= len(waiting)
	return waiting
}

// clearLane releases the deliveries behind another, last first, to be delivered
// again after delay, and returns once that is done.
func (c *consumer) clearLane(r *run, delay time.Duration) {
	if r.delivery.Key == "" {
		return
	}
	c.mu.Lock()
	waiting, cleared := c.takeLane(r), r.cleared
	c.mu.Unlock()
	if cleared != nil {
		<-cleared // the drain releases them
	}
	c.releaseUnstarted(waiting, delay)
}
