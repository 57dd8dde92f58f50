package stream

import (
	"time"

	"github.com/candidmq/candidmq/internal/heap"
	"github.com/candidmq/candidmq/internal/subject"
)

// log is one stream. All of it is guarded by the engine's mutex.
type log struct {
	engine *Engine
	name   string
	config Config

	lastSeq    uint64
	lastID     string // of the last publish, "" without one
	bySeq      map[uint64]*msg
	head, tail *msg
	bytes      int64
	subjects   map[string]*ofSubject

	ends      heap.Heap[*msg] // messages with a TTL, by its end
	schedules heap.Heap[*msg] // by when they are due
	dedup     dedup

	consumers map[string]*consumer
	readers   subject.Index[*consumer] // by their filters
	found     []*consumer              // room for the results of readers
}

// ofSubject are the messages of one subject.
type ofSubject struct {
	oldest, newest *msg
	n              int64
}

func newLog(e *Engine, name string, c Config) *log {
	return &log{
		engine: e, name: name, config: c,
		bySeq: map[uint64]*msg{}, subjects: map[string]*ofSubject{}, consumers: map[string]*consumer{},
	}
}

// advance applies all timed changes since the last operation, each at its time,
// since one may cause another.
func (s *log) advance(now time.Time) {
	for {
		at, do := s.next()
		if do == nil || at.After(now) {
			break
		}
		do(at)
	}
	if s.config.DedupWindow > 0 {
		s.dedup.forget(now.Add(-s.config.DedupWindow))
	}
}

// next returns the next timed change of the stream; do is nil if there is none.
func (s *log) next() (at time.Time, do func(at time.Time)) {
	if at, ok := s.nextSchedule(); ok {
		if end, ok := s.nextEnd(); !ok || at.Before(end) {
			return at, s.fire
		}
	}
	if at, ok := s.nextEnd(); ok {
		return at, s.expire
	}
	return at, nil
}

// nextSchedule returns when the next schedule is due.
func (s *log) nextSchedule() (at time.Time, ok bool) {
	k, _, ok := s.schedules.Top()
	return s.engine.start.Add(time.Duration(k.At)), ok
}

// nextEnd returns when the next message expires.
func (s *log) nextEnd() (at time.Time, ok bool) {
	if k, _, some := s.ends.Top(); some {
		at, ok = s.engine.start.Add(time.Duration(k.At)), true
	}
	if age := s.config.MaxAge; age > 0 && s.head != nil {
		if end := s.head.Time.Add(age); !ok || end.Before(at) {
			return end, true
		}
	}
	return at, ok
}

// fire publishes the message of a schedule, in its place. A stream with
// schedules never discards new messages (nats-server, error 10052).
func (s *log) fire(at time.Time) {
	_, m, _ := s.schedules.Top()
	then := m.then
	s.schedules.Remove(m.dueAt)
	s.store(then, at)
	if !m.gone { // a limit may have taken it
		s.remove(m)
	}
}

// expire removes messages that are too old at a time.
func (s *log) expire(at time.Time) {
	if k, m, ok := s.ends.Top(); ok && k.At <= s.engine.sinceStart(at) {
		s.remove(m)
		return
	}
	s.remove(s.head)
}

// store stores a message, and gives it to the consumers that it is for.
func (s *log) store(m *Send, now time.Time) *msg {
	s.lastSeq++
	in := &msg{
		Message: Message{Seq: s.lastSeq, Subject: m.Subject, Body: m.Body, Attrs: m.Attrs, DedupID: m.DedupID, Time: now},
		stored:  s.config.stored(m), then: m.Then, endAt: heap.Absent, dueAt: heap.Absent,
	}
	s.lastID = m.DedupID
	s.link(in)
	if m.TTL > 0 {
		s.ends.Push(s.key(in, now.Add(m.TTL)), in, &in.endAt)
	}
	if m.Then != nil {
		s.schedules.Push(s.key(in, now.Add(m.After)), in, &in.dueAt)
		for _, c := range s.consumers {
			s.engine.touch(c) // its next event may be this one
		}
	}
	for _, c := range s.readersOf(in.Subject) {
		c.pend(in)
	}
	s.enforce(in.Subject)
	return in
}

