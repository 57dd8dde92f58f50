package broker

import (
	"errors"
	"slices"
	"time"
)

// Pauses of the intake after a receive that failed, or that returned empty in
// less than the shortest pause: a backend that does not wait for a message must
// not be polled in a tight loop. They double, each with jitter, and start again
// after a receive that worked. When an outage ends, messages wait for up to the
// longest pause; with it, a day of failing receives is some 23,000 calls, a
// cent on SQS.
const (
	receivePauseMin = 100 * time.Millisecond
	receivePauseMax = 5 * time.Second
	emptyPauseMax   = time.Second
)

var errNilDelivery = errors.New("the backend's Receive returned a nil delivery")

// poll is the intake: it waits for room, then receives. The caller has the
// lead. poll gives it up, and returns a delivery to handle, when a receive has
// left no room: whoever makes room polls next. Once a drain has begun it
// returns nil.
func (c *consumer) poll() *run {
	defer c.giveUpLead()
	for failures := 0; ; {
		n, began := c.awaitRoom()
		if n == 0 {
			return nil
		}
		got, own, err := c.receive(n, began, true)
		if own != nil {
			return own
		}
		most := receivePauseMax
		switch {
		case errors.Is(err, ErrClosed):
			c.begin(err)
			return nil
		case got > 0, err == nil && time.Since(began) >= receivePauseMin:
			failures = 0
			continue
		case err != nil:
		default:
			most = emptyPauseMax
		}
		failures++
		c.pause(Backoff{Min: receivePauseMin, Max: most}.Delay(failures, c.chance(nil)))
	}
}

// pollMore is a further poll beside the first, as long as its receives return
// full.
func (c *consumer) pollMore() {
	for received := false; ; received = true {
		c.mu.Lock()
		began := time.Now()
		n := c.reserve(began, c.perReceive())
		if n == 0 && received {
			c.changedLocked()
		}
		c.mu.Unlock()
		if n == 0 {
			return // if it received nothing, nothing has changed: another poll would end as this one
		}
		if got, _, err := c.receive(n, began, false); err != nil || got < n {
			c.changed() // the poller may use the room that this receive did not fill
			return
		}
	}
}

// receive requests n messages at began, takes them in hand, and starts a further
// poll if they arrived in full and there is room for another batch. With keep it leaves
// one to the caller to handle, if there is no room for more.
func (c *consumer) receive(n int, began time.Time, keep bool) (got int, own *run, err error) {
	ds, err := c.receiver.Receive(c.intake, c.queue, n, c.options...)
	if slices.Contains(ds, nil) {
		ds = slices.DeleteFunc(slices.Clone(ds), func(d *Delivery) bool { return d == nil })
		err = errors.Join(err, errNilDelivery)
	}
	own = c.take(ds, n, keep)
	if err != nil || c.observer != nil {
		c.tellReceived(Event{Kind: EventReceived, Messages: len(ds), Took: time.Since(began), Err: err})
	}
	return len(ds), own, err
}

func (c *consumer) tellReceived(e Event) {
	c.apart(func() { c.observe(e) })
	if e.Err != nil && c.intake.Err() == nil && !errors.Is(e.Err, ErrClosed) {
		c.mu.Lock()
		c.counts.Errors++
		c.mu.Unlock()
		c.apart(func() { c.tell(c.intake, nil, e.Err) })
	}
}

// awaitRoom waits until messages may be requested and returns how many, or 0
// once the drain has begun, and the current time.
func (c *consumer) awaitRoom() (int, time.Time) {
	for {
		c.mu.Lock()
		now := time.Now()
		begun := c.begun
		n := 0
		if !begun {
			n = c.reserve(now, c.least())
		}
		c.waits = n == 0
		wait := c.blockedFor(now)
		c.mu.Unlock()
		switch {
		case begun:
			return 0, now
		case n > 0:
			return n, now
		case wait > 0:
			c.sleep(wait)
		default:
			select {
			case <-c.room:
			case <-c.draining:
			}
		}
	}
}

// mostPlaces keeps the arithmetic of places from overflowing.
const mostPlaces = 1 << 29

// places is how many deliveries may be in hand that do not wait behind another
// of their key: those of the slots and of the prefetch. The caller holds mu.
func (c *consumer) places() int {
	return min(c.concurrency, mostPlaces) + min(c.prefetch, mostPlaces)
}

// free is how many more messages may be requested: as many as there are places
// for, but no more than may wait behind others of their keys. Messages waiting
// there take no place, so that a busy key leaves the places to the others; nor
// do those waiting for the call that deletes them. The caller holds mu.
func (c *consumer) free() int {
	places := int64(c.places())
	held := c.counts.InFlight - c.behind - c.leaving
	return int(min(places-int64(held), places*c.depth()-int64(c.behind))) - c.asked
}

