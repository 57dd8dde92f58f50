package stream

import "time"

// PublishAtomic stores all messages of a batch (at least one) with nothing
// between them, or none. Sent describes the last of them; those before it have
// the preceding sequence numbers. It fails as Publish does, and with
// ErrNoAtomic, ErrDuplicate and ErrLateRollup; failed is the index of the
// message concerned. A duplicate fails with that error and is not acknowledged.
// Expectations are compared with the stream before the batch; a message may
// expect nothing that an earlier one of the batch would change, and no last id.
func (e *Engine) PublishAtomic(ms []Send) (sent Sent, failed int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return sent, 0, ErrClosed
	}
	s := e.streamOf(ms[0].Subject)
	for i := range ms {
		if s == nil || e.streamOf(ms[i].Subject) != s {
			return sent, i, ErrNotCaptured
		}
	}
	now := time.Now()
	s.advance(now)
	if failed, err = s.checkBatch(ms); err == nil {
		for i := range ms {
			sent = s.take(&ms[i], now)
		}
	}
	e.serve(now)
	return sent, failed, err
}

// checkBatch checks in the server's order: first the sizes of all messages,
// which the server checks as they arrive, and then each message as a whole.
func (s *log) checkBatch(ms []Send) (failed int, err error) {
	if !s.config.AllowAtomic {
		return 0, ErrNoAtomic
	}
	for i := range ms {
		if s.tooLarge(&ms[i]) {
			return i, ErrTooLarge
		}
	}
	b := batch{log: s, ids: map[string]bool{}, each: map[string]int64{}}
	for i := range ms {
		if err := b.add(&ms[i]); err != nil {
			return i, err
		}
	}
	return 0, nil
}

// batch accumulates the effect of the first messages of a batch on their
// stream.
type batch struct {
	*log
	ids     map[string]bool
	each    map[string]int64 // how many of each subject
	n, size int64            // how many, and of how many bytes
}

// add returns the reason to refuse the next message, if any.
func (b *batch) add(m *Send) error {
	if err := b.check(m); err != nil {
		return err
	}
	if m.DedupID != "" {
		if _, known := b.dedup.known(m.DedupID); known || b.ids[m.DedupID] {
			return ErrDuplicate
		}
		b.ids[m.DedupID] = true
	}
	if x := &m.Expect; x.LastSeq != nil && b.n > 0 || x.LastSubjectSeq != nil && b.each[m.Subject] > 0 {
		return &ExpectationError{"last sequence", "that of a message of the batch"}
	}
	if err := b.checkSequences(m); err != nil {
		return err
	}
	if err := b.checkRollup(m); err != nil {
		return err
	}
	b.n++
	b.size += b.config.stored(m)
	b.each[m.Subject]++
	return b.checkRoom(m)
}

func (b *batch) checkRollup(m *Send) error {
	switch {
	case m.Rollup == RollupNothing:
		return nil
	case !b.config.AllowRollup:
		return ErrNoRollup
	case m.Rollup == RollupAll && b.n > 0, b.each[m.Subject] > 0:
		return ErrLateRollup
	}
	return nil
}

// checkRoom counts strictly, as the server does for a batch: replaced messages
// and those that nobody reads take room too (nats-server's
// checkMsgHeadersPreClusteredProposal).
func (b *batch) checkRoom(m *Send) error {
	c := &b.config
	if !c.DiscardNew {
		return nil
	}
	there := int64(0)
	if of := b.subjects[m.Subject]; of != nil {
		there = of.n
	}
	switch {
	case c.MaxMsgs > 0 && int64(len(b.bySeq))+b.n > c.MaxMsgs:
		return &FullError{"messages"}
	case c.MaxBytes > 0 && b.bytes+b.size > c.MaxBytes:
		return &FullError{"bytes"}
	case c.DiscardNewPerSubject && c.MaxMsgsPerSubject > 0 && m.Rollup == RollupNothing && there+b.each[m.Subject] > c.MaxMsgsPerSubject:
		return &FullError{"messages per subject"}
	}
	return nil
}
