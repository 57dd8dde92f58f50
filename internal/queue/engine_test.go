package queue_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

func TestQueues(t *testing.T) {
	e := queue.New(queue.SystemClock())
	defer e.Close()
	c := queue.Config{FIFO: true, Visibility: time.Second}
	mustCreate(t, e, "b", c)
	mustCreate(t, e, "a", queue.Config{})
	if err := e.Create("b", queue.Config{}); !errors.Is(err, queue.ErrExists) {
		t.Errorf("Create again: %v, want ErrExists", err)
	}
	if got, want := e.Names(), []string{"a", "b"}; !slices.Equal(got, want) {
		t.Errorf("Names: %q, want %q", got, want)
	}
	if got, err := e.Config("b"); got != c || err != nil {
		t.Errorf("Config: %+v, %v, want %+v", got, err, c)
	}
	if err := e.Update("b", func(c *queue.Config) { c.FIFO, c.Visibility = false, 0 }); !errors.Is(err, queue.ErrFixed) {
		t.Errorf("Update of FIFO: %v, want ErrFixed", err)
	}
	if got, _ := e.Config("b"); got != c {
		t.Errorf("after a failed update: %+v, want %+v", got, c)
	}
	if err := e.Drop("b"); err != nil {
		t.Error(err)
	}
	if got, want := e.Names(), []string{"a"}; !slices.Equal(got, want) {
		t.Errorf("Names: %q, want %q", got, want)
	}
}

// operations are all that take a queue's name.
func operations(t *testing.T, e *queue.Engine) map[string]func() error {
	return map[string]func() error{
		"Drop":    func() error { return e.Drop("q") },
		"Update":  func() error { return e.Update("q", func(*queue.Config) {}) },
		"Config":  func() error { _, err := e.Config("q"); return err },
		"Purge":   func() error { return e.Purge("q") },
		"Send":    func() error { _, err := e.Send("q", queue.Send{}); return err },
		"Receive": func() error { _, err := e.Receive(t.Context(), "q", 1, time.Minute, 0); return err },
		"Delete":  func() error { return e.Delete("q", queue.Receipt{}) },
		"Extend":  func() error { _, err := e.Extend("q", queue.Receipt{}, 0); return err },
		"Reject":  func() error { return e.Reject("q", queue.Receipt{}, nil) },
		"Stats":   func() error { _, err := e.Stats("q"); return err },
		"Peek":    func() error { _, err := e.Peek("q", queue.Ready, 1); return err },
	}
}

func TestNoQueue(t *testing.T) {
	e := queue.New(queue.SystemClock())
	defer e.Close()
	for name, op := range operations(t, e) {
		if err := op(); !errors.Is(err, queue.ErrNoQueue) {
			t.Errorf("%s: %v, want ErrNoQueue", name, err)
		}
	}
}

func TestClosed(t *testing.T) {
	e := queue.New(queue.SystemClock())
	mustCreate(t, e, "q", queue.Config{})
	e.Close()
	e.Close()
	for name, op := range operations(t, e) {
		if err := op(); !errors.Is(err, queue.ErrClosed) {
			t.Errorf("%s: %v, want ErrClosed", name, err)
		}
	}
	if err := e.Create("r", queue.Config{}); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("Create: %v, want ErrClosed", err)
	}
}

// What a receiver sees of a message, through two receives, a dead-letter queue
// and Peek.
func TestMessage(t *testing.T) {
	for _, fifo := range []bool{false, true} {
		t.Run(fmt.Sprintf("fifo=%v", fifo), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testMessage(t, fifo) })
		})
	}
}

func testMessage(t *testing.T, fifo bool) {
	e := queue.New(queue.SystemClock())
	t.Cleanup(e.Close)
	mustCreate(t, e, "dead", queue.Config{FIFO: fifo, Visibility: time.Minute})
	mustCreate(t, e, "q", queue.Config{FIFO: fifo, Visibility: time.Second, MaxReceives: 2, DeadLetter: "dead"})
	start := time.Now()
	sent := mustSend(t, e, "q", queue.Send{ID: "id", Body: []byte("body"), Attrs: 7, Group: "g", DedupID: "d"})
	if want := (queue.Sent{ID: "id", Seq: 1, Time: start}); sent != want {
		t.Errorf("sent %+v, want %+v", sent, want)
	}
	want := queue.Message{ID: "id", Body: []byte("body"), Attrs: 7, Group: "g", DedupID: "d", Seq: 1, Sent: start}
	peek(t, e, "q", queue.Ready, want)

	time.Sleep(time.Minute)
	want.Receives, want.FirstReceive = 1, time.Now()
	want.LeaseEnd, want.Receipt = time.Now().Add(time.Second), queue.Receipt{Seq: 1, Receive: 1}
	same(t, mustReceive(t, e, "q", "id")[0], want)
	peek(t, e, "q", queue.InFlight, want)

	time.Sleep(time.Second)
	want.Receives, want.LeaseEnd, want.Receipt.Receive = 2, time.Now().Add(time.Second), 2
	m := mustReceive(t, e, "q", "id")[0]
	same(t, m, want)
	end, err := e.Extend("q", m.Receipt, time.Hour)
	if err != nil || !end.Equal(time.Now().Add(time.Hour)) {
		t.Errorf("extended to %v, %v", end, err)
	}
	if _, err := e.Extend("q", m.Receipt, 0); err != nil {
		t.Error(err)
	}
	mustReceive(t, e, "q", "")

	want.Seq, want.Source = 2, "q"
	want.LeaseEnd, want.Receipt = time.Time{}, queue.Receipt{}
	if fifo { // facts-sqs.md section 14: reset on FIFO, kept on Standard
		want.Sent = time.Now()
	}
	peek(t, e, "dead", queue.Ready, want)
	want.Receives, want.LeaseEnd, want.Receipt = 3, time.Now().Add(time.Minute), queue.Receipt{Seq: 2, Receive: 3}
	same(t, mustReceive(t, e, "dead", "id")[0], want)
}

