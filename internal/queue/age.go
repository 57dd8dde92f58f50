package queue

import "github.com/candidmq/candidmq/internal/heap"

// ages finds the oldest message of a queue. Messages come in the order of their
// send times, so a list suffices, except for messages that a Standard
// dead-letter queue takes over with their original time: a heap holds these.
type ages struct {
	inOrder chain
	late    heap.Heap[*msg]
}

func newAges() ages { return ages{inOrder: chain{kind: byAge}} }

// add adds a message; sent is m.Sent as a key.
func (a *ages) add(m *msg, sent heap.Key) {
	if last := a.inOrder.tail; last != nil && m.Sent.Before(last.Sent) {
		a.late.Push(sent, m, &m.lateAt)
		return
	}
	m.lateAt = heap.Absent
	a.inOrder.pushBack(m)
}

func (a *ages) remove(m *msg) {
	if m.lateAt != heap.Absent {
		a.late.Remove(m.lateAt)
		return
	}
	a.inOrder.remove(m)
}

// oldest returns the oldest message, or nil.
func (a *ages) oldest() *msg {
	first := a.inOrder.head
	_, late, ok := a.late.Top()
	if ok && (first == nil || late.Sent.Before(first.Sent)) {
		return late
	}
	return first
}
