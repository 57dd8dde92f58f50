package queue

import (
	"math/rand/v2"
	"time"
)

// PlayWorst makes every queue randomly do what the contract of SQS allows but
// what rarely happens. The same seed and the same operations give the same run;
// 0 ends it. A Standard queue then
//
//   - hands out messages in another order, within a dozen of the right place,
//   - makes a message visible again before its lease ends: a duplicate,
//   - delivers a deleted message once more, until it is deleted again,
//   - finds nothing in a receive that does not wait, though there are messages.
//
// On either kind of queue a receive takes fewer messages than it could, but at
// least one. The order of a FIFO queue and its leases hold.
func (e *Engine) PlayWorst(seed uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.worst = nil
	if seed != 0 {
		e.worst = &worst{rand.New(rand.NewPCG(seed, seed))} //nolint:gosec // repeatable on purpose
	}
}

// worst decides what goes wrong; a nil one decides that nothing does. Guarded by
// the engine's mutex.
type worst struct{ rand *rand.Rand }

// happens reports whether this goes wrong now: one time in four.
func (w *worst) happens() bool { return w != nil && w.rand.IntN(4) == 0 }

// upTo returns n, or fewer but at least 1.
func (w *worst) upTo(n int) int {
	if !w.happens() {
		return n
	}
	return 1 + w.rand.IntN(n)
}

// within returns d, or a part of it.
func (w *worst) within(d time.Duration) time.Duration {
	if d <= 0 || !w.happens() {
		return d
	}
	return time.Duration(w.rand.Int64N(int64(d)))
}

// far is how far a Standard queue strays from a message's place.
const far = 12

// stray returns a message at or near the head of a list of ready ones.
func (w *worst) stray(head *msg) *msg {
	if w == nil || head == nil {
		return head
	}
	m := head
	for range w.rand.IntN(far) {
		if m.links[byOrder].next == nil {
			break
		}
		m = m.links[byOrder].next
	}
	return m
}

// standardWorst returns the engine's worst for a Standard queue, nil for a FIFO
// one.
func (q *queue) standardWorst() *worst {
	if q.config.FIFO {
		return nil
	}
	return q.engine.worst
}
