package queue

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// Whatever is pushed, removed and given another key: the items come out in
// order, and each knew its index all along.
func TestHeap(t *testing.T) {
	type item struct {
		key   key
		place int
	}
	rapid.Check(t, func(t *rapid.T) {
		var h heap[*item]
		var in []*item
		var seq uint64
		draw := func() key {
			seq++
			return key{int64(rapid.IntRange(0, 20).Draw(t, "at")), seq}
		}
		for range rapid.IntRange(0, 100).Draw(t, "items") {
			it := &item{key: draw()}
			h.push(it.key, it, &it.place)
			in = append(in, it)
		}
		for range rapid.IntRange(0, 50).Draw(t, "changes") {
			if len(in) == 0 {
				break
			}
			i := rapid.IntRange(0, len(in)-1).Draw(t, "which")
			if it := in[i]; rapid.Bool().Draw(t, "remove") {
				h.remove(it.place)
				in = slices.Delete(in, i, i+1)
				if it.place != absent {
					t.Fatalf("index %d after it was removed", it.place)
				}
			} else {
				it.key = draw()
				h.rekey(it.place, it.key)
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
			_, got, ok := h.top()
			if !ok || got != want {
				t.Fatalf("got %+v, %v, want %+v", got, ok, want)
			}
			h.remove(0)
		}
		if _, _, ok := h.top(); ok {
			t.Fatal("more than was pushed")
		}
	})
}
