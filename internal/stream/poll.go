package stream

import (
	"container/list"
	"time"
)

// poll is a waiting Receive. It is in its consumer's polls until it is done;
// then done is closed, and got and err are what Receive returns.
type poll struct {
	limit    int
	consumer *consumer
	place    *list.Element
	stop     func() // of the timer that ends it
	done     chan struct{}
	got      []Message
	err      error
}

func (c *consumer) startPoll(limit int, wait time.Duration) *poll {
	p := &poll{limit: limit, consumer: c, done: make(chan struct{})}
	p.place = c.polls.PushBack(p)
	e := c.stream.engine
	p.stop = e.after(wait, func() { e.endPoll(p, nil) })
	e.touch(c)
	return p
}

// endPoll ends p with err, unless messages are handed over to it first: those
// that arrive at the moment at which the wait ends still count.
func (e *Engine) endPoll(p *poll, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p.place == nil {
		return
	}
	now := time.Now()
	p.consumer.stream.advance(now)
	e.touch(p.consumer)
	e.serve(now)
	if p.place != nil {
		p.end(nil, err)
		p.consumer.setAlarm(now)
	}
}

// end removes p from its consumer and wakes it. The caller holds the mutex.
func (p *poll) end(got []Message, err error) {
	p.consumer.polls.Remove(p.place)
	p.place = nil
	p.stop()
	p.got, p.err = got, err
	close(p.done)
}

// endPolls ends all polls of a removed consumer.
func (c *consumer) endPolls(err error) {
	c.over = true
	for first := c.polls.Front(); first != nil; first = c.polls.Front() {
		first.Value.(*poll).end(nil, err)
	}
	c.stopAlarm()
}

// handOver serves the polls in order, for as long as there is something to
// take.
func (c *consumer) handOver(now time.Time) {
	for first := c.polls.Front(); first != nil; first = c.polls.Front() {
		p := first.Value.(*poll)
		got := c.take(p.limit, now)
		if len(got) == 0 {
			return
		}
		p.end(got, nil)
	}
}

// after calls f when d has passed. Close waits for every f that has begun. The
// caller holds the mutex and the engine is open. stop may be called again.
func (e *Engine) after(d time.Duration, f func()) (stop func()) {
	e.timers.Add(1)
	t := time.AfterFunc(d, func() {
		defer e.timers.Done()
		f()
	})
	return func() {
		if t.Stop() {
			e.timers.Done()
		}
	}
}

// alarm is a consumer's timer for the next timed change.
type alarm struct {
	at   time.Time
	stop func()
}

// next returns when a timed change may help waiting polls; ok is false if
// never.
func (c *consumer) next() (at time.Time, ok bool) {
	s := c.stream
	at, ok = s.nextSchedule()
	if k, _, some := c.due.Top(); some {
		if end := s.engine.start.Add(time.Duration(k.At)); !ok || end.Before(at) {
			at, ok = end, true
		}
	}
	if most := c.config.MaxAckPending; most > 0 && len(c.flights) >= most { // expiring messages make room
		if end, some := s.nextEnd(); some && (!ok || end.Before(at)) {
			at, ok = end, true
		}
	}
	return at, ok
}

// setAlarm sets the timer for the next change if anything waits for it, and
// stops it otherwise. A timer that is set too early is left alone: it sets
// itself again.
func (c *consumer) setAlarm(now time.Time) {
	at, ok := c.next()
	if !ok || !c.watched() {
		c.stopAlarm()
		return
	}
	if c.alarm != nil && !c.alarm.at.After(at) {
		return
	}
	c.stopAlarm()
	a := &alarm{at: at}
	a.stop = c.stream.engine.after(at.Sub(now), func() { c.ring(a) })
	c.alarm = a
}

func (c *consumer) stopAlarm() {
	if c.alarm != nil {
		c.alarm.stop()
		c.alarm = nil
	}
}

// ring is the alarm's function.
func (c *consumer) ring(a *alarm) {
	e := c.stream.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.alarm != a { // stopped when it had begun
		return
	}
	c.alarm = nil
	now := time.Now()
	c.stream.advance(now)
	e.touch(c)
	e.serve(now)
}
