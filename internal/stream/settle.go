package stream

import "time"

// Delete settles a delivery: the consumer is done with the message. A message
// that has left the stream is already settled. ErrStale if the lease has ended.
func (e *Engine) Delete(stream, name string, r Receipt) error {
	return e.onConsumer(stream, name, func(c *consumer, _ time.Time) error {
		return c.settle(r, func(f *flight) {
			c.land(f)
			c.stream.settle(f.m)
		})
	})
}

// Extend restarts the lease and returns its end.
func (e *Engine) Extend(stream, name string, r Receipt) (end time.Time, err error) {
	err = e.onConsumer(stream, name, func(c *consumer, now time.Time) error {
		end = now.Add(c.config.lease(r.Attempt))
		return c.settle(r, func(f *flight) { c.rest(f, end) })
	})
	return end, err
}

// Release makes the message available again, after a delay. With a backoff, a
// delay is longer by the difference between the attempt's lease and the first
// one's: the server counts a delay from the end of an ack_wait (nats-server's
// consumer.go, processNak and checkPending).
func (e *Engine) Release(stream, name string, r Receipt, delay time.Duration) error {
	return e.onConsumer(stream, name, func(c *consumer, now time.Time) error {
		return c.settle(r, func(f *flight) {
			if delay > 0 {
				delay += c.config.lease(r.Attempt) - c.config.lease(1)
			}
			if delay <= 0 {
				c.redeliver(f)
				return
			}
			f.released = true
			c.rest(f, now.Add(delay))
		})
	})
}

// rest leaves a message alone until a time.
func (c *consumer) rest(f *flight, end time.Time) {
	sooner := end.Before(f.end)
	f.end = end
	if sooner { // else it finds its place when it comes to the top
		c.due.Rekey(f.dueAt, c.stream.key(f.m, end))
	}
	c.stream.engine.touch(c)
}

// settle does something to a delivery whose lease is valid.
func (c *consumer) settle(r Receipt, do func(f *flight)) error {
	f := c.flights[r.Seq]
	switch {
	case f == nil && c.stream.bySeq[r.Seq] == nil: // the server confirms that too
		return nil
	case f == nil, f.attempt != r.Attempt, f.place != nil, f.released:
		return ErrStale
	}
	do(f)
	return nil
}
