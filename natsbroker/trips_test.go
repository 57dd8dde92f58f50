package natsbroker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slowTrips are round trips that end when the test says so.
type slowTrips struct {
	trips
	made    atomic.Int64
	release chan error
}

func newSlowTrips() *slowTrips {
	s := &slowTrips{release: make(chan error)}
	s.flush = func(ctx context.Context) error {
		s.made.Add(1)
		select {
		case err := <-s.release:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return s
}

func TestTripsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowTrips()
		boom := errors.New("boom")
		var callers sync.WaitGroup
		results := make(chan error, 64)
		for range 64 {
			callers.Go(func() { results <- s.do(t.Context()) })
		}
		synctest.Wait()
		s.release <- nil // for the first alone: the others came after it had begun
		synctest.Wait()
		if len(results) != 1 || s.made.Load() != 2 {
			t.Errorf("%d callers have returned after the first of %d round trips, want 1 of 2", len(results), s.made.Load())
		}
		s.release <- boom
		callers.Wait()
		failed := 0
		for range 64 {
			if errors.Is(<-results, boom) {
				failed++
			}
		}
		if failed != 63 || s.made.Load() != 2 {
			t.Errorf("%d callers share what became of the second of %d round trips, want 63 and 2", failed, s.made.Load())
		}
		if err := s.wait(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestTripsEndWithTheirCallers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowTrips()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var callers sync.WaitGroup
		results := make(chan error, 4)
		for range cap(results) {
			callers.Go(func() { results <- s.do(ctx) })
		}
		callers.Wait()
		for range cap(results) {
			if err := <-results; !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the callers' deadline", err)
			}
		}
		if err := s.wait(t.Context()); err != nil { // whatever was begun has ended
			t.Error(err)
		}
		go func() { results <- s.do(t.Context()) }()
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.wait(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want to wait for the round trip under way", err)
		}
		waited := make(chan error)
		go func() { waited <- s.wait(t.Context()) }()
		synctest.Wait()
		s.release <- nil
		if err := errors.Join(<-results, <-waited); err != nil {
			t.Error(err)
		}
	})
}

// One that waits for a round trip of others, and whose company has left.
func TestTripsOfOneThatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowTrips()
		ctx, cancel := context.WithCancel(t.Context())
		first, left, stays := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		go func() { first <- s.do(t.Context()) }()
		synctest.Wait()
		go func() { left <- s.do(ctx) }()
		go func() { stays <- s.do(t.Context()) }()
		synctest.Wait()
		cancel()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled", err)
		}
		s.release <- nil
		s.release <- nil
		if err := errors.Join(<-first, <-stays); err != nil {
			t.Error(err)
		}
	})
}
