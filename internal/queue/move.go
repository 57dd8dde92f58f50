package queue

import "time"

// Move takes up to limit messages that could be received now off a queue and
// puts them into others, oldest first; moved is their number. place is called
// under the engine's mutex with each, and returns the queue that it goes to and
// what it becomes there: a new message, without receives, delay or dedup. Move
// ends with the first error of place, and with ErrNoQueue if there is no such
// queue; the message then stays.
func (e *Engine) Move(name string, limit int, place func(Message) (to string, as Send, err error)) (moved int, err error) {
	err = e.do(name, func(q *queue, now time.Time) error {
		for moved < limit {
			m := q.order.next(nil)
			if m == nil {
				return nil
			}
			to, as, err := place(m.Message)
			if err != nil {
				return err
			}
			d := e.queues[to]
			if d == nil {
				return ErrNoQueue
			}
			d.advance(now)
			q.report(EventDiscarded, m, now)
			q.remove(m)
			moved++
			n := &msg{Message: Message{
				ID: as.ID, Body: as.Body, Attrs: as.Attrs, Group: as.Group, DedupID: as.DedupID, Sent: now,
			}}
			d.add(n, Ready, time.Time{})
			d.report(EventSent, n, now)
		}
		return nil
	})
	return moved, err
}
