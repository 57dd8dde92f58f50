package broker

// startInLane starts a delivery, or lets it wait behind the earlier one of its
// key. The caller holds mu.
func (c *consumer) startInLane(r *run) {
	key := r.delivery.Key
	if key == "" {
		c.start(r)
		return
	}
	lane, busy := c.lanes[key]
	if busy {
		c.lanes[key] = append(lane, r)
		return
	}
	c.lanes[key] = nil
	c.start(r)
}

// start runs a delivery's handler on a goroutine of its own, or lets it wait
// for a slot. The caller holds mu.
func (c *consumer) start(r *run) {
	if c.running >= c.concurrency {
		c.ready = append(c.ready, r)
		return
	}
	c.running++
	switch {
	case r.lost: // while it waited
		go r.skip()
	case c.overLimit(r.delivery):
		go r.exhausted()
	default:
		go call(r, c.handler, r.delivery, r)
	}
}

// finished takes a settled delivery out of hand, and starts what waited for
// its slot or behind it in its lane; that was released by then if it failed.
func (c *consumer) finished(r *run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for r.failed && len(c.lanes[r.delivery.Key]) > 0 { // it came while the failed one was settled
		c.mu.Unlock()
		c.clearLane(r)
		c.mu.Lock()
	}
	c.running--
	if key := r.delivery.Key; key != "" {
		c.nextInLane(key)
	}
	c.startReady()
	c.letGo(r)
	c.changed()
}

// letGo takes a delivery out of hand; while draining it goes into the report.
// The caller holds mu.
func (c *consumer) letGo(r *run) {
	delete(c.runs, r)
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

// nextInLane starts the next delivery of a key; once a drain has begun it
// leaves that to stopIntake, which gives the waiting ones back. The caller
// holds mu.
func (c *consumer) nextInLane(key string) {
	lane := c.lanes[key]
	if c.begun {
		return
	}
	if len(lane) == 0 {
		delete(c.lanes, key)
		return
	}
	next := lane[0]
	lane[0] = nil
	c.lanes[key] = lane[1:]
	c.start(next)
}

// startReady starts deliveries that wait for a slot. The caller holds mu.
func (c *consumer) startReady() {
	for !c.begun && len(c.ready) > 0 && c.running < c.concurrency {
		next := c.ready[0]
		c.ready[0] = nil
		c.ready = c.ready[1:]
		c.start(next)
	}
}

// clearLane gives back what waits behind a delivery that failed, last first,
// and returns once that is done.
func (c *consumer) clearLane(r *run) {
	key := r.delivery.Key
	if key == "" {
		return
	}
	r.failed = true
	c.mu.Lock()
	waiting := c.lanes[key]
	if len(waiting) > 0 {
		c.lanes[key] = nil
	}
	c.mu.Unlock()
	c.releaseUnstarted(waiting)
}
