package coalesce

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// hold holds keys for a time, and then says of some that they failed.
func (p *post) hold(t *testing.T, all *sync.WaitGroup, d time.Duration, failing []string, keys ...string) {
	t.Helper()
	all.Go(func() {
		release, failed, err := p.Hold(t.Context(), keys)
		if err != nil {
			t.Error(err)
			return
		}
		p.mu.Lock()
		p.log = append(p.log, time.Since(p.begin).String()+" held "+slices.Concat(keys, failed)[0])
		p.mu.Unlock()
		time.Sleep(d)
		release(failing)
	})
	synctest.Wait()
}

func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(ten)
		var all sync.WaitGroup
		p.send(t.Context(), t, &all, "k:1")
		p.hold(t, &all, 10*time.Second, nil, "k", "l") // waits for k, and l's letter for it
		p.send(t.Context(), t, &all, "l:1", "m:1")
		p.hold(t, &all, time.Second, nil, "l") // after l:1
		all.Wait()
		want := []string{"0s k:1", "1s held k", "1s m:1", "11s l:1", "12s held l"}
		slices.Sort(p.log) // of what began at one time
		if slices.Sort(want); !slices.Equal(p.log, want) {
			t.Errorf("got %q, want %q", p.log, want)
		}
		// Neither overtakes the other: the second waits for l, which is free.
		begin := time.Now()
		p.hold(t, &all, 2*time.Second, nil, "k")
		p.hold(t, &all, time.Second, nil, "l", "k")
		p.hold(t, &all, time.Second, nil, "l")
		all.Wait()
		if took := time.Since(begin); took != 4*time.Second {
			t.Errorf("three that wait for each other took %v", took)
		}
		p.hold(t, &all, time.Second, nil, "k") // nothing is in its way
		p.send(t.Context(), t, &all, "k:2", "k:3")
		all.Wait()
		if !slices.Contains(p.log, "18s k:2 k:3") {
			t.Errorf("got %q", p.log)
		}
	})
}

// A failure of a held key ends what waits for it, and one that Hold waits for is
// told by it.
func TestHoldFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(ten)
		var all sync.WaitGroup
		p.hold(t, &all, time.Second, []string{"k"}, "k", "l")
		p.send(t.Context(), t, &all, "m:1")
		for _, text := range []string{"k:1", "l:1"} {
			all.Go(func() {
				if err := p.Do(t.Context(), &letter{text: text}); errors.Is(err, ErrBehind) != (text == "k:1") {
					t.Errorf("%s: got %v", text, err)
				}
			})
			synctest.Wait()
		}
		all.Wait()

		all.Go(func() { _ = p.Do(t.Context(), &letter{text: "k:2", fates: []Result{failed}}) })
		synctest.Wait()
		release, behind, err := p.Hold(t.Context(), []string{"l", "k"})
		if err != nil || !slices.Equal(behind, []string{"k"}) {
			t.Errorf("got %v, %v", behind, err)
		}
		release(nil)
		all.Wait()
	})
}

func TestHoldEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPost(ten)
		var all sync.WaitGroup
		p.hold(t, &all, 10*time.Second, nil, "k")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		all.Go(func() {
			if _, _, err := p.Hold(ctx, []string{"l", "k"}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		p.send(t.Context(), t, &all, "l:1") // goes once the Hold before it is given up
		all.Go(func() {
			if _, _, err := p.Hold(t.Context(), []string{"k"}); !errors.Is(err, ErrClosed) {
				t.Errorf("got %v", err)
			}
		})
		time.Sleep(3 * time.Second)
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		all.Wait()
		if _, _, err := p.Hold(t.Context(), []string{"k"}); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v", err)
		}
		if want := []string{"0s held k", "1s l:1"}; !slices.Equal(p.log, want) {
			t.Errorf("got %q, want %q", p.log, want)
		}
	})
}
