package queue_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

// bubble runs f in virtual time on an engine with a queue "q".
func bubble(t *testing.T, c queue.Config, f func(t *testing.T, e *queue.Engine)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := queue.New(queue.SystemClock())
		t.Cleanup(e.Close)
		mustCreate(t, e, "q", c)
		f(t, e)
	})
}

// answer is what a poll came back with, and when.
type answer struct {
	ids   string
	err   error
	after time.Duration
}

// polling starts a Receive and returns when it waits or is done.
func polling(ctx context.Context, e *queue.Engine, limit int, wait time.Duration) <-chan answer {
	done := make(chan answer, 1)
	start := time.Now()
	go func() {
		ms, err := e.Receive(ctx, "q", limit, wait, -1)
		done <- answer{ids(ms), err, time.Since(start)}
	}()
	synctest.Wait()
	return done
}

// awaitPolls returns when n polls wait, outside of bubbles.
func awaitPolls(t *testing.T, e *queue.Engine, n int) {
	t.Helper()
	for {
		s, err := e.Stats("q")
		if err != nil {
			t.Fatal(err)
		}
		if s.Polls >= n {
			return
		}
		runtime.Gosched()
	}
}

func mustSend(t testing.TB, e *queue.Engine, name string, s queue.Send) queue.Sent {
	t.Helper()
	sent, err := e.Send(name, s)
	if err != nil {
		t.Fatal(err)
	}
	return sent
}

func mustReceive(t testing.TB, e *queue.Engine, name string, want string) []queue.Message {
	t.Helper()
	ms, err := e.Receive(t.Context(), name, 10, 0, -1)
	if err != nil || ids(ms) != want {
		t.Fatalf("received %q, %v; want %q", ids(ms), err, want)
	}
	return ms
}

