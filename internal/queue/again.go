package queue

import "time"

// Again repeats the result of an earlier Receive: the same messages with the
// same receipts, with their leases restarted at the given length (a negative
// one means the queue's). It does not count as a receive and does not block.
//
// It returns ErrGone if one of the messages was deleted, extended or released
// since; ErrExpired if a lease has run out; ErrTooLong as for Receive. Then
// nothing is changed.
func (e *Engine) Again(name string, got []Message, lease time.Duration) (again []Message, err error) {
	err = e.do(name, func(q *queue, now time.Time) error {
		lease = q.leaseOr(lease)
		if longest := q.config.MaxLease; longest > 0 && lease > longest {
			return ErrTooLong
		}
		for i := range got {
			if err := q.unchanged(&got[i]); err != nil {
				return err
			}
		}
		again = make([]Message, len(got))
		for i := range got {
			m := q.all[got[i].Receipt.Seq]
			m.received, m.LeaseEnd = now, now.Add(lease)
			q.lease(m, m.LeaseEnd)
			q.report(EventExtended, m, now)
			again[i] = m.Message
		}
		return nil
	})
	return again, err
}

// unchanged reports whether a received message is as it was handed out.
func (q *queue) unchanged(got *Message) error {
	m := q.all[got.Receipt.Seq]
	switch {
	case m == nil:
		return ErrGone
	case m.Receipt != got.Receipt:
		return ErrExpired
	case !m.LeaseEnd.Equal(got.LeaseEnd):
		return ErrGone
	case m.state != InFlight:
		return ErrExpired
	}
	return nil
}
