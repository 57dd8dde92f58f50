package queue_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

func TestPollsAreServedInOrder(t *testing.T) {
	bubble(t, queue.Config{Visibility: time.Hour}, func(t *testing.T, e *queue.Engine) {
		var polls []<-chan answer
		for range 3 {
			polls = append(polls, polling(t.Context(), e, 10, time.Minute))
		}
		for _, id := range []string{"1", "2", "3"} {
			mustSend(t, e, "q", queue.Send{ID: id})
		}
		for i, want := range []string{"1", "2", "3"} {
			if got := <-polls[i]; got.ids != want {
				t.Errorf("poll %d got %q, want %q", i+1, got.ids, want)
			}
		}
	})
}

// A poll that waits comes before a receive that finds what time set free at
// this moment.
func TestPollBeforeLaterReceive(t *testing.T) {
	e, clock := newManual(t, queue.Config{Visibility: time.Minute, Delay: time.Second})
	mustSend(t, e, "q", queue.Send{ID: "m"})
	got := make(chan []queue.Message)
	go func() {
		ms, err := e.Receive(context.Background(), "q", 1, time.Hour, -1)
		if err != nil {
			t.Error(err)
		}
		got <- ms
	}()
	awaitPolls(t, e, 1)
	clock.set(time.Unix(1, 0)) // and no timer fires
	mustReceive(t, e, "q", "")
	if ms := <-got; ids(ms) != "m" {
		t.Errorf("the poll got %q, want m", ids(ms))
	}
}

func TestPollCancelled(t *testing.T) {
	bubble(t, queue.Config{Visibility: time.Hour}, func(t *testing.T, e *queue.Engine) {
		ctx, cancel := context.WithCancel(t.Context())
		done := polling(ctx, e, 10, time.Hour)
		time.Sleep(time.Second)
		cancel()
		if got, want := <-done, (answer{err: context.Canceled, after: time.Second}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		mustSend(t, e, "q", queue.Send{ID: "m"})
		if _, err := e.Receive(ctx, "q", 10, 0, -1); !errors.Is(err, context.Canceled) {
			t.Errorf("on a context that has ended: %v, want context.Canceled", err)
		}
		mustReceive(t, e, "q", "m")
	})
}

// Cancelling polls while messages come loses none of them: each is received
// exactly once, its lease being longer than the test.
func TestCancelLosesNothing(t *testing.T) {
	const messages, pollers = 2000, 8
	e := queue.New(queue.SystemClock())
	defer e.Close()
	mustCreate(t, e, "q", queue.Config{Visibility: time.Hour})
	seen := make(chan string, messages)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range pollers {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := context.WithCancel(context.Background())
				go cancel()
				ms, err := e.Receive(ctx, "q", 3, time.Minute, -1)
				if err != nil && (!errors.Is(err, context.Canceled) || len(ms) > 0) {
					t.Errorf("received %d messages and %v", len(ms), err)
				}
				for _, m := range ms {
					seen <- m.ID
				}
				cancel()
			}
		})
	}
	want := map[string]bool{}
	for i := range messages {
		id := time.Duration(i).String()
		want[id] = true
		mustSend(t, e, "q", queue.Send{ID: id})
	}
	for range messages {
		select {
		case id := <-seen:
			if !want[id] {
				t.Fatalf("%s was received twice", id)
			}
			delete(want, id)
		case <-time.After(30 * time.Second):
			t.Fatalf("%d messages were lost", len(want))
		}
	}
	close(stop)
	wg.Wait()
}

// While nobody waits no timer is set, however the polls have ended.
func TestIdleCostsNothing(t *testing.T) {
	tests := []struct {
		name string
		end  func(e *queue.Engine, cancel func())
		want error
	}{
		{"cancelled", func(_ *queue.Engine, cancel func()) { cancel() }, context.Canceled},
		{"dropped", func(e *queue.Engine, _ func()) { _ = e.Drop("q") }, queue.ErrNoQueue},
		{"closed", func(e *queue.Engine, _ func()) { e.Close() }, queue.ErrClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			const polls = 3
			e, clock := newManual(t, queue.Config{Delay: time.Second})
			mustSend(t, e, "q", queue.Send{ID: "m"})
			if got := clock.pending(); got != 0 {
				t.Errorf("nobody waits, and %d timers are set", got)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error)
			for range polls {
				go func() {
					_, err := e.Receive(ctx, "q", 1, time.Hour, -1)
					done <- err
				}()
			}
			awaitPolls(t, e, polls)
			if got, want := clock.pending(), polls+1; got != want { // and one for the queue
				t.Errorf("%d polls wait, and %d timers are set, want %d", polls, got, want)
			}
			tt.end(e, cancel)
			for range polls {
				if err := <-done; !errors.Is(err, tt.want) {
					t.Errorf("got %v, want %v", err, tt.want)
				}
			}
			if got := clock.pending(); got != 0 {
				t.Errorf("nobody waits any more, and %d timers are set", got)
			}
		})
	}
}

// newManual is an engine on a clock of the test's, with a queue "q".
func newManual(t *testing.T, c queue.Config) (*queue.Engine, *manualClock) {
	clock := &manualClock{now: time.Unix(0, 0)}
	e := queue.New(clock)
	t.Cleanup(e.Close)
	mustCreate(t, e, "q", c)
	return e, clock
}

// What becomes visible at the moment at which the wait ends is received, also
// when the end's timer fires first.
func TestPollEndsWithMessage(t *testing.T) {
	e, clock := newManual(t, queue.Config{Delay: time.Minute})
	mustSend(t, e, "q", queue.Send{ID: "m"})
	got := make(chan string)
	go func() {
		ms, err := e.Receive(context.Background(), "q", 1, time.Minute, -1)
		if err != nil {
			t.Error(err)
		}
		got <- ids(ms)
	}()
	awaitPolls(t, e, 1)
	clock.set(time.Unix(60, 0))
	end := clock.fire() // the poll's was set before the queue's
	end()
	if got := <-got; got != "m" {
		t.Errorf("received %q, want m", got)
	}
}

// Close returns when the last timer that has fired is done.
func TestCloseJoinsTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, clock := newManual(t, queue.Config{})
		done := polling(t.Context(), e, 1, time.Minute)
		end := clock.fire()
		closed := make(chan struct{})
		go func() {
			e.Close()
			close(closed)
		}()
		synctest.Wait()
		select {
		case <-closed:
			t.Error("Close returned while a timer was about to run")
		default:
		}
		if got := <-done; !errors.Is(got.err, queue.ErrClosed) {
			t.Errorf("the poll: %v, want ErrClosed", got.err)
		}
		end()
		<-closed
	})
}
