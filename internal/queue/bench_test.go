package queue_test

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

// Time per operation must hardly depend on how much the queue holds: compare
// the sizes, which are messages; a FIFO queue has a tenth as many groups.
var benchSizes = []int{1_000, 100_000}

var benchKinds = []struct {
	name string
	fifo bool
}{{"standard", false}, {"fifo", true}}

func benchmark(b *testing.B, f func(b *testing.B, q *benchQueue)) {
	for _, kind := range benchKinds {
		for _, size := range benchSizes {
			b.Run(fmt.Sprintf("%s/%d", kind.name, size), func(b *testing.B) {
				f(b, newBenchQueue(b, kind.fifo, size))
			})
		}
	}
}

type benchQueue struct {
	*queue.Engine
	tb     testing.TB
	clock  *manualClock
	groups []string
	sent   int
}

// newBenchQueue has size messages, 1 ms apart.
func newBenchQueue(tb testing.TB, fifo bool, size int) *benchQueue {
	tb.Helper()
	clock := &manualClock{now: time.Unix(0, 0)}
	q := &benchQueue{Engine: queue.New(clock), tb: tb, clock: clock}
	tb.Cleanup(q.Close)
	mustCreate(tb, q.Engine, "q", queue.Config{FIFO: fifo, Visibility: time.Hour, Retention: 100 * time.Hour})
	for i := range max(1, size/10) {
		q.groups = append(q.groups, "group-"+strconv.Itoa(i))
	}
	for range size {
		q.send()
		q.tick()
	}
	return q
}

func (q *benchQueue) tick() { q.clock.set(q.clock.Now().Add(time.Millisecond)) }

func (q *benchQueue) send() {
	if _, err := q.Send("q", queue.Send{ID: "id", Group: q.groups[q.sent%len(q.groups)]}); err != nil {
		q.tb.Fatal(err)
	}
	q.sent++
}

func (q *benchQueue) receive(n int) []queue.Message {
	ms, err := q.Receive(context.Background(), "q", n, 0, -1)
	if err != nil || len(ms) != n {
		q.tb.Fatalf("received %d of %d, %v", len(ms), n, err)
	}
	return ms
}

func (q *benchQueue) delete(r queue.Receipt) {
	if err := q.Delete("q", r); err != nil {
		q.tb.Fatal(err)
	}
}

func (q *benchQueue) extend(r queue.Receipt, d time.Duration) {
	if _, err := q.Extend("q", r, d); err != nil {
		q.tb.Fatal(err)
	}
}

// On an empty queue, with the system's clock: the constant.
func BenchmarkSendReceiveDelete(b *testing.B) {
	for _, kind := range benchKinds {
		b.Run(kind.name, func(b *testing.B) {
			e := queue.New(queue.SystemClock())
			b.Cleanup(e.Close)
			mustCreate(b, e, "q", queue.Config{
				FIFO: kind.fifo, Visibility: 30 * time.Second, Retention: time.Hour, MaxLease: 12 * time.Hour,
			})
			q := &benchQueue{Engine: e, tb: b, groups: []string{"g"}}
			b.ReportAllocs()
			for b.Loop() {
				q.send()
				q.delete(q.receive(1)[0].Receipt)
			}
		})
	}
}

// One worker that polls, and a publisher alongside; a buffered channel for
// comparison.
func BenchmarkAlongside(b *testing.B) {
	b.Run("channel", func(b *testing.B) {
		c := make(chan queue.Send, 1000)
		go func() {
			defer close(c)
			for range b.N {
				c <- queue.Send{ID: "id"}
			}
		}()
		for range c {
		}
	})
	b.Run("standard", func(b *testing.B) {
		e := queue.New(queue.SystemClock())
		b.Cleanup(e.Close)
		mustCreate(b, e, "q", queue.Config{Visibility: 30 * time.Second, Retention: time.Hour})
		q := &benchQueue{Engine: e, tb: b, groups: []string{"g"}}
		window := make(chan struct{}, 1000)
		var wg sync.WaitGroup
		wg.Go(func() {
			for range b.N {
				window <- struct{}{}
				q.send()
			}
		})
		for range b.N {
			ms, err := e.Receive(context.Background(), "q", 1, 20*time.Second, -1)
			if err != nil || len(ms) != 1 {
				b.Fatalf("received %d, %v", len(ms), err)
			}
			q.delete(ms[0].Receipt)
			<-window
		}
		wg.Wait()
	})
}

