package queue

import (
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

// A queue that has run empty holds nothing: no group, no time, no id of an
// earlier window.
func TestHoldsNothing(t *testing.T) {
	for _, fifo := range []bool{false, true} {
		t.Run("fifo="+strconv.FormatBool(fifo), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testHoldsNothing(t, fifo) })
		})
	}
}

func testHoldsNothing(t *testing.T, kind bool) {
	e := New(SystemClock())
	t.Cleanup(e.Close)
	config := Config{FIFO: kind, Visibility: time.Minute, DedupWindow: time.Minute}
	if err := e.Create("q", config); err != nil {
		t.Fatal(err)
	}
	const n = 100
	for i := range n {
		id := strconv.Itoa(i)
		if _, err := e.Send("q", Send{ID: id, Group: id, DedupID: id}); err != nil {
			t.Fatal(err)
		}
	}
	got, err := e.Receive(t.Context(), "q", n, 0, -1)
	if err != nil || len(got) != n {
		t.Fatalf("received %d, %v", len(got), err)
	}
	for _, m := range got {
		if err := e.Delete("q", m.Receipt); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Minute)
	if _, err := e.Stats("q"); err != nil {
		t.Fatal(err)
	}
	q := e.queues["q"]
	for what, n := range map[string]int{
		"messages": len(q.all), "times": q.due.Len(), "ids": len(q.dedup.byKey), "ids by age": len(q.dedup.byAge),
	} {
		if n != 0 {
			t.Errorf("%d %s are left", n, what)
		}
	}
	if q.ages.oldest() != nil {
		t.Error("an age is left")
	}
	switch o := q.order.(type) {
	case *standard:
		if o.visible.head != nil {
			t.Error("a visible message is left")
		}
	case *fifo:
		if len(o.groups) != 0 || o.open.Len() != 0 {
			t.Errorf("%d groups are left, %d of them open", len(o.groups), o.open.Len())
		}
	}
}
