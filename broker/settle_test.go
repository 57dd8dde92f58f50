package broker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func TestSettlementIsTriedAgainWithinTheLease(t *testing.T) {
	for name, c := range map[string]struct {
		fails    int
		err      error
		deleted  uint64
		wantsTry int
	}{
		"a failure that passes":        {3, broker.ErrThrottled, 1, 4},
		"a failure that stays":         {1 << 30, broker.ErrThrottled, 0, 2},
		"a lost lease is final":        {1 << 30, broker.ErrLeaseLost, 0, 1},
		"what is unsupported is final": {1 << 30, errors.ErrUnsupported, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *fakeReceiver) {
				tries := 0
				var end, last time.Time
				r.delete = func(*broker.Delivery) error {
					tries++
					last = time.Now()
					if tries <= c.fails {
						return c.err
					}
					return nil
				}
				told := 0
				sub := consume(t, r, func(ctx context.Context, _ *broker.Delivery) error {
					end, _ = broker.LeaseEnd(ctx)
					return nil
				}, broker.OnError(func(context.Context, *broker.Delivery, error) { told++ }))
				r.put(10*time.Second, message("a", ""))
				time.Sleep(time.Minute)
				drain(t, sub)
				if sub.Counts().Deleted != c.deleted || tries < c.wantsTry || c.wantsTry == 1 && tries != 1 {
					t.Errorf("%d tries, %+v", tries, sub.Counts())
				}
				if last.After(end) {
					t.Errorf("tried %v after the end of the lease", last.Sub(end))
				}
				if want := 1 - int(c.deleted); told != want {
					t.Errorf("told %d errors, want %d", told, want)
				}
			})
		})
	}
}

// batchReceiver notes how many deliveries each Delete was given, and takes its
// time.
type batchReceiver struct {
	*fakeReceiver
	mu      sync.Mutex
	batches []int
}

func (b *batchReceiver) Delete(ctx context.Context, ds ...*broker.Delivery) error {
	b.mu.Lock()
	b.batches = append(b.batches, len(ds))
	b.mu.Unlock()
	time.Sleep(5 * time.Millisecond)
	errs := make([]error, len(ds))
	for i, d := range ds {
		if strings.HasPrefix(d.ID, "bad") {
			errs[i] = broker.ErrLeaseLost
		}
	}
	return errors.Join(b.fakeReceiver.Delete(ctx, ds...), broker.NewBatchError(errs))
}

func TestDeletesGatherWhileACallIsUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeReceiver) {
		r := &batchReceiver{fakeReceiver: f}
		sub := consume(t, r, succeed, broker.Concurrency(8))
		for i := range 8 {
			f.put(0, message(fmt.Sprint(i), ""))
		}
		time.Sleep(time.Second)
		f.put(0, message("alone", ""))
		time.Sleep(time.Second)
		drain(t, sub)
		if want := []int{1, 7, 1}; !slices.Equal(r.batches, want) {
			t.Errorf("deleted in batches of %v, want %v", r.batches, want)
		}
		if n := sub.Counts().Deleted; n != 9 {
			t.Errorf("deleted: got %d, want 9", n)
		}
	})
}

// A delete that hangs holds up no other: the next ones wait for it a moment, and
// then go in a call of their own.
func TestDeletesDoNotWaitForACallThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		began := time.Now()
		deleted := map[string]time.Duration{}
		var mu sync.Mutex
		r.delete = func(d *broker.Delivery) error {
			if d.ID == "hangs" {
				time.Sleep(4 * time.Second)
			}
			mu.Lock()
			defer mu.Unlock()
			deleted[d.ID] = time.Since(began)
			return nil
		}
		sub := consume(t, r, func(_ context.Context, d *broker.Delivery) error {
			if d.ID != "hangs" {
				time.Sleep(time.Second)
			}
			return nil
		}, broker.Concurrency(10))
		r.put(10*time.Second, message("hangs", ""), message("a", ""), message("b", ""))
		time.Sleep(time.Minute)
		drain(t, sub)
		for _, id := range []string{"a", "b"} {
			if after := deleted[id]; after < time.Second || after > 1500*time.Millisecond {
				t.Errorf("%s was deleted after %v, want soon after its handler's second", id, after)
			}
		}
		if deleted["hangs"] != 4*time.Second || sub.Counts().Deleted != 3 {
			t.Errorf("got %v and %+v", deleted, sub.Counts())
		}
	})
}