// noteHandlerTime takes the time of a handler into the average. The caller holds
// mu.
func (c *consumer) noteHandlerTime(d time.Duration) {
	if c.handlerTime > 0 {
		d = c.handlerTime + (d-c.handlerTime)/8
	}
	c.handlerTime = max(d, 1)
}

// quick reports whether handlers are so quick that all messages that a receive
// may return of one key start before a heartbeat for them is due. The caller
// holds mu.
func (c *consumer) quick() bool {
	lane := float64(c.handlerTime) * float64(c.batch) * float64(c.places()) / float64(c.concurrency)
	return 0 < lane && lane <= float64(c.leaseTime)/3
}

// depth is how many messages may wait behind others for each place. The caller
// holds mu.
func (c *consumer) depth() int64 {
	if c.quick() {
		return max(int64(c.batch), 2)
	}
	return 2
}

// perReceive is the most messages that one receive requests, 0 for no bound. It
// is one when as many messages wait behind busy keys as there are places and
// will not start soon: that brings no second message of a key from a
// destination that assigns a key to one consumer at a time (SQS FIFO). The
// caller holds mu.
func (c *consumer) perReceive() int {
	if c.behind >= c.places() && !c.quick() {
		return 1
	}
	return c.batch
}

// least is how many messages are worth a receive: a full batch while another
// receive is in progress, which returns the next messages. The caller holds mu.
func (c *consumer) least() int {
	if c.polling == 0 {
		return 1
	}
	return c.perReceive()
}

// reserve takes room for as many messages as fit, unless that is fewer than
// low, and returns their number. The caller holds mu.
func (c *consumer) reserve(now time.Time, low int) int {
	if c.begun || c.paused {
		return 0
	}
	n := c.circuit.most(now, c.free(), c.counts.InFlight+c.asked)
	if most := c.perReceive(); most > 0 {
		n = min(n, most)
	}
	if n < max(low, 1) {
		return 0
	}
	if n = c.tokens.take(now, n); n > 0 {
		c.circuit.trying = !c.circuit.openTill.IsZero()
		c.asked += n
		c.polling++
	}
	return n
}

// blockedFor is how long the rate or the circuit keep the intake shut, 0 if
// only a change can open it. The caller holds mu.
func (c *consumer) blockedFor(now time.Time) time.Duration {
	if c.paused || c.free() <= 0 {
		return 0
	}
	return max(c.circuit.shutFor(now), c.tokens.emptyFor(now))
}

// sleep waits for d, a change, or the drain.
func (c *consumer) sleep(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.room:
	case <-c.draining:
	}
}

// pause waits for d, or the drain.
func (c *consumer) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.draining:
	}
}

// take puts deliveries in hand, of the n that were requested, and starts those
// that need not wait. With keep it leaves one for the caller to handle, if
// there is no room for more. Once a drain has begun it releases them.
func (c *consumer) take(ds []*Delivery, n int, keep bool) (own *run) {
	now := time.Now()
	var few [10]*run // on the stack, for the frequent case
	runs := few[:0]
	for _, d := range ds {
		runs = append(runs, newRun(c, d, now))
	}
	c.mu.Lock()
	begun := c.begun
	c.asked -= n
	c.polling--
	c.tokens.use(now, n, len(ds))
	c.full = len(ds) >= n
	for _, r := range runs {
		c.enterLocked(r.delivery)
		c.hand.add(r)
		c.scheduleBeat(r, now)
		c.leaseTime = r.lease
		if begun || !c.startInLane(r, now) {
			continue
		}
		if own != nil {
			go c.work(own)
		}
		own = r
	}
	if own != nil && (!keep || c.free() > 0) {
		go c.work(own)
		own = nil
	}
	c.pollInParallel(2) // one for this poll's next receive, one for the further poll's
	c.mu.Unlock()
	for _, r := range runs {
		if !r.renewable && !r.delivery.LeaseEnd.IsZero() && c.first(&c.told.leases) {
			c.apart(func() { c.tell(c.base, nil, errNotRenewable(r.delivery)) })
		}
	}
	if begun {
		c.releaseUnstarted(runs, 0)
	}
	return own
}

// pollInParallel adds a poll while messages arrive in full batches, if there is
// room for that many batches besides those in progress and no poller waits for
// it. The caller holds mu.
func (c *consumer) pollInParallel(batches int) {
	size := c.perReceive()
	if !c.full || c.batch == 0 || c.waits || c.begun || c.paused || c.free() < batches*size {
		return
	}
	c.polls.Go(c.pollMore)
}
