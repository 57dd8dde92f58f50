package stream

import (
	"container/list"
	"slices"
	"time"

	"github.com/candidmq/candidmq/internal/heap"
	"github.com/candidmq/candidmq/internal/subject"
)

// consumer is one consumer of a stream. All of it is guarded by the engine's
// mutex.
type consumer struct {
	stream *log
	name   string
	config ConsumerConfig

	pending pending            // not delivered yet
	flights map[uint64]*flight // delivered, and neither settled nor stranded
	again   list.List          // of *flight, to be delivered again
	due     heap.Heap[*flight] // the others of flights, by when they are to be
	// stranded are the messages that were delivered too often. A stream with
	// interest retention keeps them for as long as the consumer exists.
	stranded map[uint64]*msg

	polls   list.List // of *poll, in the order of their arrival
	touched bool      // in engine.touched
	over    bool      // it was removed
	alarm   *alarm    // set while polls wait for a timed change
}

// flight is a message that was delivered and is to be settled.
type flight struct {
	m        *msg
	attempt  int
	end      time.Time     // of the lease, or of the delay
	released bool          // with a delay: nobody holds it
	dueAt    int           // index in consumer.due, or Absent
	place    *list.Element // in consumer.again, or nil
}

// CreateConsumer creates a consumer; ErrExists if there is one of that name.
func (e *Engine) CreateConsumer(stream, name string, c ConsumerConfig) error {
	return e.onStream(stream, func(s *log, _ time.Time) error {
		if s.consumers[name] != nil {
			return ErrExists
		}
		n := &consumer{stream: s, name: name, config: c, flights: map[uint64]*flight{}, stranded: map[uint64]*msg{}}
		n.fill()
		s.consumers[name] = n
		for _, p := range n.filters() {
			s.readers.Add(p, n)
		}
		return nil
	})
}

// UpdateConsumer changes a consumer's times and limits. Leases that have begun
// stay as they are, as do its filters and its start.
func (e *Engine) UpdateConsumer(stream, name string, c ConsumerConfig) error {
	return e.onConsumer(stream, name, func(n *consumer, _ time.Time) error {
		c.Filters, c.Start, c.Seq, c.Time, c.NoAck = n.config.Filters, n.config.Start, n.config.Seq, n.config.Time, n.config.NoAck
		n.config = c
		e.touch(n)
		return nil
	})
}

// DropConsumer removes a consumer; its receives end with ErrNoConsumer.
// Messages it had not settled are no longer waited for.
func (e *Engine) DropConsumer(stream, name string) error {
	return e.onConsumer(stream, name, func(c *consumer, _ time.Time) error {
		s := c.stream
		delete(s.consumers, name)
		for _, p := range c.filters() {
			s.readers.Remove(p, c)
		}
		c.endPolls(ErrNoConsumer)
		if s.config.Retention == Interest {
			c.release()
		}
		e.settled()
		return nil
	})
}

// release settles all messages that a removed consumer had not settled.
func (c *consumer) release() {
	var all []*msg
	for m := c.pending.pop(); m != nil; m = c.pending.pop() {
		all = append(all, m)
	}
	for _, f := range c.flights {
		all = append(all, f.m)
	}
	for _, m := range c.stranded {
		all = append(all, m)
	}
	for _, m := range all {
		c.stream.settle(m)
	}
}

func (c *consumer) filters() []string {
	if len(c.config.Filters) == 0 {
		return []string{">"}
	}
	return c.config.Filters
}

func (c *consumer) wants(m *msg) bool {
	return slices.ContainsFunc(c.filters(), func(p string) bool { return subject.Match(p, m.Subject) })
}

// fill makes the stream's messages pending for a new consumer.
func (c *consumer) fill() {
	if c.config.Start == FromNew {
		return
	}
	var last *msg
	for m := c.stream.head; m != nil; m = m.next {
		if !c.wants(m) {
			continue
		}
		last = m
		if c.beginsWith(m) {
			c.pend(m)
		}
	}
	if c.config.Start == FromLast && last != nil {
		c.pend(last)
	}
}

func (c *consumer) beginsWith(m *msg) bool {
	switch c.config.Start {
	case FromSequence:
		return m.Seq >= c.config.Seq
	case FromTime:
		return !m.Time.Before(c.config.Time)
	case FromLastOfEach:
		return m.newer == nil
	case FromLast, FromNew:
		return false
	case FromAll:
	}
	return true
}

// pend adds a message to those to be delivered.
func (c *consumer) pend(m *msg) {
	if c.stream.config.Retention == Interest {
		m.interest++
	}
	c.pending.push(m)
	c.stream.engine.touch(c)
}

// drop forgets a message that has left the stream.
func (c *consumer) drop(m *msg) {
	delete(c.stranded, m.Seq)
	if f := c.flights[m.Seq]; f != nil {
		c.land(f)
	}
}

// land ends a flight.
func (c *consumer) land(f *flight) {
	delete(c.flights, f.m.Seq)
	c.ground(f)
	c.stream.engine.touch(c)
}

// ground takes a flight off the timed flights and off those to be delivered
// again.
func (c *consumer) ground(f *flight) {
	if f.dueAt != heap.Absent {
		c.due.Remove(f.dueAt)
	}
	if f.place != nil {
		c.again.Remove(f.place)
		f.place = nil
	}
}

// advance ends leases and delays that are over.
func (c *consumer) advance(now time.Time) {
	e := c.stream.engine
	t := e.sinceStart(now)
	for at, f, ok := c.due.Top(); ok && at.At <= t; at, f, ok = c.due.Top() {
		if k := c.stream.key(f.m, f.end); k != at { // it was extended
			c.due.Rekey(f.dueAt, k)
			continue
		}
		if c.config.MaxDeliver != 1 || !c.strand(f) {
			c.redeliver(f)
		}
	}
}

// strand gives up a message that was delivered too often, and reports whether
// it did.
func (c *consumer) strand(f *flight) bool {
	if most := c.config.MaxDeliver; most == 0 || f.attempt < most {
		return false
	}
	c.land(f)
	c.stranded[f.m.Seq] = f.m
	c.stream.engine.settled()
	c.tell(f)
	return true
}

// tell publishes an advisory that a message was delivered too often.
func (c *consumer) tell(f *flight) {
	e := c.stream.engine
	if e.advise == nil {
		return
	}
	m := e.advise(c.stream.name, c.name, Receipt{f.m.Seq, f.attempt})
	if s := e.streamOf(m.Subject); s != nil {
		now := time.Now()
		s.advance(now)
		_, _ = s.publish(m, now) // a full stream refuses it, and that is not reported
	}
}

// watched reports whether anything waits for timed changes: a poll, or a reader
// of the advisories about messages delivered too often, where those need no
// poll.
func (c *consumer) watched() bool {
	if c.polls.Len() > 0 {
		return true
	}
	e := c.stream.engine
	return !c.over && c.config.MaxDeliver == 1 && e.advise != nil && len(c.flights) > 0 &&
		e.streamOf(e.advise(c.stream.name, c.name, Receipt{}).Subject) != nil
}

// redeliver makes a message available for redelivery. After its last delivery
// it is stranded when it would be delivered once more to any receiver; only
// with a MaxDeliver of 1 does the server do so when the lease ends (nats-server
// 2.15's consumer.go, where hasMaxDeliveries counts redeliveries, and
// getNextMsg deliveries).
func (c *consumer) redeliver(f *flight) {
	c.ground(f)
	f.place = c.again.PushBack(f)
	c.stream.engine.touch(c)
}
