package queue

// absent is the index of what is not in a heap.
const absent = -1

// heap is a binary heap whose items know their index, so that any of them can
// be removed or reordered. container/heap would do, at twice the calls and
// three times the methods.
type heap[T any] struct {
	items []T
	less  func(a, b T) bool
	moved func(item T, index int) // stores the index in the item; absent when it leaves
}

// top is the least item; ok is false when there is none.
func (h *heap[T]) top() (item T, ok bool) {
	if len(h.items) == 0 {
		return item, false
	}
	return h.items[0], true
}

func (h *heap[T]) push(item T) {
	h.items = append(h.items, item)
	h.up(len(h.items) - 1)
}

// fix restores the order after the item at i has changed.
func (h *heap[T]) fix(i int) {
	if !h.up(i) {
		h.down(i)
	}
}

func (h *heap[T]) remove(i int) {
	last := len(h.items) - 1
	gone, moved := h.items[i], h.items[last]
	var zero T
	h.items[last] = zero
	h.items = h.items[:last]
	if i < last {
		h.items[i] = moved
		h.fix(i)
	}
	h.moved(gone, absent)
}

// up moves the item at i to its place towards the top and stores its index;
// it reports whether the item moved.
func (h *heap[T]) up(i int) bool {
	item, start := h.items[i], i
	for i > 0 {
		parent := (i - 1) / 2
		if !h.less(item, h.items[parent]) {
			break
		}
		h.set(i, h.items[parent])
		i = parent
	}
	h.set(i, item)
	return i != start
}

func (h *heap[T]) down(i int) {
	item := h.items[i]
	for {
		child := 2*i + 1
		if child >= len(h.items) {
			break
		}
		if right := child + 1; right < len(h.items) && h.less(h.items[right], h.items[child]) {
			child = right
		}
		if !h.less(h.items[child], item) {
			break
		}
		h.set(i, h.items[child])
		i = child
	}
	h.set(i, item)
}

func (h *heap[T]) set(i int, item T) {
	h.items[i] = item
	h.moved(item, i)
}
