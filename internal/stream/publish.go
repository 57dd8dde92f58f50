package stream

import (
	"strconv"
	"time"
)

// Publish stores a message in the stream that captures its subject, or tells
// which one it is a duplicate of. It fails with ErrNotCaptured, ErrTooLarge,
// ErrHeaderTooLarge, ErrNoTTL, an [*ExpectationError], in this order of precedence, and with a
// [*FullError], and then nothing is stored. A message that a stream with
// interest retention has no consumer for is numbered and not stored.
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
	if m.DedupID != "" {
		if seq, known := s.dedup.known(m.DedupID); known {
			return Sent{Stream: s.name, Seq: seq, Duplicate: true, NoAck: s.config.NoAck}, nil
		}
	}
	if id := m.Expect.LastID; id != nil && *id != s.lastID {
		return Sent{}, &ExpectationError{"last msg ID", s.lastID}
	}
	if s.config.Retention == Interest && len(s.readersOf(m.Subject)) == 0 {
		s.lastSeq++
		s.lastID = m.DedupID
		return s.sent(m, s.lastSeq, now), nil
	}
	if err := s.hasRoom(m); err != nil {
		return Sent{}, err
	}
	return s.sent(m, s.store(m, now).Seq, now), nil
}

// sent remembers the id of what was stored.
func (s *log) sent(m *Send, seq uint64, now time.Time) Sent {
	if m.DedupID != "" && s.config.DedupWindow > 0 {
		s.dedup.remember(m.DedupID, seq, now)
	}
	return Sent{Stream: s.name, Seq: seq, NoAck: s.config.NoAck}
}

func (s *log) check(m *Send) error {
	x := &m.Expect
	switch {
	case s.config.MaxMsgSize > 0 && m.Size() > s.config.MaxMsgSize:
		return ErrTooLarge
	case s.config.MaxHeaderSize > 0 && m.HeaderSize > s.config.MaxHeaderSize:
		return ErrHeaderTooLarge
	case x.Stream != nil && *x.Stream != s.name:
		return &ExpectationError{"stream", s.name}
	case !s.config.AllowTTL && (m.TTL > 0 || m.Then != nil && m.Then.TTL > 0):
		return ErrNoTTL
	}
	if x.LastSubjectSeq != nil {
		last := uint64(0)
		if of := s.subjects[m.Subject]; of != nil {
			last = of.newest.Seq
		}
		if last != *x.LastSubjectSeq {
			return &ExpectationError{"last sequence", strconv.FormatUint(last, 10)}
		}
	}
	if x.LastSeq != nil && *x.LastSeq != s.lastSeq {
		return &ExpectationError{"last sequence", strconv.FormatUint(s.lastSeq, 10)}
	}
	return nil
}
