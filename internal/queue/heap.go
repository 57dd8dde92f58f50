package queue

// absent is the index of what is not in a heap.
const absent = -1

// fanout is the number of children of a heap's node. Four of them lie side by
// side in memory: half the levels of two, and hardly more cache misses each.
const fanout = 4

// heap is a min-heap that keeps the index of each of its items in a place of
// the item's own, so that any of them can be removed or given another key.
type heap[T any] struct{ nodes []node[T] }

// node has its key beside the item, so that comparing touches no item.
type node[T any] struct {
	key   key
	item  T
	place *int // has the index in heap.nodes, or absent
}

// key orders by at, then by seq.
type key struct {
	at  int64
	seq uint64
}

func (k key) before(o key) bool { return k.at < o.at || k.at == o.at && k.seq < o.seq }

// top is the least item; ok is false when there is none.
func (h *heap[T]) top() (k key, item T, ok bool) {
	if len(h.nodes) == 0 {
		return k, item, false
	}
	return h.nodes[0].key, h.nodes[0].item, true
}

func (h *heap[T]) push(k key, item T, place *int) {
	n := node[T]{k, item, place}
	h.nodes = append(h.nodes, n)
	h.up(len(h.nodes)-1, n)
}

// rekey gives the item at i another key.
func (h *heap[T]) rekey(i int, k key) {
	n := h.nodes[i]
	n.key = k
	h.settle(i, n)
}

func (h *heap[T]) remove(i int) {
	*h.nodes[i].place = absent
	last := len(h.nodes) - 1
	n := h.nodes[last]
	h.nodes[last] = node[T]{}
	h.nodes = h.nodes[:last]
	if i < last {
		h.settle(i, n)
	}
}

// settle puts n where it belongs, starting from i.
func (h *heap[T]) settle(i int, n node[T]) {
	if i > 0 && n.key.before(h.nodes[(i-1)/fanout].key) {
		h.up(i, n)
	} else {
		h.down(i, n)
	}
}

func (h *heap[T]) up(i int, n node[T]) {
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

func (h *heap[T]) down(i int, n node[T]) {
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

func (h *heap[T]) set(i int, n node[T]) {
	h.nodes[i] = n
	*n.place = i
}
