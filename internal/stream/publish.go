package stream

import (
	"strconv"
	"time"
)

// Publish stores a message in the stream that captures its subject, or reports
// the message it is a duplicate of. It fails with ErrNotCaptured, ErrTooLarge,
// ErrHeaderTooLarge, ErrNoTTL, an [*ExpectationError], ErrNoRollup and a
// [*FullError], in this order of precedence, and then nothing is stored. A
// message for which a stream with interest retention has no consumer is
// numbered but not stored.
func (e *Engine) Publish(m *Send) (sent Sent, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return sent, ErrClosed
	}
	s := e.streamOf(m.Subject)
	if s == nil {
		return sent, ErrNotCaptured
	}
	now := time.Now()
	s.advance(now)
	sent, err = s.publish(m, now)
	e.serve(now)
	return sent, err
}

func (s *log) publish(m *Send, now time.Time) (Sent, error) {
	if err := s.check(m); err != nil {
		return Sent{}, err
	}
	if err := s.checkSequences(m); err != nil {
		return Sent{}, err
	}
	if seq, known := s.dedup.known(m.DedupID); known {
		return Sent{Stream: s.name, Seq: seq, Duplicate: true, NoAck: s.config.NoAck}, nil
	}
	if id := m.Expect.LastID; id != nil && *id != s.lastID {
		return Sent{}, &ExpectationError{"last msg ID", s.lastID}
	}
	if m.Rollup != RollupNothing && !s.config.AllowRollup {
		return Sent{}, ErrNoRollup
	}
	if !s.unread(m.Subject) {
		if err := s.hasRoom(m); err != nil {
			return Sent{}, err
		}
	}
	return s.take(m, now), nil
}

// unread reports whether a message of a subject is not stored because nobody
// reads it.
func (s *log) unread(native string) bool {
	return s.config.Retention == Interest && len(s.readersOf(native)) == 0
}

// take numbers an accepted message, stores it unless it is unread, and
// remembers its id.
func (s *log) take(m *Send, now time.Time) Sent {
	var in *msg
	if s.unread(m.Subject) {
		s.lastSeq++
		s.lastID = m.DedupID
	} else {
		in = s.store(m, now)
	}
	s.rollUp(m, in)
	if m.DedupID != "" && s.config.DedupWindow > 0 {
		s.dedup.remember(m.DedupID, s.lastSeq, now)
	}
	return Sent{Stream: s.name, Seq: s.lastSeq, NoAck: s.config.NoAck}
}

// rollUp removes the messages that m replaces, except in, which is m in the
// stream, or nil if it is not there.
func (s *log) rollUp(m *Send, in *msg) {
	next := func() *msg { return s.head }
	switch m.Rollup {
	case RollupNothing:
		return
	case RollupSubject:
		next = func() *msg {
			if of := s.subjects[m.Subject]; of != nil {
				return of.oldest
			}
			return nil
		}
	case RollupAll:
	}
	for old := next(); old != nil && old != in; old = next() {
		s.remove(old)
	}
}

// check returns the reason to refuse a message by itself, if any.
func (s *log) check(m *Send) error {
	switch x := &m.Expect; {
	case s.tooLarge(m):
		return ErrTooLarge
	case s.config.MaxHeaderSize > 0 && m.HeaderSize > s.config.MaxHeaderSize:
		return ErrHeaderTooLarge
	case x.Stream != nil && *x.Stream != s.name:
		return &ExpectationError{"stream", s.name}
	case !s.config.AllowTTL && (m.TTL > 0 || m.Then != nil && m.Then.TTL > 0):
		return ErrNoTTL
	}
	return nil
}

func (s *log) tooLarge(m *Send) bool {
	return s.config.MaxMsgSize > 0 && m.Size() > s.config.MaxMsgSize
}

func (s *log) checkSequences(m *Send) error {
	x := &m.Expect
	if x.LastSubjectSeq != nil {
		last := uint64(0)
		if of := s.subjects[m.Subject]; of != nil {
			last = of.newest.Seq
		}
		if last != *x.LastSubjectSeq {
			return wrongSequence(last)
		}
	}
	if x.LastSeq != nil && *x.LastSeq != s.lastSeq {
		return wrongSequence(s.lastSeq)
	}
	return nil
}

func wrongSequence(last uint64) error {
	return &ExpectationError{"last sequence", strconv.FormatUint(last, 10)}
}
