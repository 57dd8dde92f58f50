package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// What comes for a key while its failed message is released must not run
// before that comes again, whatever the backend holds back.
func TestLaneArrivalWhileReleasing(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		r.settle = func(_ context.Context, op, id string) {
			if op == "release" && id == "k1" {
				r.put(0, message("k2", "k"))
				time.Sleep(time.Second)
			}
		}
		sub := consume(t, r, func(_ context.Context, d *broker.Delivery) error {
			if d.ID == "k1" {
				return errors.New("failed")
			}
			t.Errorf("%s ran", d.ID)
			return nil
		}, broker.Concurrency(2))
		r.put(0, message("k1", "k"))
		time.Sleep(time.Minute)
		drain(t, sub)
		if log := r.log(); len(log) != 2 || log[1] != "release k2 0s" {
			t.Errorf("settled %q, want k1 and k2 released", log)
		}
	})
}

// A message at rest does not come again: those behind it go on, and spend no
// attempt.
func TestLaneGoesOnBehindARejectedMessage(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		sub := consume(t, r, func(_ context.Context, d *broker.Delivery) error {
			if d.ID == "k1" {
				return broker.Reject(errors.New("poison"))
			}
			return nil
		}, broker.Concurrency(3))
		r.put(0, message("k1", "k"), message("k2", "k"), message("k3", "k"))
		synctest.Wait()
		drain(t, sub)
		wantLog(t, r, "reject k1 poison", "delete k2", "delete k3")
	})
}

// The order of releases holds in a drain, too: a failing message waits until
// those behind it are back.
func TestDrainReleasesALaneBeforeItsFirstMessage(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		r.settle = func(_ context.Context, op, id string) {
			if op == "release" && id == "k3" {
				time.Sleep(time.Second)
			}
		}
		sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error {
			<-broker.Draining(ctx)
			time.Sleep(time.Second / 2) // the others are on their way back
			return broker.RetryAfter(0, errors.New("failed"))
		}, broker.Concurrency(3))
		r.put(time.Minute, message("k1", "k"), message("k2", "k"), message("k3", "k"))
		synctest.Wait()
		drain(t, sub)
		wantLog(t, r, "release k3 0s", "release k2 0s", "release k1 0s")
	})
}

// A queue with two busy keys and many others: those share the slots that the
// busy ones, which can use one each, leave.
func TestBusyKeysLeaveSlotsToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := memory.NewSQS(nil)
		if err := q.CreateQueue("q.fifo", memory.QueueOptions{}); err != nil {
			t.Fatal(err)
		}
		send := func(key string, n int) {
			for i := range n {
				m := broker.Message{Subject: "q.fifo", Key: key, Body: []byte(fmt.Sprint(i)), DedupID: fmt.Sprint(key, i)}
				if _, err := q.Publish(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
		}
		send("busy-a", 5000)
		send("busy-b", 5000)
		const others, slots = 160, 10
		for i := range others {
			send(fmt.Sprint("other", i), 1)
		}
		var mu sync.Mutex
		done, last := 0, time.Duration(0)
		began := time.Now()
		sub, err := broker.Consume(t.Context(), q, "q.fifo", func(_ context.Context, d *broker.Delivery) error {
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			if strings.HasPrefix(d.Key, "other") {
				done, last = done+1, time.Since(began)
			}
			return nil
		}, broker.Concurrency(slots), broker.Batch(10))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		drain(t, sub)
		// eight of ten slots are theirs: 160 messages of a second take 20 s
		if done != others || last > 22*time.Second {
			t.Errorf("%d of %d messages of other keys were done after %v", done, others, last)
		}
		if n := sub.Counts().LeasesLost; n != 0 {
			t.Errorf("leases lost: %d", n)
		}
		if err := q.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// distant is a queue whose calls take 10 ms each.
type distant struct{ *memory.SQS }

func (d distant) Receive(ctx context.Context, queue string, n int, opts ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	time.Sleep(10 * time.Millisecond)
	return d.SQS.Receive(ctx, queue, n, opts...)
}

func (d distant) Delete(ctx context.Context, ds ...*broker.Delivery) error {
	time.Sleep(10 * time.Millisecond)
	return d.SQS.Delete(ctx, ds...)
}

// With a backlog of many keys, what waits behind the first message of each keeps
// no slots idle: quick handlers have all that a receive brings of a key in hand,
// slow ones have the first message of another key received for each slot.
func TestManyBusyKeysFillTheSlots(t *testing.T) {
	const keys, each, slots = 400, 20, 64
	for _, c := range []struct {
		name   string
		work   time.Duration
		behind int // at most
	}{
		{"quick", 100 * time.Millisecond, 9 * slots},
		{"slow", 2 * time.Second, 2 * slots},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := distant{memory.NewSQS(nil)}
				if err := q.CreateQueue("q.fifo", memory.QueueOptions{}); err != nil {
					t.Fatal(err)
				}
				for key := range keys {
					for i := range each {
						m := broker.Message{Subject: "q.fifo", Key: fmt.Sprint(key), Body: []byte(fmt.Sprint(i)), DedupID: fmt.Sprint(key, ".", i)}
						if _, err := q.Publish(t.Context(), m); err != nil {
							t.Fatal(err)
						}
					}
				}
				var mu sync.Mutex
				next := map[string]int{}
				done, began, over := 0, time.Now(), make(chan time.Duration)
				sub, err := broker.Consume(t.Context(), q, "q.fifo", func(_ context.Context, d *broker.Delivery) error {
					time.Sleep(c.work)
					mu.Lock()
					defer mu.Unlock()
					if string(d.Body) != fmt.Sprint(next[d.Key]) {
						t.Errorf("key %s: got %s, want %d", d.Key, d.Body, next[d.Key])
					}
					next[d.Key]++
					if done++; done == keys*each {
						over <- time.Since(began)
					}
					return nil
				}, broker.Concurrency(slots), broker.Batch(10))
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * c.work)
				if n := sub.Snapshot().Behind; n == 0 || n > c.behind {
					t.Errorf("%d behind others, want 1 to %d", n, c.behind)
				}
				took, least := <-over, keys*each/slots*c.work
				t.Logf("took %v", took)
				if took > least*5/4 {
					t.Errorf("took %v, want %v and a quarter more", took, least)
				}
				drain(t, sub)
				if err := q.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// What waits behind a busy key is bounded, even with a backend that would give
// out any number of them.
func TestBehindABusyKeyIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		gate := make(chan struct{})
		var order []string
		sub := consume(t, r, func(_ context.Context, d *broker.Delivery) error {
			<-gate
			order = append(order, d.ID)
			return nil
		}, broker.Concurrency(4))
		want := make([]string, 1000)
		for i := range want {
			want[i] = fmt.Sprint(i)
			r.put(time.Minute, message(want[i], "k"))
		}
		synctest.Wait()
		snap := sub.Snapshot()
		if snap.Running != 1 || snap.Behind != snap.Waiting || snap.Behind < 4 || snap.Behind > 8 {
			t.Errorf("%+v: want one to run, and up to twice the slots behind it", snap)
		}
		close(gate)
		synctest.Wait()
		if !slices.Equal(order, want) {
			t.Errorf("handled %d of %d in order", len(order), len(want))
		}
		if snap := sub.Snapshot(); snap.Behind != 0 || snap.InFlight != 0 {
			t.Errorf("at the end: %+v", snap)
		}
		drain(t, sub)
	})
}

