package broker

// work is the body of a goroutine that handles deliveries: the given one, the
// next of its key, and then, if no other goroutine polls, those it receives
// itself. Thus one slot keeps one goroutine busy, without a hand-over from a
// poller, and a goroutine whose stack has grown is reused.
func (c *consumer) work(r *run) {
	exited := true
	defer func() {
		if !exited {
			return
		}
		// A handler or a hook has called runtime.Goexit.
		if next := r.takeNext(); next != nil {
			go c.work(next)
		} else {
			c.changed()
		}
	}()
	for r != nil {
		r.handle()
		if r = r.takeNext(); r == nil && c.takeLead() {
			r = c.poll()
		}
	}
	exited = false
}

// lead polls, and then works.
func (c *consumer) lead() {
	if r := c.poll(); r != nil {
		c.work(r)
	}
}

// takeLead reports whether the caller must poll; if another goroutine does,
// that one is notified that there may be room now.
func (c *consumer) takeLead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.takeLeadLocked()
}

func (c *consumer) takeLeadLocked() bool {
	if c.begun {
		return false
	}
	if c.leading {
		select {
		case c.room <- struct{}{}:
		default:
		}
		c.pollInParallel(1)
		return false
	}
	c.leading = true
	c.polls.Add(1)
	return true
}

// giveUpLead ends a poll. If there is room, another goroutine must poll.
func (c *consumer) giveUpLead() {
	defer c.polls.Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leading = false
	if c.free() > 0 {
		c.changedLocked()
	}
}

// changed has a goroutine check whether there is room now. It does not block.
func (c *consumer) changed() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changedLocked()
}

func (c *consumer) changedLocked() {
	if c.takeLeadLocked() {
		go c.lead()
	}
}