// readersOf returns the consumers that a subject is for. The next call reuses
// the slice.
func (s *log) readersOf(native string) []*consumer {
	s.found = s.readers.Lookup(native, s.found[:0])
	return s.found
}

// key orders m by a time, and by Seq among equal times.
func (s *log) key(m *msg, t time.Time) heap.Key {
	return heap.Key{At: s.engine.sinceStart(t), Seq: m.Seq}
}

// link makes m the last message of the stream, and of its subject.
func (s *log) link(m *msg) {
	s.bySeq[m.Seq] = m
	s.bytes += m.stored
	if m.prev = s.tail; m.prev == nil {
		s.head = m
	} else {
		m.prev.next = m
	}
	s.tail = m
	of := s.subjects[m.Subject]
	if of == nil {
		of = &ofSubject{}
		s.subjects[m.Subject] = of
	}
	of.n++
	if m.older = of.newest; m.older == nil {
		of.oldest = m
	} else {
		m.older.newer = m
	}
	of.newest = m
}

// unlink undoes link.
func (s *log) unlink(m *msg) {
	delete(s.bySeq, m.Seq)
	s.bytes -= m.stored
	if m.prev == nil {
		s.head = m.next
	} else {
		m.prev.next = m.next
	}
	if m.next == nil {
		s.tail = m.prev
	} else {
		m.next.prev = m.prev
	}
	of := s.subjects[m.Subject]
	if of.n--; of.n == 0 {
		delete(s.subjects, m.Subject)
	}
	if m.older == nil {
		of.oldest = m.newer
	} else {
		m.older.newer = m.newer
	}
	if m.newer == nil {
		of.newest = m.older
	} else {
		m.newer.older = m.older
	}
	m.prev, m.next, m.older, m.newer = nil, nil, nil, nil
}

// remove takes a message out of the stream, for all consumers.
func (s *log) remove(m *msg) {
	s.unlink(m)
	m.gone = true
	if m.endAt != heap.Absent {
		s.ends.Remove(m.endAt)
	}
	if m.dueAt != heap.Absent {
		s.schedules.Remove(m.dueAt)
	}
	for _, c := range s.readersOf(m.Subject) {
		c.drop(m)
	}
	s.engine.settled()
}

// hasRoom returns why a stream that discards new messages does not accept m.
func (s *log) hasRoom(m *Send) error {
	c := &s.config
	if !c.DiscardNew {
		return nil
	}
	of := s.subjects[m.Subject]
	replaces := c.MaxMsgsPerSubject > 0 && of != nil && of.n >= c.MaxMsgsPerSubject
	switch {
	case replaces && c.DiscardNewPerSubject && m.Rollup == RollupNothing:
		return &FullError{"messages per subject"}
	case c.MaxMsgs > 0 && int64(len(s.bySeq)) >= c.MaxMsgs && !replaces:
		return &FullError{"messages"}
	case c.MaxBytes > 0 && s.bytes+c.stored(m) > c.MaxBytes && (!replaces || of.oldest.stored < c.stored(m)):
		return &FullError{"bytes"}
	}
	return nil
}

// enforce removes the oldest messages until the limits are kept.
func (s *log) enforce(subject string) {
	c := &s.config
	if most := c.MaxMsgsPerSubject; most > 0 {
		for of := s.subjects[subject]; of != nil && of.n > most; {
			s.remove(of.oldest)
		}
	}
	if c.DiscardNew {
		return
	}
	for c.MaxMsgs > 0 && int64(len(s.bySeq)) > c.MaxMsgs {
		s.remove(s.head)
	}
	for c.MaxBytes > 0 && s.bytes > c.MaxBytes {
		s.remove(s.head)
	}
}

// enforceAll is enforce for all subjects.
func (s *log) enforceAll() {
	for name := range s.subjects {
		s.enforce(name)
	}
}

// settle is called when a consumer has settled a message.
func (s *log) settle(m *msg) {
	switch s.config.Retention {
	case Limits:
	case WorkQueue:
		if !m.gone {
			s.remove(m)
		}
	case Interest:
		if m.interest--; m.interest <= 0 && !m.gone {
			s.remove(m)
		}
	}
	s.engine.settled()
}
