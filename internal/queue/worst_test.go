package queue_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

// run is what a consumer saw that deletes each message it gets.
type run struct {
	order                   []string // by id, every delivery
	empty, partial, revived int
	early                   int // delivered while an earlier lease lasted
}

// playWorst sends n messages, and receives and deletes until they are gone.
func playWorst(t *testing.T, c queue.Config, seed uint64, n int) run {
	t.Helper()
	var r run
	bubble(t, c, func(t *testing.T, e *queue.Engine) {
		e.PlayWorst(seed)
		for i := range n {
			mustSend(t, e, "q", queue.Send{ID: fmt.Sprint(i), Group: fmt.Sprint(i % 3)})
		}
		leases, deleted := make(map[string]time.Time), make(map[string]bool)
		for {
			stats, err := e.Stats("q")
			if err != nil {
				t.Fatal(err)
			}
			if stats.Ready+stats.InFlight == 0 {
				return
			}
			got, err := e.Receive(t.Context(), "q", 10, 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			switch {
			case len(got) == 0 && stats.Ready > 0:
				r.empty++
			case len(got) < min(10, stats.Ready):
				r.partial++
			}
			for _, m := range got {
				r.order = append(r.order, m.ID)
				if deleted[m.ID] {
					r.revived++
				} else if time.Now().Before(leases[m.ID]) {
					r.early++
				}
				leases[m.ID] = m.LeaseEnd
			}
			time.Sleep(10 * time.Second) // a third of the lease: time for duplicates
			for _, m := range got {
				if err := e.Delete("q", m.Receipt); err != nil && !c.FIFO {
					t.Fatal(err)
				}
				deleted[m.ID] = true
			}
		}
	})
	return r
}

func TestPlayWorstStandard(t *testing.T) {
	const n = 200
	c := queue.Config{Visibility: 30 * time.Second}
	r := playWorst(t, c, 1, n)
	if r.empty == 0 || r.partial == 0 || r.revived == 0 || slices.IsSortedFunc(r.order, byNumber) {
		t.Errorf("200 messages without false emptiness (%d), partial receives (%d), revived messages (%d) or disorder", r.empty, r.partial, r.revived)
	}
	slices.Sort(r.order)
	if got := len(slices.Compact(r.order)); got != n {
		t.Errorf("%d of %d messages were delivered", got, n)
	}
	if a, b := playWorst(t, c, 7, 50), playWorst(t, c, 7, 50); !slices.Equal(a.order, b.order) {
		t.Error("the same seed gave two runs")
	}
	if a, b := playWorst(t, c, 7, 50), playWorst(t, c, 8, 50); slices.Equal(a.order, b.order) {
		t.Error("two seeds gave the same run")
	}
}

// A duplicate comes while the first receiver still has its lease.
func TestPlayWorstDuplicates(t *testing.T) {
	bubble(t, queue.Config{Visibility: 30 * time.Second}, func(t *testing.T, e *queue.Engine) {
		e.PlayWorst(1)
		for range 50 {
			mustSend(t, e, "q", queue.Send{})
			first, err := e.Receive(t.Context(), "q", 1, time.Second, -1)
			if err != nil || len(first) != 1 {
				t.Fatal(first, err)
			}
			again, err := e.Receive(t.Context(), "q", 1, 29*time.Second, -1)
			if err != nil {
				t.Fatal(err)
			}
			if len(again) == 1 {
				if end := first[0].LeaseEnd; !time.Now().Before(end) || again[0].ID != first[0].ID {
					t.Errorf("again at %v, lease until %v", time.Now(), end)
				}
				return
			}
			if err := e.Purge("q"); err != nil {
				t.Fatal(err)
			}
		}
		t.Error("50 messages without a duplicate")
	})
}

// The order of a FIFO queue holds, and each message comes once.
func TestPlayWorstFIFO(t *testing.T) {
	r := playWorst(t, queue.Config{FIFO: true, Visibility: 30 * time.Second}, 3, 100)
	if r.partial == 0 || r.empty+r.revived+r.early > 0 || len(r.order) != 100 {
		t.Errorf("got %d deliveries, %d partial, %d empty, %d revived, %d early", len(r.order), r.partial, r.empty, r.revived, r.early)
	}
	last := make(map[int]int)
	for _, id := range r.order {
		n := number(id)
		if n < last[n%3] {
			t.Errorf("%d after %d", n, last[n%3])
		}
		last[n%3] = n
	}
}

func TestPlayWorstEnds(t *testing.T) {
	bubble(t, queue.Config{Visibility: time.Second}, func(t *testing.T, e *queue.Engine) {
		e.PlayWorst(1)
		e.PlayWorst(0)
		for i := range 100 {
			mustSend(t, e, "q", queue.Send{ID: fmt.Sprint(i)})
		}
		for i := range 10 {
			got, err := e.Receive(t.Context(), "q", 10, 0, -1)
			if err != nil || len(got) != 10 || got[0].ID != fmt.Sprint(10*i) {
				t.Fatal(got, err)
			}
		}
	})
}

func number(id string) (n int) {
	_, _ = fmt.Sscan(id, &n) // ids here are numbers
	return n
}

func byNumber(a, b string) int { return number(a) - number(b) }