func peek(t *testing.T, e *queue.Engine, name string, s queue.State, want queue.Message) {
	t.Helper()
	ms, err := e.Peek(name, s, 10)
	if err != nil || len(ms) != 1 {
		t.Fatalf("Peek: %d messages, %v", len(ms), err)
	}
	same(t, ms[0], want)
}

func same(t *testing.T, got, want queue.Message) {
	t.Helper()
	if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

func TestPeek(t *testing.T) {
	bubble(t, queue.Config{Visibility: time.Hour}, func(t *testing.T, e *queue.Engine) {
		for _, id := range []string{"1", "2", "3", "4", "5"} {
			mustSend(t, e, "q", queue.Send{ID: id, HasDelay: id == "5", Delay: time.Hour})
		}
		ms, err := e.Receive(t.Context(), "q", 2, 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := e.Extend("q", ms[0].Receipt, 0); err != nil { // now at the back
			t.Fatal(err)
		}
		for _, tt := range []struct {
			state queue.State
			limit int
			want  string
		}{
			{queue.Ready, 10, "1 3 4"},
			{queue.Ready, 2, "1 3"},
			{queue.InFlight, 10, "2"},
			{queue.Delayed, 10, "5"},
			{queue.Delayed, 0, ""},
		} {
			if ms, err := e.Peek("q", tt.state, tt.limit); err != nil || ids(ms) != tt.want {
				t.Errorf("Peek(%v, %d): %q, %v, want %q", tt.state, tt.limit, ids(ms), err, tt.want)
			}
		}
		mustReceive(t, e, "q", "3 4 1")
	})
}

func TestRejectAttrs(t *testing.T) {
	bubble(t, queue.Config{Visibility: time.Hour, DeadLetter: "dead"}, func(t *testing.T, e *queue.Engine) {
		mustCreate(t, e, "dead", queue.Config{Visibility: time.Hour})
		mustSend(t, e, "q", queue.Send{ID: "m", Attrs: 1})
		m := mustReceive(t, e, "q", "m")[0]
		if err := e.Reject("q", m.Receipt, func(a any) any { return a.(int) + 1 }); err != nil {
			t.Fatal(err)
		}
		if m := mustReceive(t, e, "dead", "m")[0]; m.Attrs != 2 {
			t.Errorf("Attrs %v, want 2", m.Attrs)
		}
	})
}

// A poll on the dead-letter queue has what moves there, at once.
func TestDeadLetterWakesPoll(t *testing.T) {
	bubble(t, queue.Config{Visibility: time.Hour}, func(t *testing.T, e *queue.Engine) {
		mustCreate(t, e, "source", queue.Config{Visibility: time.Second, MaxReceives: 1, DeadLetter: "q"})
		mustSend(t, e, "source", queue.Send{ID: "m"})
		mustReceive(t, e, "source", "m")
		done := polling(t.Context(), e, 1, time.Minute)
		time.Sleep(3 * time.Second)
		mustReceive(t, e, "source", "")
		if got, want := <-done, (answer{ids: "m", after: 3 * time.Second}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestOldest(t *testing.T) {
	bubble(t, queue.Config{Visibility: time.Second, MaxReceives: 1, DeadLetter: "dead"}, func(t *testing.T, e *queue.Engine) {
		mustCreate(t, e, "dead", queue.Config{Visibility: time.Hour, Retention: time.Minute})
		oldest := func(name string, want time.Time) {
			t.Helper()
			if s, err := e.Stats(name); err != nil || !s.Oldest.Equal(want) {
				t.Errorf("oldest of %s: %v, %v, want %v", name, s.Oldest, err, want)
			}
		}
		oldest("q", time.Time{})
		first := time.Now()
		mustSend(t, e, "q", queue.Send{ID: "1"})
		mustReceive(t, e, "q", "1")
		time.Sleep(time.Second)
		second := time.Now()
		mustSend(t, e, "dead", queue.Send{ID: "2"})
		oldest("q", first)
		oldest("dead", second)
		mustReceive(t, e, "q", "") // moves 1, with its send time
		oldest("q", time.Time{})
		oldest("dead", first)
		time.Sleep(58999 * time.Millisecond)
		oldest("dead", first)
		time.Sleep(time.Millisecond)
		oldest("dead", second)
		time.Sleep(time.Second)
		oldest("dead", time.Time{})
	})
}

func TestUpdate(t *testing.T) {
	bubble(t, queue.Config{FIFO: true, Visibility: time.Minute, DedupWindow: 5 * time.Minute}, func(t *testing.T, e *queue.Engine) {
		update := func(change func(*queue.Config)) {
			t.Helper()
			if err := e.Update("q", change); err != nil {
				t.Fatal(err)
			}
		}
		mustSend(t, e, "q", queue.Send{ID: "1", Group: "a", DedupID: "x"})
		update(func(c *queue.Config) { c.DedupScope = queue.DedupPerGroup })
		for _, s := range []struct {
			group, id string
			duplicate bool
		}{
			{"b", "x", true}, // sent when the scope was the queue
			{"b", "y", false}, {"b", "y", true}, {"c", "y", false},
		} {
			if got := mustSend(t, e, "q", queue.Send{ID: "2", Group: s.group, DedupID: s.id}); got.Duplicate != s.duplicate {
				t.Errorf("scope group: %v, got duplicate %v", s, got.Duplicate)
			}
		}
		update(func(c *queue.Config) { c.DedupScope = queue.DedupPerQueue })
		if mustSend(t, e, "q", queue.Send{ID: "2", Group: "d", DedupID: "y"}).Duplicate {
			t.Error("scope queue again: an id sent with scope group is a duplicate in another one")
		}
		time.Sleep(time.Minute)
		update(func(c *queue.Config) { c.DedupWindow = time.Minute })
		if mustSend(t, e, "q", queue.Send{ID: "3", Group: "b", DedupID: "x"}).Duplicate {
			t.Error("a duplicate after the shorter window")
		}
		update(func(c *queue.Config) { c.Retention = time.Minute })
		if s, err := e.Stats("q"); s.Ready != 1 || err != nil {
			t.Errorf("with a shorter retention %d messages, %v, want 1", s.Ready, err)
		}
	})
}

func TestObserve(t *testing.T) {
	bubble(t, queue.Config{Visibility: time.Minute, MaxReceives: 4, DeadLetter: "dead"}, func(t *testing.T, e *queue.Engine) {
		mustCreate(t, e, "dead", queue.Config{})
		var got []queue.Event
		e.Observe(func(ev queue.Event) { got = append(got, ev) })
		start := time.Now()

		mustSend(t, e, "q", queue.Send{ID: "m"})
		r := mustReceive(t, e, "q", "m")[0].Receipt
		if _, err := e.Extend("q", r, 2*time.Minute); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Minute)
		r = mustReceive(t, e, "q", "m")[0].Receipt
		if _, err := e.Extend("q", r, 0); err != nil {
			t.Fatal(err)
		}
		r = mustReceive(t, e, "q", "m")[0].Receipt
		if err := e.Reject("q", r, nil); err != nil {
			t.Fatal(err)
		}
		mustSend(t, e, "q", queue.Send{ID: "n"})
		r = mustReceive(t, e, "q", "n")[0].Receipt
		if err := e.Delete("q", r); err != nil {
			t.Fatal(err)
		}
		if err := e.Purge("dead"); err != nil {
			t.Fatal(err)
		}
		e.Observe(nil)
		mustSend(t, e, "q", queue.Send{ID: "unseen"})

		m := func(k queue.EventKind, receive uint32, at time.Duration) queue.Event {
			return queue.Event{Kind: k, Queue: "q", ID: "m", Receipt: queue.Receipt{Seq: 1, Receive: receive}, Time: start.Add(at)}
		}
		n := func(k queue.EventKind, receive uint32) queue.Event {
			return queue.Event{Kind: k, Queue: "q", ID: "n", Receipt: queue.Receipt{Seq: 3, Receive: receive}, Time: start.Add(3 * time.Minute)}
		}
		want := []queue.Event{
			m(queue.EventSent, 0, 0),
			m(queue.EventReceived, 1, 0),
			m(queue.EventExtended, 1, 0),
			m(queue.EventExpired, 1, 2*time.Minute),
			m(queue.EventReceived, 2, 3*time.Minute),
			m(queue.EventReleased, 2, 3*time.Minute),
			m(queue.EventReceived, 3, 3*time.Minute),
			m(queue.EventDeadLettered, 3, 3*time.Minute),
			n(queue.EventSent, 0),
			n(queue.EventReceived, 1),
			n(queue.EventDeleted, 1),
			{Kind: queue.EventDiscarded, Queue: "dead", ID: "m", Receipt: queue.Receipt{Seq: 2}, Time: start.Add(3 * time.Minute)},
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%v\nwant\n%v", got, want)
		}
	})
}
