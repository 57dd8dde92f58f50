package broker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// busySlots is a handler that counts how many run, and notes which ran.
type busySlots struct {
	mu            sync.Mutex
	running, most int
	began         []string
	takes         time.Duration
}

func (s *busySlots) handle(_ context.Context, d *broker.Delivery) error {
	s.mu.Lock()
	s.running++
	s.most = max(s.most, s.running)
	s.began = append(s.began, d.ID)
	s.mu.Unlock()
	time.Sleep(s.takes)
	s.mu.Lock()
	s.running--
	s.mu.Unlock()
	return nil
}

func (s *busySlots) ran() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.began)
}

// putNumbers queues n messages, each of a key of its own if keyed.
func putNumbers(r *fakeReceiver, n int, keyed bool) {
	for i := range n {
		id := fmt.Sprint(i)
		key := ""
		if keyed {
			key = id
		}
		r.put(time.Minute, message(id, key))
	}
}

// A delete that waits for a call under way leaves its slot to the next message,
// so that the latency of deletes does not take the time of handlers. One slot is
// the caller's own.
func TestSlotIsLeftWhileADeleteWaits(t *testing.T) {
	for _, keyed := range []bool{false, true} {
		t.Run(fmt.Sprintf("keyed=%v", keyed), func(t *testing.T) {
			bubble(t, func(t *testing.T, f *fakeReceiver) {
				r := &batchReceiver{fakeReceiver: f} // 5 ms a call
				slots := &busySlots{takes: time.Millisecond}
				sub := consume(t, r, slots.handle, broker.Concurrency(4))
				putNumbers(f, 7, keyed)
				began := time.Now()
				time.Sleep(3 * time.Millisecond) // 0 to 3 have run; the delete of one of them is under way
				if got := slots.ran(); len(got) != 7 {
					t.Errorf("%v after %v: want seven to have begun", got, time.Since(began))
				}
				if snap := sub.Snapshot(); snap.Waiting != 0 || snap.Running != 7 {
					t.Errorf("%+v: want all seven to run or to be settled", snap)
				}
				time.Sleep(time.Second)
				drain(t, sub)
				if slots.most > 4 || sub.Counts().Deleted != 7 {
					t.Errorf("%d ran at once, of 4; %+v", slots.most, sub.Counts())
				}
			})
		})
	}
}

// Where deletes hang, the intake ends: as many have left a slot as there are.
func TestSlotsAreNotLeftWithoutBound(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		gate := make(chan struct{})
		r.delete = func(*broker.Delivery) error { <-gate; return nil }
		slots := &busySlots{}
		sub := consume(t, r, slots.handle, broker.Concurrency(4))
		putNumbers(r, 100, false)
		time.Sleep(3 * time.Second)
		if got := slots.ran(); len(got) != 8 {
			t.Errorf("%d handlers began, want 4 that hold their slots and 4 that left theirs", len(got))
		}
		if snap := sub.Snapshot(); snap.Running != 8 || snap.Idle != 0 || snap.Waiting != 0 {
			t.Errorf("while deletes hang: %+v", snap)
		}
		close(gate)
		synctest.Wait()
		if snap := sub.Snapshot(); snap.Deleted != 100 || snap.Running != 0 || snap.Idle != 4 {
			t.Errorf("at the end: %+v", snap)
		}
		drain(t, sub)
	})
}

// The next of a key does not start before the one that left its slot is deleted.
func TestLaneIsKeptWithoutASlot(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		gate := make(chan struct{})
		r.delete = func(*broker.Delivery) error { <-gate; return nil }
		slots := &busySlots{}
		sub := consume(t, r, slots.handle, broker.Concurrency(2))
		r.put(time.Minute, message("x", "other"))
		synctest.Wait() // its delete is under way
		r.put(time.Minute, message("k1", "k"), message("k2", "k"))
		synctest.Wait()
		r.put(time.Minute, message("y", "third"))
		synctest.Wait()
		if got, want := slots.ran(), []string{"x", "k1", "y"}; !slices.Equal(got, want) {
			t.Errorf("before k1 was deleted, %v had begun, want %v", got, want)
		}
		if snap := sub.Snapshot(); snap.Behind != 1 || snap.Waiting != 1 || snap.Running != 3 {
			t.Errorf("before k1 was deleted: %+v", snap)
		}
		close(gate)
		synctest.Wait()
		if got, want := slots.ran(), []string{"x", "k1", "y", "k2"}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		drain(t, sub)
		if n := sub.Counts().Deleted; n != 4 {
			t.Errorf("deleted %d of 4", n)
		}
	})
}

