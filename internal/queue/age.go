package queue

// ages knows the oldest message of a queue. Messages come in the order of their
// send times, so a list will do, except for those that a Standard dead-letter
// queue takes over with their original time: a heap holds these.
type ages struct {
	inOrder chain
	late    heap[*msg]
}

func newAges() ages { return ages{inOrder: chain{kind: byAge}} }

// add takes in a message; sent is m.Sent as a key.
func (a *ages) add(m *msg, sent key) {
	if last := a.inOrder.tail; last != nil && m.Sent.Before(last.Sent) {
		a.late.push(sent, m, &m.lateAt)
		return
	}
	m.lateAt = absent
	a.inOrder.pushBack(m)
}

func (a *ages) remove(m *msg) {
	if m.lateAt != absent {
		a.late.remove(m.lateAt)
		return
	}
	a.inOrder.remove(m)
}

// oldest is nil when there is no message.
func (a *ages) oldest() *msg {
	first := a.inOrder.head
	_, late, ok := a.late.top()
	if ok && (first == nil || late.Sent.Before(first.Sent)) {
		return late
	}
	return first
}