// The same on a queue with a backlog.
func BenchmarkBacklog(b *testing.B) {
	benchmark(b, func(b *testing.B, q *benchQueue) {
		for b.Loop() {
			q.send()
			q.delete(q.receive(1)[0].Receipt)
			q.tick()
		}
	})
}

// Deleting and replacing the oldest of many messages in flight.
func BenchmarkInFlight(b *testing.B) {
	names := make([]string, 1<<18)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	benchmark(b, func(b *testing.B, q *benchQueue) {
		held := q.receive(q.sent)
		for i := 0; b.Loop(); i++ {
			// A group of its own, new each time: the others are locked.
			q.groups = []string{names[i%len(names)]}
			q.delete(held[i%len(held)].Receipt)
			q.send()
			held[i%len(held)] = q.receive(1)[0]
			q.tick()
		}
	})
}

// A heartbeat among many messages in flight.
func BenchmarkExtend(b *testing.B) {
	benchmark(b, func(b *testing.B, q *benchQueue) {
		held := q.receive(q.sent)
		for i := 0; b.Loop(); i++ {
			q.extend(held[i%len(held)].Receipt, time.Hour)
			q.tick()
		}
	})
}

// One of many leases runs out and the message is received anew.
func BenchmarkExpiry(b *testing.B) {
	benchmark(b, func(b *testing.B, q *benchQueue) {
		const lease = time.Hour
		// As many leases, 1 ms apart, as there are groups: each locks one.
		held := q.receive(len(q.groups))
		for i, m := range held {
			q.extend(m.Receipt, lease+time.Duration(i)*time.Millisecond)
		}
		q.clock.set(q.clock.Now().Add(lease - time.Millisecond))
		for b.Loop() {
			q.tick()
			m := q.receive(1)[0]
			q.extend(m.Receipt, time.Duration(len(held))*time.Millisecond)
		}
	})
}

// A window that remembers as many ids as the size, of which one is forgotten
// for each that comes.
func BenchmarkDedup(b *testing.B) {
	for _, size := range benchSizes {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			q := newBenchQueue(b, true, 0)
			window := time.Duration(size) * time.Millisecond
			if err := q.Update("q", func(c *queue.Config) { c.DedupWindow = window }); err != nil {
				b.Fatal(err)
			}
			names := make([]string, 2*size)
			for i := range names {
				names[i] = "id-" + strconv.Itoa(i)
			}
			step := func(i int) {
				s, err := q.Send("q", queue.Send{ID: "id", DedupID: names[i%len(names)]})
				if s.Duplicate || err != nil {
					b.Fatalf("%+v, %v", s, err)
				}
				q.delete(q.receive(1)[0].Receipt)
				q.tick()
			}
			for i := range size {
				step(i)
			}
			for i := size; b.Loop(); i++ {
				step(i)
			}
		})
	}
}

// A message costs at most 1 KiB beyond its body and strings.
func TestOverhead(t *testing.T) {
	const size, limit = 20_000, 1024
	for _, kind := range benchKinds {
		t.Run(kind.name, func(t *testing.T) {
			heap := func() uint64 {
				runtime.GC()
				var s runtime.MemStats
				runtime.ReadMemStats(&s)
				return s.HeapAlloc
			}
			before := heap()
			q := newBenchQueue(t, kind.fifo, 0)
			if err := q.Update("q", func(c *queue.Config) { c.DedupWindow = time.Hour }); err != nil {
				t.Fatal(err)
			}
			for i := range size {
				id := strconv.Itoa(i)
				mustSend(t, q.Engine, "q", queue.Send{ID: id, Group: id, DedupID: id})
			}
			q.receive(size)
			each := (heap() - before) / size
			t.Logf("%d bytes a message", each)
			if each > limit {
				t.Errorf("%d bytes a message, want at most %d", each, limit)
			}
			runtime.KeepAlive(q)
		})
	}
}