func TestSetConcurrencyWithSlotsLeft(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeReceiver) {
		r := &batchReceiver{fakeReceiver: f}
		slots := &busySlots{takes: time.Millisecond}
		sub := consume(t, r, slots.handle, broker.Concurrency(8))
		putNumbers(f, 1000, false)
		time.Sleep(50 * time.Millisecond)
		if err := sub.SetConcurrency(1); err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond) // what ran before has ended
		slots.mu.Lock()
		slots.most = slots.running
		slots.mu.Unlock()
		time.Sleep(50 * time.Millisecond)
		slots.mu.Lock()
		if slots.most != 1 {
			t.Errorf("%d ran at once after SetConcurrency(1)", slots.most)
		}
		slots.mu.Unlock()
		if err := sub.SetConcurrency(8); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if snap := sub.Snapshot(); snap.Deleted != 1000 || snap.Running != 0 || snap.Idle != 8 {
			t.Errorf("at the end: %+v", snap)
		}
		drain(t, sub)
	})
}

// A drain waits for deletes that have left their slots, counts them once, and
// starts nothing in their place.
func TestDrainWithSlotsLeft(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		gate := make(chan struct{})
		r.delete = func(*broker.Delivery) error { <-gate; return nil }
		slots := &busySlots{}
		sub := consume(t, r, slots.handle, broker.Concurrency(4))
		putNumbers(r, 6, false)
		synctest.Wait()
		if got := slots.ran(); len(got) != 6 {
			t.Fatalf("%v have begun, want 6", got)
		}
		reports := make(chan broker.Report)
		go func() { reports <- drain(t, sub) }()
		synctest.Wait()
		putNumbers(r, 6, false)
		time.Sleep(time.Second)
		select {
		case report := <-reports:
			t.Fatalf("drained before the deletes had an answer: %+v", report)
		default:
		}
		close(gate)
		if got, want := <-reports, (broker.Report{Subject: "q", Finished: 6}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if got := slots.ran(); len(got) != 6 {
			t.Errorf("%v have begun, want 6", got)
		}
	})
}

// A hook that ends the goroutine of a delivery without a slot takes none from
// the others.
func TestHookThatEndsItsGoroutineWithoutASlot(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeReceiver) {
		r := &batchReceiver{fakeReceiver: f}
		var settled atomic.Int32
		slots := &busySlots{takes: time.Millisecond}
		sub := consume(t, r, slots.handle, broker.Concurrency(4), broker.Observer(func(e broker.Event) {
			if e.Kind == broker.EventSettled && settled.Add(1)%2 == 0 {
				goexit()
			}
		}))
		putNumbers(f, 100, false)
		time.Sleep(time.Minute)
		if snap := sub.Snapshot(); snap.Deleted != 100 || snap.Running != 0 || snap.Idle != 4 {
			t.Errorf("at the end: %+v", snap)
		}
		if slots.most != 4 {
			t.Errorf("%d ran at once, of 4", slots.most)
		}
		drain(t, sub)
	})
}

// While messages come in full batches the room is used by polls beside each
// other, each for a full batch; the time of receives and deletes, 5 ms each, is
// not the handlers'.
func TestPollsBesideEachOtherAreFull(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeReceiver) {
		const messages = 10_000
		r := &batchReceiver{fakeReceiver: f}
		f.receive = func() error { time.Sleep(5 * time.Millisecond); return nil }
		handled, last := 0, time.Duration(0)
		var mu sync.Mutex
		putNumbers(f, messages, false)
		began := time.Now()
		sub := consume(t, r, func(context.Context, *broker.Delivery) error {
			mu.Lock()
			defer mu.Unlock()
			handled, last = handled+1, time.Since(began)
			return nil
		}, broker.Concurrency(64), broker.Batch(10))
		time.Sleep(time.Minute)
		drain(t, sub)
		receives, deletes := len(f.asked), len(r.batches)
		t.Logf("%d messages in %v, %d receives, %d deletes", handled, last, receives, deletes)
		if handled != messages || last > 1100*time.Millisecond { // five polls: 50 in 5 ms, 1 s
			t.Errorf("%d handled in %v", handled, last)
		}
		// A few are not full: it depends on which goroutine runs first how many. One in
		// ten would not be if polls beside another did not wait for room for ten.
		if most := messages / 10 * 105 / 100; receives > most || deletes > most {
			t.Errorf("%d receives and %d deletes, want at most %d", receives, deletes, most)
		}
	})
}