func TestDeleteBatchesKeepEachResult(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeReceiver) {
		r := &batchReceiver{fakeReceiver: f}
		var told []string
		var mu sync.Mutex
		sub := consume(t, r, succeed, broker.Concurrency(10), broker.Batch(4),
			broker.OnError(func(_ context.Context, d *broker.Delivery, _ error) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, d.ID)
			}))
		for i := range 8 {
			f.put(0, message(fmt.Sprint(i), ""))
		}
		f.put(0, message("bad1", ""), message("bad2", ""))
		time.Sleep(time.Second)
		drain(t, sub)
		slices.Sort(told)
		if want := []string{"bad1", "bad2"}; !slices.Equal(told, want) {
			t.Errorf("told of %q, want %q", told, want)
		}
		if c := sub.Counts(); c.Deleted != 8 || c.LeasesLost != 2 {
			t.Errorf("%+v", c)
		}
		for _, n := range r.batches {
			if n > 10 {
				t.Errorf("batches %v", r.batches)
			}
		}
	})
}

// A lease that turns out to be lost when its message is settled is told of as
// any other.
func TestLeaseLostIsSeenWhenSettling(t *testing.T) {
	lost := func(*broker.Delivery) error { return broker.ErrLeaseLost }
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		set     func(r *fakeReceiver)
		handler broker.Handler
	}{
		"delete":  {func(r *fakeReceiver) { r.delete = lost }, succeed},
		"release": {func(r *fakeReceiver) { r.release = lost }, func(context.Context, *broker.Delivery) error { return boom }},
		"reject": {
			func(r *fakeReceiver) { r.reject, r.release = lost, lost },
			func(context.Context, *broker.Delivery) error { return broker.Reject(boom) },
		},
		"a delete that fails until the lease is over": {
			func(r *fakeReceiver) {
				r.delete = func(*broker.Delivery) error { time.Sleep(10 * time.Second); return broker.ErrThrottled }
			}, succeed,
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *fakeReceiver) {
				c.set(r)
				var seen []broker.Event
				sub := consume(t, r, c.handler, broker.Observer(func(e broker.Event) {
					if e.Kind == broker.EventLeaseLost {
						seen = append(seen, e)
					}
				}))
				r.put(30*time.Second, message("a", ""))
				time.Sleep(time.Minute)
				drain(t, sub)
				if len(seen) != 1 || seen[0].Delivery.ID != "a" || seen[0].Err == nil {
					t.Errorf("events of a lost lease: %+v, want one", seen)
				}
				if n := sub.Counts().LeasesLost; n != 1 {
					t.Errorf("leases lost: got %d, want 1", n)
				}
			})
		})
	}
}

// What turns out to be somebody else's when it is to be rejected is not released
// either.
func TestRejectOfALostMessageIsNotARelease(t *testing.T) {
	bubble(t, func(t *testing.T, r *fakeReceiver) {
		r.reject = func(*broker.Delivery) error { return broker.ErrLeaseLost }
		sub := consume(t, r, func(context.Context, *broker.Delivery) error { return broker.Reject(errors.New("bad")) })
		r.put(time.Minute, message("a", ""))
		synctest.Wait()
		drain(t, sub)
		wantLog(t, r, "reject a bad")
		if n := sub.Counts().LeasesLost; n != 1 {
			t.Errorf("leases lost: %d, want 1", n)
		}
	})
}
