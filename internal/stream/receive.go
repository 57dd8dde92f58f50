package stream

import (
	"context"
	"time"

	"github.com/candidmq/candidmq/internal/heap"
)

// Receive takes up to limit messages (at least 1) from a consumer. It returns
// as soon as there is one; with none, it waits for up to wait and then returns
// no messages and nil. With wait 0 it does not block. If ctx ends first,
// Receive returns its error, or the messages handed over by then and no error:
// nothing is lost. It fails with ErrNoStream or ErrNoConsumer, even if the
// consumer is dropped during the wait, and with ErrClosed if the engine is
// closed.
func (e *Engine) Receive(ctx context.Context, stream, name string, limit int, wait time.Duration) ([]Message, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	got, p, err := e.poll(stream, name, limit, wait)
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
func (e *Engine) poll(stream, name string, limit int, wait time.Duration) ([]Message, *poll, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, now, err := e.enter(stream, name)
	if err != nil {
		return nil, nil, err
	}
	got := c.take(limit, now)
	var p *poll
	if len(got) == 0 && wait > 0 {
		p = c.startPoll(limit, wait)
	}
	e.serve(now)
	return got, p, nil
}

// take delivers up to limit messages.
func (c *consumer) take(limit int, now time.Time) []Message {
	n := max(1, limit)
	if e := c.stream.engine; e.happens() {
		n = 1 + e.worst.IntN(n)
	}
	var got []Message
	for len(got) < n {
		f := c.nextFlight()
		if f == nil {
			break
		}
		if got == nil {
			got = make([]Message, 0, min(n, c.again.Len()+len(c.pending.all)-c.pending.first+1))
		}
		got = append(got, c.deliver(f, now))
	}
	return got
}

// nextFlight returns the next flight to deliver, or nil.
func (c *consumer) nextFlight() *flight {
	e := c.stream.engine
	f := c.stray()
	for f != nil && c.strand(f) {
		f = c.stray()
	}
	if f != nil && !e.happens() {
		return f
	}
	if most := c.config.MaxAckPending; c.config.NoAck || most == 0 || len(c.flights) < most {
		if m := c.pending.pop(); m != nil {
			return &flight{m: m, dueAt: heap.Absent}
		}
	}
	return f // was passed over in favour of new messages
}

// far is how far a redelivery strays from its place when the engine does its
// worst.
const far = 12

// stray returns the next flight to deliver again, the first or one near it, or
// nil.
func (c *consumer) stray() *flight {
	at := c.again.Front()
	if at == nil {
		return nil
	}
	if w := c.stream.engine.worst; w != nil {
		for range w.IntN(min(far, c.again.Len())) {
			at = at.Next()
		}
	}
	return at.Value.(*flight)
}

// deliver hands a message to a receiver; this is the only place that does.
func (c *consumer) deliver(f *flight, now time.Time) Message {
	c.ground(f)
	f.attempt++
	f.released = false
	d := f.m.Message
	d.Attempt = f.attempt
	if c.config.NoAck {
		c.stream.settle(f.m)
		return d
	}
	f.end = now.Add(c.config.lease(f.attempt))
	d.LeaseEnd = f.end
	c.flights[f.m.Seq] = f
	c.due.Push(c.stream.key(f.m, f.end), f, &f.dueAt)
	c.stream.engine.touch(c)
	return d
}
