package queue

// Each message is in up to two chains at a time, through separate links.
const (
	byOrder = iota // Standard: the ready ones of the queue; FIFO: all of the group
	byAge          // all of the queue by send time
	listKinds
)

type links struct{ prev, next *msg }

// chain is a doubly linked list through the messages' links of one kind.
type chain struct {
	kind       int
	head, tail *msg
}

func (l *chain) pushBack(m *msg) {
	m.links[l.kind] = links{prev: l.tail}
	if l.tail == nil {
		l.head = m
	} else {
		l.tail.links[l.kind].next = m
	}
	l.tail = m
}

func (l *chain) remove(m *msg) {
	at := m.links[l.kind]
	if at.prev == nil {
		l.head = at.next
	} else {
		at.prev.links[l.kind].next = at.next
	}
	if at.next == nil {
		l.tail = at.prev
	} else {
		at.next.links[l.kind].prev = at.prev
	}
	m.links[l.kind] = links{}
}