// A message that comes again before the answer to its own release is not given
// back for that: it would cost an attempt, and it is the next of its key.
func TestMessageThatComesAgainBeforeItsReleaseIsAnswered(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		r.release = func(d *broker.Delivery) error {
			again := message(d.ID, d.Key)
			again.Attempt = d.Attempt + 1
			r.put(time.Minute, again)
			time.Sleep(10 * time.Millisecond) // the answer's way
			return nil
		}
		var attempts []int
		sub := consume(t, r, func(_ context.Context, d *broker.Delivery) error {
			attempts = append(attempts, d.Attempt)
			if d.Attempt < 3 {
				return broker.RetryAfter(0, nil)
			}
			return nil
		}, broker.Concurrency(4))
		r.put(time.Minute, message("k1", "k"))
		time.Sleep(time.Minute)
		drain(t, sub)
		if want := []int{1, 2, 3}; !slices.Equal(attempts, want) {
			t.Errorf("attempts that were handled: %v, want %v", attempts, want)
		}
		wantLog(t, r, "release k1 0s", "release k1 0s", "delete k1")
	})
}

// A message whose lease was lost, and that comes again while its handler still
// runs, is handled next, with what came after it.
func TestLostMessageThatComesAgainBehindItself(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		r.extend = func(context.Context, *fakeHandle) error { return broker.ErrLeaseLost }
		var got []string
		sub := consume(t, r, func(_ context.Context, d *broker.Delivery) error {
			got = append(got, fmt.Sprint(d.ID, " ", d.Attempt))
			if d.ID == "k1" && d.Attempt == 1 {
				time.Sleep(time.Minute)
				return errors.New("lost")
			}
			return nil
		}, broker.Concurrency(4))
		r.put(30*time.Second, message("k1", "k"))
		time.Sleep(40 * time.Second)
		again := message("k1", "k")
		again.Attempt = 2
		r.put(time.Hour, again, message("k2", "k"))
		time.Sleep(time.Minute)
		drain(t, sub)
		if want := []string{"k1 1", "k1 2", "k2 1"}; !slices.Equal(got, want) {
			t.Errorf("handled %q, want %q", got, want)
		}
		wantLog(t, r, "delete k1", "delete k2")
	})
}

// A key that never runs dry does not keep a slot from what waits for it.
func TestBusyKeyGivesUpItsSlot(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		var handled atomic.Int32
		var other atomic.Int32
		sub := consume(t, r, func(_ context.Context, d *broker.Delivery) error {
			n := handled.Add(1)
			if d.Key == "k" {
				r.put(0, message(fmt.Sprint("k", n), "k"))
			} else {
				other.Store(n)
			}
			time.Sleep(time.Second)
			return nil
		}, broker.Prefetch(10))
		r.put(0, message("ka", "k"), message("kb", "k"), message("other", ""))
		time.Sleep(time.Minute)
		if n := other.Load(); n == 0 || n > 3 {
			t.Errorf("the other message was number %d (0: never) of %d", n, handled.Load())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := sub.Drain(ctx); err != nil {
			t.Error(err)
		}
	})
}
