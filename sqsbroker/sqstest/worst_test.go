package sqstest_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// In the worst case a careful consumer still gets every message of a Standard
// queue, though out of order and some of them again; of a FIFO queue, each once
// and in order.
func TestWorstCase(t *testing.T) {
	const n = 100
	for _, name := range []string{"q", "q.fifo"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, &sqstest.Options{WorstCase: 1})
				defer e.srv.Close()
				url := e.queue(name, attrs{"VisibilityTimeout": "30"})
				var want []string
				for i := range n {
					body := fmt.Sprintf("%03d", i)
					want = append(want, body)
					if name == "q" {
						e.send(url, body)
					} else {
						e.sendTo(url, "g", body, body)
					}
				}
				got := drain(e, name, url)
				sorted := slices.Sorted(slices.Values(got))
				if !slices.Equal(slices.Compact(sorted), want) {
					t.Errorf("not every message came: %v", got)
				}
				if name == "q" && (len(got) == n || slices.IsSorted(got)) {
					t.Errorf("%d deliveries of %d messages, in order: %v", len(got), n, slices.IsSorted(got))
				}
				if name == "q.fifo" && !slices.Equal(got, want) {
					t.Errorf("FIFO: got %v", got)
				}
			})
		})
	}
}

// drain receives and deletes until the queue is empty.
func drain(e *env, name, url string) (got []string) {
	e.t.Helper()
	for {
		stats, err := e.srv.Stats(name)
		e.ok("Stats", err)
		if stats == (sqstest.Stats{}) {
			return got
		}
		ms := e.receive(url, 10)
		time.Sleep(10 * time.Second)
		for _, m := range ms {
			got = append(got, *m.Body)
			e.ok("delete", e.delete(url, m))
		}
	}
}
