package queue

import (
	"container/list"
	"time"

	"github.com/candidmq/candidmq/internal/heap"
)

// queue is one queue. All of it is guarded by the engine's mutex.
type queue struct {
	engine *Engine
	name   string
	config Config

	all    map[uint64]*msg // by Seq
	counts [states]int
	order  order
	// due has leases and delays by their end: those that end at the same time
	// end in the order of sending. A lease that was extended stays where it
	// was, which makes a heartbeat O(1), and finds its place when it comes to
	// the top.
	due   heap.Heap[*msg]
	ages  ages
	dedup dedup

	polls   list.List // of *poll, in the order of their arrival
	touched bool      // in engine.touched
	alarm   *alarm    // set while polls wait for a timed change
}

func newQueue(e *Engine, name string, c Config) *queue {
	q := &queue{engine: e, name: name, config: c}
	q.clear()
	return q
}

// clear makes the queue empty.
func (q *queue) clear() {
	q.all = make(map[uint64]*msg)
	q.counts = [states]int{}
	q.ages = newAges()
	q.dedup = newDedup()
	q.due = heap.Heap[*msg]{}
	if q.config.FIFO {
		q.order = newFIFO()
	} else {
		q.order = newStandard(q.engine)
	}
}

// add puts a message with a new Seq into the queue, delayed until due, or
// ready.
func (q *queue) add(m *msg, state State, due time.Time) {
	m.Seq = q.engine.nextSeq()
	m.state, m.due, m.dueAt = state, due, heap.Absent
	q.all[m.Seq] = m
	q.counts[state]++
	q.ages.add(m, q.key(m, m.Sent))
	q.order.add(m)
	if state != Ready {
		q.due.Push(q.key(m, due), m, &m.dueAt)
	}
	q.engine.touch(q)
}

// remove takes a message out of the queue.
func (q *queue) remove(m *msg) {
	delete(q.all, m.Seq)
	q.counts[m.state]--
	q.ages.remove(m)
	q.order.remove(m)
	if m.dueAt != heap.Absent {
		q.due.Remove(m.dueAt)
	}
	q.engine.touch(q)
}

// lease makes a message invisible until end, or moves the end of its lease.
func (q *queue) lease(m *msg, end time.Time) {
	was, sooner := m.state, end.Before(m.due)
	q.setState(m, InFlight)
	m.due = end
	switch {
	case was == Ready:
		q.due.Push(q.key(m, end), m, &m.dueAt)
		q.order.busy(m)
	case sooner:
		q.due.Rekey(m.dueAt, q.key(m, end))
	}
	q.engine.touch(q)
}

// release makes a message ready, at the back of a Standard queue, at its own
// place in a FIFO one.
func (q *queue) release(m *msg) {
	if m.state == Ready {
		return
	}
	q.due.Remove(m.dueAt)
	q.setState(m, Ready)
	q.order.ready(m)
	q.engine.touch(q)
}

func (q *queue) setState(m *msg, s State) {
	q.counts[m.state]--
	m.state = s
	q.counts[s]++
}

// advance applies all timed changes since the last operation. Every operation
// begins with it, so it checks before it computes.
func (q *queue) advance(now time.Time) {
	if q.config.Retention > 0 {
		q.endRetention(now)
	}
	if q.due.Len() > 0 {
		q.endDue(now)
	}
	if len(q.dedup.byAge) > 0 {
		q.dedup.forget(now.Add(-q.config.DedupWindow))
	}
}

// endRetention discards messages that are too old.
func (q *queue) endRetention(now time.Time) {
	for m := q.ages.oldest(); m != nil && now.Sub(m.Sent) >= q.config.Retention; m = q.ages.oldest() {
		q.report(EventDiscarded, m, now)
		q.remove(m)
		q.engine.recycle(m)
	}
}

// endDue ends the leases and delays that are due.
func (q *queue) endDue(now time.Time) {
	t := q.engine.sinceStart(now)
	for at, m, ok := q.due.Top(); ok && at.At <= t; at, m, ok = q.due.Top() {
		if k := q.key(m, m.due); k != at {
			q.due.Rekey(m.dueAt, k)
			continue
		}
		if m.state == InFlight {
			q.report(EventExpired, m, m.due)
		}
		q.release(m)
	}
}

// key orders m by a time, and by Seq among equal times.
func (q *queue) key(m *msg, t time.Time) heap.Key {
	return heap.Key{At: q.engine.sinceStart(t), Seq: m.Seq}
}

// next returns when time changes something for waiting polls, or earlier; ok is
// false if never.
func (q *queue) next() (at time.Time, ok bool) {
	k, _, ok := q.due.Top()
	if !ok { // then nothing blocks a group, and retention frees nothing
		return at, false
	}
	at = q.engine.start.Add(time.Duration(k.At))
	if r := q.config.Retention; r > 0 {
		if end := q.ages.oldest().Sent.Add(r); end.Before(at) {
			at = end
		}
	}
	return at, true
}

// discard removes all messages and remembered ids.
func (q *queue) discard(now time.Time) {
	if q.engine.observe != nil {
		for _, m := range q.bySeq() {
			q.report(EventDiscarded, m, now)
		}
	}
	q.clear()
	q.engine.touch(q)
}

// deadLetter returns the queue that exhausted messages go to, brought up to
// date, or nil.
func (q *queue) deadLetter(now time.Time) *queue {
	if q.config.DeadLetter == "" {
		return nil
	}
	d := q.engine.queues[q.config.DeadLetter]
	if d != nil && d != q {
		d.advance(now)
	}
	return d
}

// moveTo makes a message of q the last one of its dead-letter queue. That
// queue's dedup window is ignored: a message is not lost because of an id.
func (q *queue) moveTo(d *queue, m *msg, now time.Time) {
	q.report(EventDeadLettered, m, now)
	q.remove(m)
	m.Source = q.name
	m.here = 0
	m.LeaseEnd, m.Receipt = time.Time{}, Receipt{}
	if d.config.FIFO {
		m.Sent = now
	}
	d.add(m, Ready, time.Time{})
}
