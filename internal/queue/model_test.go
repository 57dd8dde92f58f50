package queue_test

import (
	"cmp"
	"slices"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

// model is what a queue is, told as simply as possible: everything in one
// slice, and everything looked for by going through it.
type model struct {
	name   string
	config queue.Config
	dead   *model
	msgs   []*modelMsg // in the order of Seq
	seen   []modelSend
	seq    *uint64 // of the engine
	turn   int
}

type modelMsg struct {
	id, group  string
	seq        uint64
	receives   int
	here       int
	sent       time.Time
	received   time.Time
	state      queue.State
	due        time.Time
	visible    int // the turn at which it became visible
	lastHandle queue.Receipt
}

type modelSend struct {
	key  string
	sent queue.Sent
}

func (q *model) nextSeq() uint64 { *q.seq++; return *q.seq }

func (q *model) show(m *modelMsg) {
	q.turn++
	m.state, m.visible = queue.Ready, q.turn
}

func (q *model) drop(m *modelMsg) {
	q.msgs = slices.DeleteFunc(q.msgs, func(o *modelMsg) bool { return o == m })
}

// advance brings the model to now.
func (q *model) advance(now time.Time) {
	over := func(start time.Time, d time.Duration) bool { return !start.Add(d).After(now) }
	if q.config.Retention > 0 {
		q.msgs = slices.DeleteFunc(q.msgs, func(m *modelMsg) bool { return over(m.sent, q.config.Retention) })
	}
	q.seen = slices.DeleteFunc(q.seen, func(s modelSend) bool { return over(s.sent.Time, q.config.DedupWindow) })
	var due []*modelMsg
	for _, m := range q.msgs {
		if m.state != queue.Ready && !m.due.After(now) {
			due = append(due, m)
		}
	}
	slices.SortFunc(due, func(a, b *modelMsg) int {
		return cmp.Or(a.due.Compare(b.due), cmp.Compare(a.seq, b.seq))
	})
	for _, m := range due {
		q.show(m)
	}
}

func (q *model) send(s queue.Send, now time.Time) queue.Sent {
	key := s.DedupID
	if q.config.DedupScope == queue.DedupPerGroup {
		key += "/" + s.Group
	}
	dedup := s.DedupID != "" && q.config.DedupWindow > 0
	for _, old := range q.seen {
		if dedup && old.key == key {
			return queue.Sent{ID: old.sent.ID, Seq: old.sent.Seq, Duplicate: true, Time: now}
		}
	}
	m := &modelMsg{id: s.ID, group: s.Group, seq: q.nextSeq(), sent: now}
	delay := q.config.Delay
	if s.HasDelay {
		delay = s.Delay
	}
	if delay > 0 {
		m.state, m.due = queue.Delayed, now.Add(delay)
	} else {
		q.show(m)
	}
	q.msgs = append(q.msgs, m)
	sent := queue.Sent{ID: s.ID, Seq: m.seq, Time: now}
	if dedup {
		q.seen = append(q.seen, modelSend{key, sent})
	}
	return sent
}

func (q *model) receive(n int, lease time.Duration, now time.Time) ([]*modelMsg, error) {
	if lease < 0 {
		lease = q.config.Visibility
	}
	if q.config.MaxLease > 0 && lease > q.config.MaxLease {
		return nil, queue.ErrTooLong
	}
	full := func() bool {
		return q.config.MaxInFlight > 0 && q.count(queue.InFlight) >= q.config.MaxInFlight
	}
	if full() && !q.config.FIFO {
		return nil, queue.ErrOverLimit
	}
	var got []*modelMsg
	for len(got) < n && !full() {
		m := q.next(got)
		if m == nil {
			break
		}
		if q.exhaust(m, now) {
			continue
		}
		m.receives++
		m.here++
		m.received, m.state, m.due = now, queue.InFlight, now.Add(lease)
		m.lastHandle = queue.Receipt{Seq: m.seq, Receive: uint32(m.receives)}
		got = append(got, m)
	}
	return got, nil
}

// next is the message that a receive takes after those that it has taken: of
// the group that it took the last one from, else the oldest, or on a Standard
// queue the one that has been visible for longest.
func (q *model) next(taken []*modelMsg) (next *modelMsg) {
	for _, m := range q.msgs {
		switch {
		case !q.mayDeliver(m, taken):
		case q.config.FIFO && len(taken) > 0 && m.group == taken[len(taken)-1].group:
			return m
		case next == nil, !q.config.FIFO && m.visible < next.visible:
			next = m
		}
	}
	return next
}

// mayDeliver is the rule of FIFO: no earlier message of the group is in flight
// or delayed, but for those that this receive has taken.
func (q *model) mayDeliver(m *modelMsg, taken []*modelMsg) bool {
	if m.state != queue.Ready {
		return false
	}
	return !q.config.FIFO || !slices.ContainsFunc(q.msgs, func(o *modelMsg) bool {
		return o.group == m.group && o.seq < m.seq && o.state != queue.Ready && !slices.Contains(taken, o)
	})
}

func (q *model) exhaust(m *modelMsg, now time.Time) bool {
	if q.dead == nil || q.config.MaxReceives == 0 || m.here < q.config.MaxReceives {
		return false
	}
	q.move(m, now)
	return true
}

func (q *model) move(m *modelMsg, now time.Time) {
	q.drop(m)
	moved := *m
	moved.seq, moved.here, moved.lastHandle = q.nextSeq(), 0, queue.Receipt{}
	if q.dead.config.FIFO {
		moved.sent = now
	}
	q.dead.msgs = append(q.dead.msgs, &moved)
	q.dead.show(&moved)
}

func (q *model) find(r queue.Receipt) *modelMsg {
	for _, m := range q.msgs {
		if m.seq == r.Seq {
			return m
		}
	}
	return nil
}

func (q *model) delete(r queue.Receipt) error {
	m := q.find(r)
	if m == nil {
		return nil
	}
	if q.config.FIFO && (m.lastHandle != r || m.state != queue.InFlight) {
		return queue.ErrExpired
	}
	q.drop(m)
	return nil
}

func (q *model) held(r queue.Receipt) (*modelMsg, error) {
	m := q.find(r)
	if m == nil {
		return nil, queue.ErrGone
	}
	if m.lastHandle != r || (q.config.FIFO && m.state == queue.Ready) {
		return nil, queue.ErrExpired
	}
	return m, nil
}

func (q *model) extend(r queue.Receipt, lease time.Duration, now time.Time) error {
	m, err := q.held(r)
	if err != nil {
		return err
	}
	if lease < 0 {
		lease = q.config.Visibility
	}
	if lease == 0 {
		if m.state != queue.Ready {
			q.show(m)
		}
		return nil
	}
	if q.config.MaxLease > 0 && now.Add(lease).Sub(m.received) > q.config.MaxLease {
		return queue.ErrTooLong
	}
	m.state, m.due = queue.InFlight, now.Add(lease)
	return nil
}

func (q *model) reject(r queue.Receipt, now time.Time) error {
	m, err := q.held(r)
	if err != nil {
		return err
	}
	if q.dead == nil {
		return queue.ErrNoDeadLetter
	}
	q.move(m, now)
	return nil
}

func (q *model) purge() { q.msgs, q.seen = nil, nil }

func (q *model) count(s queue.State) (n int) {
	for _, m := range q.msgs {
		if m.state == s {
			n++
		}
	}
	return n
}

func (q *model) stats() (s queue.Stats) {
	s.Ready, s.InFlight, s.Delayed = q.count(queue.Ready), q.count(queue.InFlight), q.count(queue.Delayed)
	for _, m := range q.msgs {
		if s.Oldest.IsZero() || m.sent.Before(s.Oldest) {
			s.Oldest = m.sent
		}
	}
	return s
}
