package stream

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Many publish and receive at once, with receives that are cancelled at any moment:
// each message is settled once, and nothing is left.
func TestConcurrently(t *testing.T) {
	const publishers, receivers, each = 4, 4, 500
	e := New(func() {}, 0)
	if err := errors.Join(
		e.CreateStream("s", Config{Subjects: []string{"a"}, Retention: WorkQueue}),
		e.CreateConsumer("s", "c", ConsumerConfig{AckWait: time.Hour, MaxAckPending: 50}),
	); err != nil {
		t.Fatal(err)
	}
	var publishing, receiving sync.WaitGroup
	for range publishers {
		publishing.Go(func() {
			for range each {
				if _, err := e.Publish(&Send{Subject: "a"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var settled atomic.Int64
	done := make(chan struct{})
	for i := range receivers {
		receiving.Go(func() {
			for settled.Load() < publishers*each {
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(i+1)*100*time.Microsecond)
				ms, err := e.Receive(ctx, "s", "c", 7, time.Second)
				cancel()
				if err != nil && !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
					return
				}
				for _, m := range ms {
					if err := e.Delete("s", "c", m.Receipt()); err != nil {
						t.Error(err)
					}
					settled.Add(1)
				}
			}
		})
	}
	go func() {
		publishing.Wait()
		receiving.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(30 * time.Second):
		t.Fatalf("%d of %d settled", settled.Load(), publishers*each)
	}
	s := e.streams["s"]
	c := s.consumers["c"]
	if len(s.bySeq)+len(s.subjects)+len(c.flights)+c.due.Len()+c.polls.Len() > 0 || s.head != nil || c.pending.head() != nil || c.alarm != nil {
		t.Error("something is left")
	}
	e.Close()
	if _, err := e.Publish(&Send{Subject: "a"}); !errors.Is(err, ErrClosed) {
		t.Errorf("got %v after Close", err)
	}
}

// What a consumer never reads does not pile up when the stream lets go of it.
func TestPendingIsSwept(t *testing.T) {
	e := New(func() {}, 0)
	defer e.Close()
	if err := errors.Join(
		e.CreateStream("s", Config{Subjects: []string{">"}, MaxMsgsPerSubject: 1}),
		e.CreateConsumer("s", "c", ConsumerConfig{AckWait: time.Hour}),
	); err != nil {
		t.Fatal(err)
	}
	for i := range 10_000 {
		name := "busy"
		if i == 0 {
			name = "the oldest"
		}
		if _, err := e.Publish(&Send{Subject: name}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(e.streams["s"].consumers["c"].pending.all); n > 2*leastSweep {
		t.Errorf("%d places for 2 messages", n)
	}
}

// A consumer that is dropped and an engine that is closed end what waits, and leave
// no timer.
func TestWaitsEnd(t *testing.T) {
	for want, end := range map[error]func(*Engine){
		ErrClosed:     (*Engine).Close,
		ErrNoConsumer: func(e *Engine) { _ = e.DropConsumer("s", "c") },
		ErrNoStream:   func(e *Engine) { _ = e.DropStream("s") },
	} {
		synctest.Test(t, func(t *testing.T) {
			e := New(func() {}, 0)
			defer e.Close()
			e.Advise(func(string, string, Receipt) *Send { return &Send{Subject: "notice"} })
			if err := errors.Join(
				e.CreateStream("notices", Config{Subjects: []string{"notice"}}),
				e.CreateStream("s", Config{Subjects: []string{"a"}}),
				e.CreateConsumer("s", "c", ConsumerConfig{AckWait: time.Hour, MaxAckPending: 1, MaxDeliver: 1}),
			); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Publish(&Send{Subject: "a"}); err != nil {
				t.Fatal(err)
			}
			if ms, err := e.Receive(t.Context(), "s", "c", 1, 0); err != nil || len(ms) != 1 {
				t.Fatal(ms, err)
			}
			ended := make(chan error, 1)
			go func() {
				_, err := e.Receive(t.Context(), "s", "c", 1, time.Hour) // with an alarm for the lease
				ended <- err
			}()
			synctest.Wait()
			began := time.Now()
			end(e)
			if err := <-ended; !errors.Is(err, want) {
				t.Errorf("got %v, want %v", err, want)
			}
			e.Close() // waits for timers, if there are any left
			if took := time.Since(began); took > 0 {
				t.Errorf("it took %v", took)
			}
		})
	}
}
