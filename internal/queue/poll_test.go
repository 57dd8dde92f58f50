package queue_test

import (
	"context"
	"runtime"
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
