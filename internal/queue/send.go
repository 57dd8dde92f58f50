package queue

import "time"

// Send stores a message, or finds that it is a duplicate. It does not block.
// The error is ErrNoQueue or ErrClosed.
func (e *Engine) Send(name string, s Send) (Sent, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	q, now, err := e.enter(name)
	if err != nil {
		return Sent{}, err
	}
	key, remember := q.config.dedupKey(&s)
	if remember {
		if first, ok := q.dedup.known(key); ok {
			first.Duplicate, first.Time = true, now
			return first, nil
		}
	}
	m := q.admit(&s, now)
	sent := Sent{ID: m.ID, Seq: m.Seq, Time: now}
	if remember {
		q.dedup.remember(key, sent)
	}
	q.report(EventSent, m, now)
	e.serve(now)
	return sent, nil
}

// admit adds a new message with the delay that applies to it.
func (q *queue) admit(s *Send, now time.Time) *msg {
	m := q.engine.newMsg()
	m.ID, m.Body, m.Attrs, m.Group, m.DedupID, m.Sent = s.ID, s.Body, s.Attrs, s.Group, s.DedupID, now
	delay := q.config.Delay
	if s.HasDelay {
		delay = s.Delay
	}
	if delay > 0 {
		q.add(m, Delayed, now.Add(delay))
	} else {
		q.add(m, Ready, time.Time{})
	}
	return m
}
