package heap

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whatever is pushed, removed and given another key: the items come out in
// order, and each knew its index all along.
func TestHeap(t *testing.T) {
	type item struct {
		key   Key
		place int
	}
	rapid.Check(t, func(t *rapid.T) {
		var h Heap[*item]
		var in []*item
		var seq uint64
		draw := func() Key {
			seq++
			return Key{int64(rapid.IntRange(0, 20).Draw(t, "at")), seq}
		}
		for range rapid.IntRange(0, 100).Draw(t, "items") {
			it := &item{key: draw()}
			h.Push(it.key, it, &it.place)
			in = append(in, it)
		}
		for range rapid.IntRange(0, 50).Draw(t, "changes") {
			if len(in) == 0 {
				break
			}
			i := rapid.IntRange(0, len(in)-1).Draw(t, "which")
			if it := in[i]; rapid.Bool().Draw(t, "remove") {
				h.Remove(it.place)
				in = slices.Delete(in, i, i+1)
				if it.place != Absent {
					t.Fatalf("index %d after it was removed", it.place)
				}
			} else {
				it.key = draw()
				h.Rekey(it.place, it.key)
			}
		}
		for i, n := range h.nodes {
			if n.item.place != i {
				t.Fatalf("the item at %d believes to be at %d", i, n.item.place)
			}
		}
		slices.SortFunc(in, func(a, b *item) int {
			if a.key.before(b.key) {
				return -1
			}
			return 1
		})
		for _, want := range in {
			_, got, ok := h.Top()
			if !ok || got != want {
				t.Fatalf("got %+v, %v, want %+v", got, ok, want)
			}
			h.Remove(0)
		}
		if _, _, ok := h.Top(); ok {
			t.Fatal("more than was pushed")
		}
	})
}
