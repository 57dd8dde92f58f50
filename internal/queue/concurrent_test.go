package queue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

// Many workers on a FIFO queue: no group is with two of them at a time, and each
// group comes in order, also where a batch is released, last to first.
func TestGroupsAmongWorkers(t *testing.T) {
	const groups, each, workers = 10, 100, 8
	e := queue.New(queue.SystemClock())
	defer e.Close()
	mustCreate(t, e, "q", queue.Config{FIFO: true, Visibility: time.Hour})
	l := &ledger{t: t, next: map[string]int{}, with: map[string]int{}, left: groups * each, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() { work(ctx, t, e, l, worker+1) })
	}
	for i := range each {
		for g := range groups {
			mustSend(t, e, "q", queue.Send{ID: strconv.Itoa(i), Group: strconv.Itoa(g)})
		}
	}
	select {
	case <-l.done:
	case <-time.After(30 * time.Second):
		t.Error("not all were received")
	}
	cancel()
	wg.Wait()
}

func work(ctx context.Context, t *testing.T, e *queue.Engine, l *ledger, worker int) {
	for round := 0; ; round++ {
		ms, err := e.Receive(ctx, "q", 5, time.Minute, -1)
		if errors.Is(err, context.Canceled) {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		l.take(worker, ms)
		settle := e.Delete
		if round%3 == 0 {
			settle = func(name string, r queue.Receipt) error {
				_, err := e.Extend(name, r, 0)
				return err
			}
		}
		// The ledger has it before the queue has: then it is another's.
		l.settle(ms, round%3 != 0)
		for _, m := range slices.Backward(ms) {
			if err := settle("q", m.Receipt); err != nil {
				t.Error(err)
			}
		}
	}
}

// ledger knows which message of each group is due, and which worker has it.
type ledger struct {
	t    *testing.T
	mu   sync.Mutex
	next map[string]int
	with map[string]int
	left int
	done chan struct{}
}

func (l *ledger) take(worker int, ms []queue.Message) {
	l.mu.Lock()
	defer l.mu.Unlock()
	ahead := map[string]int{}
	for _, m := range ms {
		if other := l.with[m.Group]; other != 0 && other != worker {
			l.t.Errorf("group %s is with workers %d and %d", m.Group, worker, other)
		}
		l.with[m.Group] = worker
		if want := fmt.Sprint(l.next[m.Group] + ahead[m.Group]); m.ID != want {
			l.t.Errorf("group %s: %s, want %s", m.Group, m.ID, want)
		}
		ahead[m.Group]++
	}
}

func (l *ledger) settle(ms []queue.Message, deleted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, m := range ms {
		l.with[m.Group] = 0
		if deleted {
			l.next[m.Group]++
			l.left--
		}
	}
	if l.left == 0 && deleted && len(ms) > 0 {
		close(l.done)
	}
}

// Everything at once, until the engine is closed: for the race detector, and
// nothing hangs.
func TestConcurrentUse(t *testing.T) {
	const rounds = 200
	e := queue.New(queue.SystemClock())
	mustCreate(t, e, "dlq", queue.Config{Visibility: time.Second})
	mustCreate(t, e, "q", queue.Config{
		Visibility: time.Millisecond, MaxReceives: 3, DeadLetter: "dlq", DedupWindow: time.Millisecond,
		Retention: time.Second, MaxInFlight: 50,
	})
	e.Observe(func(queue.Event) {})
	receipts := make(chan queue.Receipt, 10*rounds)
	receipts <- queue.Receipt{}
	one := func() queue.Receipt {
		r := <-receipts
		receipts <- r
		return r
	}
	var busy, polls sync.WaitGroup
	for range 2 {
		polls.Go(func() {
			for {
				ms, err := e.Receive(context.Background(), "q", 10, time.Hour, -1)
				if err != nil {
					if !errors.Is(err, queue.ErrClosed) {
						t.Error(err)
					}
					return
				}
				for _, m := range ms {
					select {
					case receipts <- m.Receipt:
					default:
					}
				}
			}
		})
	}
	for _, op := range []func(i int) error{
		func(i int) error { _, err := e.Send("q", queue.Send{DedupID: strconv.Itoa(i % 10)}); return err },
		func(int) error {
			_, err := e.Send("q", queue.Send{HasDelay: true, Delay: time.Millisecond})
			return err
		},
		func(int) error { return e.Delete("q", one()) },
		func(int) error { _, err := e.Extend("q", one(), time.Millisecond); return err },
		func(int) error { return e.Reject("q", one(), nil) },
		func(int) error { _, err := e.Stats("q"); return err },
		func(int) error { _, err := e.Peek("dlq", queue.Ready, 10); return err },
		func(i int) error { return e.Update("q", func(c *queue.Config) { c.MaxReceives = 2 + i%2 }) },
		func(int) error { return e.Purge("dlq") },
	} {
		busy.Go(func() {
			for i := range rounds {
				err := op(i)
				if err != nil && !errors.Is(err, queue.ErrGone) && !errors.Is(err, queue.ErrExpired) {
					t.Error(err)
				}
			}
		})
	}
	busy.Wait()
	e.Close()
	polls.Wait()
}
