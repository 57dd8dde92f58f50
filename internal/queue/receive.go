package queue

import (
	"context"
	"math"
	"time"
)

// Receive takes up to limit messages (at least 1) on a lease; a negative lease
// means the queue's. It returns as soon as there is one; with none, it waits
// for up to wait and then returns no messages and nil. With wait 0 it does not
// block; a Standard queue then returns ErrOverLimit if MaxInFlight messages are
// in flight.
//
// If ctx ends first, Receive returns its error, or the messages handed over by
// then and no error: nothing is lost. It fails with ErrTooLong before it takes
// anything if the lease exceeds MaxLease, with ErrNoQueue if the queue is
// dropped and with ErrClosed if the engine is closed.
func (e *Engine) Receive(ctx context.Context, name string, limit int, wait, lease time.Duration) ([]Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	got, p, err := e.poll(name, limit, wait, lease)
	if p == nil {
		return got, err
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		e.endPoll(p, ctx.Err())
	}
	return p.got, p.err
}

// poll takes available messages, or else starts a poll if it is to wait.
func (e *Engine) poll(name string, limit int, wait, lease time.Duration) ([]Message, *poll, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	q, now, err := e.enter(name)
	if err != nil {
		return nil, nil, err
	}
	if longest := q.config.MaxLease; longest > 0 && q.leaseOr(lease) > longest {
		return nil, nil, ErrTooLong
	}
	full := q.room() == 0
	var got []Message
	if wait > 0 || !q.standardWorst().happens() {
		got = q.take(limit, lease, now)
	}
	var p *poll
	switch {
	case len(got) > 0:
	case wait > 0:
		p = e.startPoll(q, limit, wait, lease)
	case full && !q.config.FIFO:
		err = ErrOverLimit
	}
	e.serve(now)
	return got, p, err
}

// take receives up to limit messages that may be delivered now. Those that have
// been received too often move to the dead-letter queue instead.
func (q *queue) take(limit int, lease time.Duration, now time.Time) []Message {
	n := min(max(1, limit), q.room(), q.counts[Ready])
	if n == 0 {
		return nil
	}
	n = q.engine.worst.upTo(n)
	var got []Message
	var last *msg
	for len(got) < n {
		m := q.order.next(last)
		if m == nil {
			break
		}
		if d := q.exhausted(m, now); d != nil {
			q.moveTo(d, m, now)
			continue
		}
		if got == nil {
			got = make([]Message, 0, n)
		}
		q.receive(m, lease, now)
		got = append(got, m.Message)
		last = m
	}
	return got
}

// receive hands a message to a receiver; this is the only place that does.
func (q *queue) receive(m *msg, lease time.Duration, now time.Time) {
	m.Receives++
	m.here++
	m.received = now
	m.Receipt = Receipt{m.Seq, uint32(m.Receives)}
	if m.FirstReceive.IsZero() {
		m.FirstReceive = now
	}
	lease = q.leaseOr(lease)
	m.LeaseEnd = now.Add(lease)
	q.lease(m, now.Add(q.standardWorst().within(lease)))
	q.report(EventReceived, m, now)
}

// exhausted returns the queue that m goes to instead of being received once
// more, or nil.
func (q *queue) exhausted(m *msg, now time.Time) *queue {
	if q.config.MaxReceives <= 0 || m.here < q.config.MaxReceives {
		return nil
	}
	return q.deadLetter(now)
}

// room returns how many more messages may be in flight.
func (q *queue) room() int {
	if q.config.MaxInFlight == 0 {
		return math.MaxInt
	}
	return max(0, q.config.MaxInFlight-q.counts[InFlight])
}

// leaseOr returns the requested lease, or the queue's if that is negative.
func (q *queue) leaseOr(lease time.Duration) time.Duration {
	if lease < 0 {
		return q.config.Visibility
	}
	return lease
}
