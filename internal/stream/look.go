package stream

import (
	"slices"
	"time"
)

// Stats holds the numbers of a consumer.
type Stats struct {
	Ready    int // not delivered yet
	InFlight int // delivered and not settled, including those to be delivered again
	Oldest   time.Time
	Some     bool // whether there is an Oldest
}

// Stats counts the messages that a consumer has not settled. Oldest is when the
// oldest of them was stored, including stranded ones.
func (e *Engine) Stats(stream, name string) (n Stats, err error) {
	err = e.onConsumer(stream, name, func(c *consumer, _ time.Time) error {
		c.pending.each(func(m *msg) {
			n.Ready++
			n.older(m)
		})
		n.InFlight = len(c.flights)
		for _, f := range c.flights {
			n.older(f.m)
		}
		for _, m := range c.stranded {
			n.older(m)
		}
		return nil
	})
	return n, err
}

func (n *Stats) older(m *msg) {
	if !n.Some || m.Time.Before(n.Oldest) {
		n.Oldest, n.Some = m.Time, true
	}
}

// Look returns a consumer's messages: ready, in flight and stranded, each in
// the order of the stream.
func (e *Engine) Look(stream, name string) (ready, inFlight, stranded []Message, err error) {
	err = e.onConsumer(stream, name, func(c *consumer, _ time.Time) error {
		c.pending.each(func(m *msg) { ready = append(ready, m.Message) })
		for _, f := range c.flights {
			d := f.m.Message
			d.Attempt, d.LeaseEnd = f.attempt, f.end
			inFlight = append(inFlight, d)
		}
		for _, m := range c.stranded {
			stranded = append(stranded, m.Message)
		}
		return nil
	})
	for _, ms := range [][]Message{inFlight, stranded} {
		slices.SortFunc(ms, func(a, b Message) int { return int(a.Seq) - int(b.Seq) }) //nolint:gosec // far below
	}
	return ready, inFlight, stranded, err
}

// OfSubject returns a stream's messages of one subject.
func (e *Engine) OfSubject(stream, native string) (all []Message, err error) {
	err = e.onStream(stream, func(s *log, _ time.Time) error {
		if of := s.subjects[native]; of != nil {
			for m := of.oldest; m != nil; m = m.newer {
				all = append(all, m.Message)
			}
		}
		return nil
	})
	return all, err
}

// Busy reports whether a consumer has messages to deliver or to be settled, or
// its stream has a schedule.
func (e *Engine) Busy(stream, name string) (busy bool) {
	_ = e.onConsumer(stream, name, func(c *consumer, _ time.Time) error {
		busy = len(c.flights) > 0 || c.pending.head() != nil || c.stream.schedules.Len() > 0
		return nil
	})
	return busy
}
