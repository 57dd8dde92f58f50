package queue

import (
	"container/list"
	"time"
)

// poll is a waiting Receive. It is in its queue's polls until it is done; then
// done is closed, and got and err are what Receive returns.
type poll struct {
	limit int
	lease time.Duration

	queue *queue
	place *list.Element
	stop  func() // of the timer that ends it
	done  chan struct{}
	got   []Message
	err   error
}

func (e *Engine) startPoll(q *queue, limit int, wait, lease time.Duration) *poll {
	p := &poll{limit: limit, lease: lease, queue: q, done: make(chan struct{})}
	p.place = q.polls.PushBack(p)
	p.stop = e.after(wait, func() { e.endPoll(p, nil) })
	e.touch(q)
	return p
}

// endPoll ends p with err, unless messages are handed over to it first: those
// that become visible at the moment at which the wait ends still count.
func (e *Engine) endPoll(p *poll, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p.place == nil {
		return
	}
	now := e.clock.Now()
	p.queue.advance(now)
	e.touch(p.queue)
	e.serve(now)
	if p.place != nil {
		p.end(nil, err)
		p.queue.setAlarm(now)
	}
}

// end removes p from its queue and wakes it. The caller holds the mutex.
func (p *poll) end(got []Message, err error) {
	p.queue.polls.Remove(p.place)
	p.place = nil
	p.stop()
	p.got, p.err = got, err
	close(p.done)
}

// endPolls ends all polls of a removed queue.
func (q *queue) endPolls(err error) {
	for first := q.polls.Front(); first != nil; first = q.polls.Front() {
		first.Value.(*poll).end(nil, err)
	}
	q.stopAlarm()
}

// handOver serves the polls in order, for as long as there is something to
// take.
func (q *queue) handOver(now time.Time) {
	for first := q.polls.Front(); first != nil; first = q.polls.Front() {
		p := first.Value.(*poll)
		got := q.take(p.limit, p.lease, now)
		if len(got) == 0 {
			return
		}
		p.end(got, nil)
	}
}

// alarm is a queue's timer for the next timed change.
type alarm struct {
	at   time.Time
	stop func()
}

// setAlarm sets the timer for the next change if polls wait, and stops it
// otherwise. A timer that is set too early is left alone: it sets itself again,
// at most once per lease.
func (q *queue) setAlarm(now time.Time) {
	at, ok := q.next()
	if !ok || q.polls.Len() == 0 {
		q.stopAlarm()
		return
	}
	if q.alarm != nil && !q.alarm.at.After(at) {
		return
	}
	q.stopAlarm()
	a := &alarm{at: at}
	a.stop = q.engine.after(at.Sub(now), func() { q.ring(a) })
	q.alarm = a
}

func (q *queue) stopAlarm() {
	if q.alarm != nil {
		q.alarm.stop()
		q.alarm = nil
	}
}

// ring is the alarm's function.
func (q *queue) ring(a *alarm) {
	e := q.engine
	e.mu.Lock()
	defer e.mu.Unlock()
	if q.alarm != a { // stopped when it had begun
		return
	}
	q.alarm = nil
	now := e.clock.Now()
	q.advance(now)
	e.touch(q)
	e.serve(now)
}
