package memory_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// drained is what a consumer saw that deletes each message it gets, until the
// queue is empty.
type drained struct {
	bodies     []string
	falseEmpty int
	revived    int // deliveries of a message after its delete
}

const inQueue = 200

// drainWorst sends messages and consumes them.
func drainWorst(t *testing.T, queue string, seed uint64) drained {
	t.Helper()
	var seen drained
	synctest.Test(t, func(t *testing.T) {
		b := closing(t, memory.NewSQS(&memory.SQSOptions{WorstCase: seed}))
		must(t, b.CreateQueue(queue, memory.QueueOptions{}))
		for i := range inQueue {
			m := text(queue, strconv.Itoa(i))
			if queue == "q.fifo" {
				m.Key, m.DedupID = strconv.Itoa(i%3), strconv.Itoa(i)
			}
			publish(t, b, m)
		}
		deleted := map[string]bool{}
		for {
			state, err := b.Contents(queue)
			must(t, err)
			if len(state.Ready)+len(state.InFlight) == 0 {
				return
			}
			ds := receive(t, b, queue, 10)
			if len(ds) == 0 && len(state.Ready) > 0 {
				seen.falseEmpty++
			}
			for _, d := range ds {
				if deleted[d.ID] {
					seen.revived++
				} else {
					seen.bodies = append(seen.bodies, string(d.Body))
				}
				deleted[d.ID] = true
			}
			must(t, b.Delete(t.Context(), ds...))
		}
	})
	return seen
}

func TestWorstCaseStandard(t *testing.T) {
	const n = inQueue
	seen := drainWorst(t, "q", 1)
	if seen.falseEmpty == 0 || seen.revived == 0 || slices.IsSortedFunc(seen.bodies, numerically) {
		t.Errorf("seed 1, %d messages: %d false empty, %d again after delete, or in order", n, seen.falseEmpty, seen.revived)
	}
	different := slices.Compact(slices.Sorted(slices.Values(seen.bodies)))
	if len(different) != n {
		t.Errorf("seed 1: %d of %d messages came", len(different), n)
	}
	same, other := drainWorst(t, "q", 1), drainWorst(t, "q", 2)
	if !slices.Equal(seen.bodies, same.bodies) || slices.Equal(seen.bodies, other.bodies) {
		t.Error("a seed is not the same run each time, or two are")
	}
}

// A duplicate comes while the first receiver still has its lease; either may
// delete it.
func TestWorstCaseDuplicates(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := closing(t, memory.NewSQS(&memory.SQSOptions{WorstCase: 1}))
		must(t, b.CreateQueue("q", memory.QueueOptions{}))
		early := 0
		for range 50 {
			publish(t, b, text("q", "a"))
			first, err := b.Receive(t.Context(), "q", 1, broker.Wait(time.Second))
			must(t, err)
			again, err := b.Receive(t.Context(), "q", 1, broker.Wait(20*time.Second))
			must(t, err)
			if len(again) == 1 {
				early++
				if again[0].ID != first[0].ID || again[0].Attempt != 2 || !time.Now().Before(first[0].LeaseEnd) {
					t.Errorf("got %v at %v, first %v", again[0], time.Now(), first[0])
				}
				wantErr(t, b.Extend(t.Context(), 0, first[0]), broker.ErrLeaseLost)
			}
			must(t, b.Delete(t.Context(), first...))
			must(t, b.Purge("q"))
		}
		if early == 0 || early == 50 {
			t.Errorf("%d of 50 messages came twice during their lease", early)
		}
	})
}

func numerically(a, b string) int {
	x, _ := strconv.Atoi(a)
	y, _ := strconv.Atoi(b)
	return x - y
}

func TestWorstCaseFIFO(t *testing.T) {
	const n = inQueue
	seen := drainWorst(t, "q.fifo", 1)
	if len(seen.bodies) != n || seen.falseEmpty+seen.revived > 0 {
		t.Errorf("seed 1: %d messages of %d, %+v", len(seen.bodies), n, seen)
	}
	last := map[int]int{}
	for _, body := range seen.bodies {
		i, _ := strconv.Atoi(body)
		if i < last[i%3] {
			t.Errorf("seed 1: %d after %d of its key", i, last[i%3])
		}
		last[i%3] = i
	}
}

