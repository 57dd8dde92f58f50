package queue_test

import (
	"errors"
	"testing"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

func TestMove(t *testing.T) {
	bubble(t, queue.Config{Visibility: time.Hour}, func(t *testing.T, e *queue.Engine) {
		mustCreate(t, e, "other", queue.Config{Visibility: time.Hour, Delay: time.Hour})
		for _, id := range []string{"held", "1", "2", "3"} {
			mustSend(t, e, "q", queue.Send{ID: id, Attrs: id})
		}
		if ms, err := e.Receive(t.Context(), "q", 1, 0, -1); err != nil || ids(ms) != "held" {
			t.Fatalf("received %q, %v", ids(ms), err)
		}
		refused := errors.New("refused")
		place := func(m queue.Message) (string, queue.Send, error) {
			switch m.ID {
			case "2":
				return "nowhere", queue.Send{}, nil
			case "3":
				return "", queue.Send{}, refused
			}
			return "other", queue.Send{ID: "moved " + m.ID, Attrs: m.Attrs}, nil
		}
		for _, tt := range []struct {
			limit, moved int
			want         error
		}{
			{0, 0, nil},
			{1, 1, nil},
			{10, 0, queue.ErrNoQueue}, // 2, which stays
		} {
			if n, err := e.Move("q", tt.limit, place); n != tt.moved || !errors.Is(err, tt.want) {
				t.Errorf("Move %d: %d, %v, want %d, %v", tt.limit, n, err, tt.moved, tt.want)
			}
		}
		mustCreate(t, e, "nowhere", queue.Config{})
		if n, err := e.Move("q", 10, place); n != 1 || !errors.Is(err, refused) {
			t.Errorf("Move: %d, %v, want 1, refused", n, err)
		}
		m := mustReceive(t, e, "other", "moved 1")[0]
		if m.Attrs != "1" || m.Receives != 1 || m.Source != "" {
			t.Errorf("moved %+v", m)
		}
		mustReceive(t, e, "q", "3")
		if _, err := e.Move("none", 1, place); !errors.Is(err, queue.ErrNoQueue) {
			t.Errorf("Move: %v, want ErrNoQueue", err)
		}
	})
}

// What is moved wakes a poll.
func TestMoveWakesPoll(t *testing.T) {
	bubble(t, queue.Config{Visibility: time.Hour}, func(t *testing.T, e *queue.Engine) {
		mustCreate(t, e, "dead", queue.Config{})
		mustSend(t, e, "dead", queue.Send{ID: "m"})
		done := polling(t.Context(), e, 1, time.Minute)
		back := func(m queue.Message) (string, queue.Send, error) { return "q", queue.Send{ID: m.ID}, nil }
		if n, err := e.Move("dead", 10, back); n != 1 || err != nil {
			t.Fatalf("moved %d, %v", n, err)
		}
		if got := <-done; got.ids != "m" {
			t.Errorf("got %+v, want m", got)
		}
	})
}