func TestPollWakes(t *testing.T) {
	const wait = 20 * time.Second
	tests := []struct {
		name   string
		config queue.Config
		before func(t *testing.T, e *queue.Engine) []queue.Message
		during func(e *queue.Engine, held []queue.Message) error
		want   answer
	}{
		{
			name: "when a message is sent",
			during: func(e *queue.Engine, _ []queue.Message) error {
				time.Sleep(7 * time.Second)
				_, err := e.Send("q", queue.Send{ID: "m"})
				return err
			},
			want: answer{ids: "m", after: 7 * time.Second},
		},
		{
			name: "when one is released",
			before: func(t *testing.T, e *queue.Engine) []queue.Message {
				mustSend(t, e, "q", queue.Send{ID: "m"})
				return mustReceive(t, e, "q", "m")
			},
			during: func(e *queue.Engine, held []queue.Message) error {
				time.Sleep(time.Second)
				_, err := e.Extend("q", held[0].Receipt, 0)
				return err
			},
			want: answer{ids: "m", after: time.Second},
		},
		{
			name:   "when a lease ends",
			config: queue.Config{Visibility: 5 * time.Second},
			before: func(t *testing.T, e *queue.Engine) []queue.Message {
				mustSend(t, e, "q", queue.Send{ID: "m"})
				return mustReceive(t, e, "q", "m")
			},
			want: answer{ids: "m", after: 5 * time.Second},
		},
		{
			name:   "when an extended lease ends",
			config: queue.Config{Visibility: 5 * time.Second},
			before: func(t *testing.T, e *queue.Engine) []queue.Message {
				mustSend(t, e, "q", queue.Send{ID: "m"})
				return mustReceive(t, e, "q", "m")
			},
			during: func(e *queue.Engine, held []queue.Message) error {
				time.Sleep(3 * time.Second)
				_, err := e.Extend("q", held[0].Receipt, 10*time.Second)
				return err
			},
			want: answer{ids: "m", after: 13 * time.Second},
		},
		{
			name:   "when a shortened lease ends",
			config: queue.Config{Visibility: 15 * time.Second},
			before: func(t *testing.T, e *queue.Engine) []queue.Message {
				mustSend(t, e, "q", queue.Send{ID: "m"})
				return mustReceive(t, e, "q", "m")
			},
			during: func(e *queue.Engine, held []queue.Message) error {
				_, err := e.Extend("q", held[0].Receipt, time.Second)
				return err
			},
			want: answer{ids: "m", after: time.Second},
		},
		{
			name:   "when a delay ends",
			config: queue.Config{Delay: 9 * time.Second},
			before: func(t *testing.T, e *queue.Engine) []queue.Message {
				mustSend(t, e, "q", queue.Send{ID: "m"})
				return nil
			},
			want: answer{ids: "m", after: 9 * time.Second},
		},
		{
			name:   "when something ends at the very moment at which the wait does",
			config: queue.Config{Delay: wait},
			before: func(t *testing.T, e *queue.Engine) []queue.Message {
				mustSend(t, e, "q", queue.Send{ID: "m"})
				return nil
			},
			want: answer{ids: "m", after: wait},
		},
		{
			name:   "when a group is freed by a delete",
			config: queue.Config{FIFO: true, Visibility: time.Hour},
			before: func(t *testing.T, e *queue.Engine) []queue.Message {
				mustSend(t, e, "q", queue.Send{ID: "head"})
				held := mustReceive(t, e, "q", "head")
				mustSend(t, e, "q", queue.Send{ID: "m"})
				return held
			},
			during: func(e *queue.Engine, held []queue.Message) error {
				time.Sleep(2 * time.Second)
				return e.Delete("q", held[0].Receipt)
			},
			want: answer{ids: "m", after: 2 * time.Second},
		},
		{
			name:   "when a group is freed by retention",
			config: queue.Config{FIFO: true, Visibility: time.Hour, Retention: 6 * time.Second},
			before: func(t *testing.T, e *queue.Engine) []queue.Message {
				mustSend(t, e, "q", queue.Send{ID: "head"})
				held := mustReceive(t, e, "q", "head")
				time.Sleep(time.Second)
				mustSend(t, e, "q", queue.Send{ID: "m"})
				return held
			},
			want: answer{ids: "m", after: 5 * time.Second},
		},
		{
			name:   "when a place in flight is free again",
			config: queue.Config{MaxInFlight: 1, Visibility: time.Hour},
			before: func(t *testing.T, e *queue.Engine) []queue.Message {
				mustSend(t, e, "q", queue.Send{ID: "first"})
				mustSend(t, e, "q", queue.Send{ID: "m"})
				return mustReceive(t, e, "q", "first")
			},
			during: func(e *queue.Engine, held []queue.Message) error {
				time.Sleep(2 * time.Second)
				return e.Delete("q", held[0].Receipt)
			},
			want: answer{ids: "m", after: 2 * time.Second},
		},
		{
			name:   "when the limit in flight is raised",
			config: queue.Config{MaxInFlight: 1, Visibility: time.Hour},
			before: func(t *testing.T, e *queue.Engine) []queue.Message {
				mustSend(t, e, "q", queue.Send{ID: "first"})
				mustSend(t, e, "q", queue.Send{ID: "m"})
				return mustReceive(t, e, "q", "first")
			},
			during: func(e *queue.Engine, _ []queue.Message) error {
				time.Sleep(time.Second)
				return e.Update("q", func(c *queue.Config) { c.MaxInFlight = 2 })
			},
			want: answer{ids: "m", after: time.Second},
		},
		{
			name: "and not before the wait ends, with none",
			want: answer{after: wait},
		},
		{
			name: "not by a purge",
			before: func(t *testing.T, e *queue.Engine) []queue.Message {
				mustSend(t, e, "q", queue.Send{ID: "m", HasDelay: true, Delay: 10 * time.Second})
				return nil
			},
			during: func(e *queue.Engine, _ []queue.Message) error { return e.Purge("q") },
			want:   answer{after: wait},
		},
		{
			name:   "too many in flight: none, and no error",
			config: queue.Config{MaxInFlight: 1, Visibility: time.Hour},
			before: func(t *testing.T, e *queue.Engine) []queue.Message {
				mustSend(t, e, "q", queue.Send{ID: "first"})
				mustSend(t, e, "q", queue.Send{ID: "m"})
				return mustReceive(t, e, "q", "first")
			},
			want: answer{after: wait},
		},
		{
			name: "when the queue is dropped",
			during: func(e *queue.Engine, _ []queue.Message) error {
				time.Sleep(time.Second)
				return e.Drop("q")
			},
			want: answer{err: queue.ErrNoQueue, after: time.Second},
		},
		{
			name: "when the engine is closed",
			during: func(e *queue.Engine, _ []queue.Message) error {
				time.Sleep(time.Second)
				e.Close()
				return nil
			},
			want: answer{err: queue.ErrClosed, after: time.Second},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.config.Visibility == 0 {
				tt.config.Visibility = 30 * time.Second
			}
			bubble(t, tt.config, func(t *testing.T, e *queue.Engine) {
				var held []queue.Message
				if tt.before != nil {
					held = tt.before(t, e)
				}
				done := polling(t.Context(), e, 10, wait)
				if tt.during != nil {
					if err := tt.during(e, held); err != nil {
						t.Fatal(err)
					}
				}
				if got := <-done; got != tt.want {
					t.Errorf("got %+v, want %+v", got, tt.want)
				}
			})
		})
	}
}

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
