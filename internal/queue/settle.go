package queue

import "time"

// Delete removes a received message; it returns nil if it is no longer there.
// On a FIFO queue it returns ErrExpired unless the receipt is the newest one
// and its lease is still running. On a Standard queue every receipt of the
// message is accepted.
func (e *Engine) Delete(name string, r Receipt) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	q, now, err := e.enter(name)
	if err != nil {
		return err
	}
	m := q.all[r.Seq]
	if m == nil {
		return nil
	}
	if q.config.FIFO && !m.leasedTo(r) {
		return ErrExpired
	}
	q.report(EventDeleted, m, now)
	if !m.back && q.standardWorst().happens() {
		m.back = true
		q.release(m)
	} else {
		q.remove(m)
		e.recycle(m)
	}
	e.serve(now)
	return nil
}

// Extend sets the end of a message's lease to lease from now and returns it. 0
// releases the message: it is visible at once. A negative lease means the
// queue's.
//
// It returns ErrGone if the message is no longer there, ErrExpired if it was
// received again since or, on a FIFO queue, if the lease has run out. On a
// Standard queue a message whose lease has run out, and which nobody has
// received since, is taken back into flight. ErrTooLong means that the end
// would be later than MaxLease after the receive; the lease is not shortened to
// fit.
func (e *Engine) Extend(name string, r Receipt, lease time.Duration) (end time.Time, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	q, now, err := e.enter(name)
	if err != nil {
		return time.Time{}, err
	}
	m, err := q.held(r)
	if err != nil {
		return time.Time{}, err
	}
	lease = q.leaseOr(lease)
	end = now.Add(lease)
	if limit := q.config.MaxLease; lease > 0 && limit > 0 && end.After(m.received.Add(limit)) {
		return time.Time{}, ErrTooLong
	}
	m.LeaseEnd = end
	if lease > 0 {
		q.lease(m, end)
		q.report(EventExtended, m, now)
	} else {
		q.release(m)
		q.report(EventReleased, m, now)
	}
	e.serve(now)
	return end, nil
}

// Reject moves a received message to the queue's dead-letter queue at once,
// however often it was received. attrs, if not nil, is called under the
// engine's mutex with the message's Attrs and returns its Attrs there. The
// errors are Extend's, and ErrNoDeadLetter.
func (e *Engine) Reject(name string, r Receipt, attrs func(any) any) error {
	return e.do(name, func(q *queue, now time.Time) error {
		m, err := q.held(r)
		if err != nil {
			return err
		}
		d := q.deadLetter(now)
		if d == nil {
			return ErrNoDeadLetter
		}
		if attrs != nil {
			m.Attrs = attrs(m.Attrs)
		}
		q.moveTo(d, m, now)
		return nil
	})
}

// held returns the message that r may change beyond deleting it.
func (q *queue) held(r Receipt) (*msg, error) {
	m := q.all[r.Seq]
	switch {
	case m == nil:
		return nil, ErrGone
	case m.Receipt != r, q.config.FIFO && m.state != InFlight:
		return nil, ErrExpired
	}
	return m, nil
}

// leasedTo reports whether r is the receipt of m's current lease.
func (m *msg) leasedTo(r Receipt) bool { return m.state == InFlight && m.Receipt == r }
