package queue

import "github.com/candidmq/candidmq/internal/heap"

// order decides which of a queue's ready messages is delivered next. Each
// implementation is one legal order.
type order interface {
	// add adds a message that has entered the queue, in whatever state.
	add(m *msg)
	// ready is called after m's state became Ready, busy after it ceased to be.
	ready(m *msg)
	busy(m *msg)
	// remove forgets a message that leaves the queue; m.state is still valid.
	remove(m *msg)
	// next returns the ready message to deliver, or nil if none may be
	// delivered. prev is the last message taken by the same receive, nil for
	// its first.
	next(prev *msg) *msg
}

// standard delivers in the order in which messages became visible.
type standard struct {
	engine  *Engine
	visible chain
}

func newStandard(e *Engine) *standard { return &standard{e, chain{kind: byOrder}} }

func (s *standard) add(m *msg) {
	if m.state == Ready {
		s.visible.pushBack(m)
	}
}

func (s *standard) ready(m *msg) { s.visible.pushBack(m) }
func (s *standard) busy(m *msg)  { s.visible.remove(m) }

func (s *standard) remove(m *msg) {
	if m.state == Ready {
		s.visible.remove(m)
	}
}

func (s *standard) next(*msg) *msg { return s.engine.worst.stray(s.visible.head) }

// fifo delivers by message group. A group holds its messages by Seq, whatever
// their state, and is open while its first one is ready: then no earlier one is
// in flight or delayed.
type fifo struct {
	groups map[string]*group
	open   heap.Heap[*group] // by the Seq of the first message
}

type group struct {
	name   string
	all    chain
	openAt int // index in fifo.open, or heap.Absent
}

func newFIFO() *fifo { return &fifo{groups: make(map[string]*group)} }

func (f *fifo) add(m *msg) {
	g := f.groups[m.Group]
	if g == nil {
		g = &group{name: m.Group, all: chain{kind: byOrder}, openAt: heap.Absent}
		f.groups[m.Group] = g
	}
	m.group = g
	g.all.pushBack(m)
	f.update(m)
}

func (f *fifo) ready(m *msg) { f.update(m) }
func (f *fifo) busy(m *msg)  { f.update(m) }

// update opens or closes m's group after m has changed its state.
func (f *fifo) update(m *msg) {
	g := m.group
	switch {
	case g.all.head != m: // messages behind the first one decide nothing
	case m.state == Ready:
		f.push(g)
	case g.openAt != heap.Absent:
		f.open.Remove(g.openAt)
	}
}

func (f *fifo) remove(m *msg) {
	g := m.group
	first := g.all.head == m
	if first && g.openAt != heap.Absent {
		f.open.Remove(g.openAt)
	}
	g.all.remove(m)
	m.group = nil
	switch {
	case g.all.head == nil:
		delete(f.groups, g.name)
	case first && g.all.head.state == Ready:
		f.push(g)
	}
}

func (f *fifo) push(g *group) { f.open.Push(heap.Key{Seq: g.all.head.Seq}, g, &g.openAt) }

// next stays with the group of prev while the message behind it is ready:
// messages before prev were taken by the same receive or have left.
func (f *fifo) next(prev *msg) *msg {
	if prev != nil {
		if m := prev.links[byOrder].next; m != nil && m.state == Ready {
			return m
		}
	}
	if _, g, ok := f.open.Top(); ok {
		return g.all.head
	}
	return nil
}