// burst publishes n messages at once to three subscriptions, and returns what
// each got, and how often drops were told.
func burst(t *testing.T, seed uint64, n int) (got []string, counts []broker.Counts, told int64) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newCore(t, &memory.CoreNATSOptions{WorstCase: seed})
		slow := func(context.Context, *broker.Delivery) error { time.Sleep(time.Second); return nil }
		var subs []*broker.Subscription
		var tellings atomic.Int64
		all := make([]string, 3)
		for i := range all {
			h := func(ctx context.Context, d *broker.Delivery) error {
				all[i] += string(d.Body) + " "
				return slow(ctx, d)
			}
			sub, err := b.Subscribe(t.Context(), "s", h, broker.OnError(func(_ context.Context, _ *broker.Delivery, err error) {
				if !errors.Is(err, broker.ErrDropped) {
					t.Errorf("got %v", err)
				}
				tellings.Add(1)
			}))
			must(t, err)
			subs = append(subs, sub)
		}
		for i := range n {
			publish(t, b, text("s", strconv.Itoa(i)))
		}
		must(t, b.WaitIdle(t.Context()))
		synctest.Wait()
		for _, sub := range subs {
			counts = append(counts, sub.Counts())
		}
		got, told = all, tellings.Load()
	})
	return got, counts, told
}

func TestWorstCaseCoreNATS(t *testing.T) {
	const n = 50
	got, counts, told := burst(t, 1, n)
	for i, c := range counts {
		if c.Dropped == 0 || c.Succeeded == 0 || c.Succeeded+c.Dropped != n {
			t.Errorf("seed 1: %+v, want some of %d, and the others counted as dropped", c, n)
		}
		want := ""
		for j := range c.Succeeded {
			want += fmt.Sprint(j, " ")
		}
		if got[i] != want {
			t.Errorf("seed 1: got %q, want %q: the newest are dropped", got[i], want)
		}
	}
	if told == 0 {
		t.Error("drops were not told")
	}
	same, _, _ := burst(t, 1, n)
	other, _, _ := burst(t, 2, n)
	if !slices.Equal(got, same) || slices.Equal(got, other) {
		t.Errorf("a seed is not the same run each time, or two are: %q, %q, %q", got, same, other)
	}
}

func TestWorstCaseSparesWhoKeepsUp(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b := newCore(t, &memory.CoreNATSOptions{WorstCase: 1})
		in := subscribe(t, b, "s", broker.PendingLimits{Messages: 1})
		for i := range 100 {
			publish(t, b, text("s", strconv.Itoa(i)))
			must(t, b.WaitIdle(t.Context()))
			synctest.Wait() // its goroutine has seen the handler's end
		}
		if len(in.got) != 100 {
			t.Errorf("got %d, want all 100", len(in.got))
		}
	})
}

// Members of a queue group are picked by the seed too.
func TestWorstCaseQueueGroups(t *testing.T) {
	picks := func(seed uint64) (picked []int) {
		synctest.Test(t, func(t *testing.T) {
			b := newCore(t, &memory.CoreNATSOptions{WorstCase: seed})
			for i := range 3 {
				_, err := b.Subscribe(t.Context(), "s", func(context.Context, *broker.Delivery) error {
					picked = append(picked, i)
					return nil
				}, broker.Group("g"))
				must(t, err)
			}
			for range 50 {
				publish(t, b, text("s", "a"))
				synctest.Wait()
			}
		})
		return picked
	}
	if a, b := picks(1), picks(1); len(a) != 50 || !slices.Equal(a, b) {
		t.Errorf("seed 1 picked %v, then %v", a, b)
	}
	if a, b := picks(1), picks(2); slices.Equal(a, b) {
		t.Errorf("two seeds picked %v", a)
	}
}

func TestWorstCaseIsDescribedAsTheContract(t *testing.T) {
	describe := func(seed uint64) (subject, queue broker.Semantics) {
		core := newCore(t, &memory.CoreNATSOptions{WorstCase: seed})
		queues := closing(t, memory.NewSQS(&memory.SQSOptions{WorstCase: seed}))
		must(t, queues.CreateQueue("q", memory.QueueOptions{}))
		subject, err := core.Describe(t.Context(), "s")
		must(t, err)
		queue, err = queues.Describe(t.Context(), "q")
		must(t, err)
		return subject, queue
	}
	subject, queue := describe(0)
	worstSubject, worstQueue := describe(1)
	if !subject.Equal(worstSubject) || !queue.Equal(worstQueue) {
		t.Errorf("got %v and %v", worstSubject, worstQueue)
	}
}
