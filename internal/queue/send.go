package queue

import "time"

// Send stores a message, or finds it to be a duplicate. It does not block. The
// error is ErrNoQueue or ErrClosed.
func (e *Engine) Send(name string, s Send) (Sent, error) {
	m := &msg{Message: Message{ // before the mutex: nobody has to wait for it
		ID: s.ID, Body: s.Body, Attrs: s.Attrs, Group: s.Group, DedupID: s.DedupID,
	}}
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
	m.Sent = now
	q.admit(m, &s, now)
	sent := Sent{ID: m.ID, Seq: m.Seq, Time: now}
	if remember {
		q.dedup.remember(key, sent)
	}
	q.report(EventSent, m, now)
	e.serve(now)
	return sent, nil
}

// admit adds a new message with the delay that holds for it.
func (q *queue) admit(m *msg, s *Send, now time.Time) {
	delay := q.config.Delay
	if s.HasDelay {
		delay = s.Delay
	}
	if delay > 0 {
		q.add(m, Delayed, now.Add(delay))
		return
	}
	q.add(m, Ready, time.Time{})
}
