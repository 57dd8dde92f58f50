// Package heap is a priority queue whose items can be removed, and given
// another key, wherever they are in it.
package heap

// Absent is the place of what is not in a heap.
const Absent = -1

// fanout is the number of children of a heap's node. Four of them lie side by
// side in memory: half the levels of two, and hardly more cache misses each.
const fanout = 4

// Heap is a min-heap that keeps the index of each of its items in a place of
// the item's own, so that any of them can be removed or given another key, in
// O(log n). The zero Heap is empty. It is not safe for concurrent use.
type Heap[T any] struct{ nodes []node[T] }

// node has its key beside the item, so that comparing touches no item.
type node[T any] struct {
	key   Key
	item  T
	place *int // has the index in Heap.nodes, or Absent
}

// Key orders by At, then by Seq.
type Key struct {
	At  int64
	Seq uint64
}

func (k Key) before(o Key) bool { return k.At < o.At || k.At == o.At && k.Seq < o.Seq }

// Len is the number of items.
func (h *Heap[T]) Len() int { return len(h.nodes) }

// Top is the least item; ok is false when there is none.
func (h *Heap[T]) Top() (k Key, item T, ok bool) {
	if len(h.nodes) == 0 {
		return k, item, false
	}
	return h.nodes[0].key, h.nodes[0].item, true
}

// Push adds an item. *place is its index from then on, until it is removed.
func (h *Heap[T]) Push(k Key, item T, place *int) {
	n := node[T]{k, item, place}
	h.nodes = append(h.nodes, n)
	h.up(len(h.nodes)-1, n)
}

// Rekey gives the item at i another key.
func (h *Heap[T]) Rekey(i int, k Key) {
	n := h.nodes[i]
	n.key = k
	h.settle(i, n)
}

// Remove removes the item at i, whose place is Absent then.
func (h *Heap[T]) Remove(i int) {
	*h.nodes[i].place = Absent
	last := len(h.nodes) - 1
	n := h.nodes[last]
	h.nodes[last] = node[T]{}
	h.nodes = h.nodes[:last]
	if i < last {
		h.settle(i, n)
	}
}

// settle puts n where it belongs, starting from i.
func (h *Heap[T]) settle(i int, n node[T]) {
	if i > 0 && n.key.before(h.nodes[(i-1)/fanout].key) {
		h.up(i, n)
	} else {
		h.down(i, n)
	}
}

func (h *Heap[T]) up(i int, n node[T]) {
	for i > 0 {
		parent := (i - 1) / fanout
		if !n.key.before(h.nodes[parent].key) {
			break
		}
		h.set(i, h.nodes[parent])
		i = parent
	}
	h.set(i, n)
}

func (h *Heap[T]) down(i int, n node[T]) {
	for {
		first := fanout*i + 1
		if first >= len(h.nodes) {
			break
		}
		least := first
		for c := first + 1; c < min(first+fanout, len(h.nodes)); c++ {
			if h.nodes[c].key.before(h.nodes[least].key) {
				least = c
			}
		}
		if !h.nodes[least].key.before(n.key) {
			break
		}
		h.set(i, h.nodes[least])
		i = least
	}
	h.set(i, n)
}

func (h *Heap[T]) set(i int, n node[T]) {
	h.nodes[i] = n
	*n.place = i
}
