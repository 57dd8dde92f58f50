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
		s.stop()
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
		synctest.Wait()
		if s.under || s.next != nil {
			t.Error("a round trip is under way, or waited for, for nobody")
		}
	})
}

// What is shared ends with the broker, what a caller makes alone with its caller.
func TestTripsAreStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlowTrips()
		first, second, third := make(chan error, 1), make(chan error, 1), make(chan error, 1)
		for _, result := range []chan error{first, second} {
			go func() { result <- s.do(t.Context()) }()
			synctest.Wait()
		}
		s.release <- nil
		synctest.Wait()
		go func() { third <- s.do(t.Context()) }()
		synctest.Wait()
		s.stop()
		for _, result := range []chan error{second, third} {
			if err := <-result; !errors.Is(err, errBrokerClosed) {
				t.Errorf("got %v, want the broker's end", err)
			}
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
		if err := s.do(t.Context()); !errors.Is(err, errBrokerClosed) {
			t.Errorf("afterwards: got %v", err)
		}
		s.stop() // again
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
