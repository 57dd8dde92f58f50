package stream

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/candidmq/candidmq/internal/heap"
)

var checks = flag.Int("engine-histories", 300, "random histories of the engine")

// op is one step of a history.
type op struct {
	do    string
	n     int
	pause time.Duration
	send  Send
}

type history struct {
	stream    Config
	consumers []ConsumerConfig
	seed      uint64
	ops       []op
}

func histories() *rapid.Generator[history] {
	zeroOr := func(t *rapid.T, what string, n int) int { return rapid.SampledFrom([]int{0, 0, n}).Draw(t, what) }
	return rapid.Custom(func(t *rapid.T) history {
		h := history{
			stream: Config{
				Subjects: []string{"a", "b"}, Retention: rapid.SampledFrom([]Retention{Limits, WorkQueue, Interest}).Draw(t, "retention"),
				MaxMsgs: int64(zeroOr(t, "messages", 5)), MaxMsgsPerSubject: int64(zeroOr(t, "per subject", 3)),
				MaxAge: time.Duration(zeroOr(t, "age", 40)) * time.Second, DiscardNew: rapid.Bool().Draw(t, "discard new"),
				AllowTTL: true, AllowRollup: true, AllowAtomic: true, DedupWindow: 20 * time.Second, PerMessage: 1, MaxBytes: int64(zeroOr(t, "bytes", 10)),
			},
			seed: uint64(zeroOr(t, "seed", 7)),
		}
		for _, filters := range [][]string{{"a"}, {"b"}} {
			c := ConsumerConfig{
				Filters: filters, AckWait: 10 * time.Second, MaxDeliver: zeroOr(t, "deliver", 2), MaxAckPending: zeroOr(t, "pending", 2),
			}
			if h.stream.Retention != WorkQueue && rapid.Bool().Draw(t, "all") {
				c.Filters = nil
			}
			h.consumers = append(h.consumers, c)
		}
		h.ops = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) op {
			o := op{
				do: rapid.SampledFrom([]string{
					"publish", "publish", "publish", "batch", "receive", "receive", "receive", "delete", "release", "release", "extend", "pause", "drop", "purge",
				}).Draw(t, "do"),
				n: rapid.IntRange(0, 4).Draw(t, "n"), pause: time.Duration(rapid.IntRange(0, 15).Draw(t, "pause")) * time.Second,
			}
			o.send = Send{Subject: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "subject"), TTL: time.Duration(zeroOr(t, "ttl", 12)) * time.Second}
			if rapid.IntRange(0, 3).Draw(t, "id") == 0 {
				o.send.DedupID = "id"
			}
			if rapid.IntRange(0, 9).Draw(t, "rollup") == 0 {
				o.send.Rollup = rapid.SampledFrom([]Rollup{RollupSubject, RollupAll}).Draw(t, "what")
			} else if rapid.IntRange(0, 5).Draw(t, "later") == 0 {
				then := o.send
				then.DedupID = ""
				o.send.Then, o.send.After, o.send.TTL = &then, o.pause, 0
			}
			return o
		}), 1, 60).Draw(t, "ops")
		return h
	})
}

// Whatever is done, the engine's books agree: see check.
func TestBooksAgree(t *testing.T) {
	for name, value := range map[string]string{"rapid.checks": strconv.Itoa(*checks)} {
		old := flag.Lookup(name).Value.String()
		_ = flag.Set(name, value)
		t.Cleanup(func() { _ = flag.Set(name, old) })
	}
	rapid.Check(t, func(rt *rapid.T) {
		h := histories().Draw(rt, "history")
		var fault error
		synctest.Test(t, func(t *testing.T) { fault = h.play(t) })
		if fault != nil {
			rt.Fatal(fault)
		}
	})
}

func (h *history) play(t *testing.T) error {
	e := New(func() {}, h.seed)
	defer e.Close()
	e.Advise(func(string, string, Receipt) *Send { return &Send{Subject: "notice"} })
	if err := errors.Join(e.CreateStream("notices", Config{Subjects: []string{"notice"}}), e.CreateStream("s", h.stream)); err != nil {
		return err
	}
	for i := range h.consumers {
		if err := e.CreateConsumer("s", fmt.Sprint(i), h.consumers[i]); err != nil {
			return err
		}
	}
	var held []Message
	var of []string
	for i, o := range h.ops {
		name := fmt.Sprint(o.n % 2)
		var err error
		switch o.do {
		case "publish":
			_, err = e.Publish(&o.send)
		case "batch":
			first := o.send
			first.Then, first.After = nil, 0 // a schedule may bring a message at once
			err = allOrNone(e, []Send{first, {Subject: "b"}, {Subject: o.send.Subject, DedupID: o.send.DedupID}}[:1+o.n%3])
		case "receive":
			var got []Message
			got, err = e.Receive(t.Context(), "s", name, o.n+1, o.pause)
			for _, m := range got {
				held, of = append(held, m), append(of, name)
			}
		case "pause":
			time.Sleep(o.pause)
		case "drop":
			if o.n < 3 {
				err = errors.Join(e.DropConsumer("s", name), e.CreateConsumer("s", name, h.consumers[o.n%2]))
			}
		case "purge":
			if o.n == 0 {
				err = e.Purge("s")
			}
		default:
			if at := len(held) - 1 - o.n; at >= 0 {
				err = settle(e, of[at], &held[at], &o)
			}
		}
		if err != nil && !errors.Is(err, ErrFull) && !errors.Is(err, ErrStale) && !errors.Is(err, ErrDuplicate) {
			return fmt.Errorf("step %d, %+v: %w", i, o, err)
		}
		if err := check(e); err != nil {
			return fmt.Errorf("after step %d, %+v: %w", i, o, err)
		}
	}
	return nil
}

// allOrNone publishes a batch, and sees that the stream has numbered all of it, the
// last with the number that is told, or none.
func allOrNone(e *Engine, ms []Send) error {
	var before, after uint64
	if err := e.onStream("s", func(s *log, _ time.Time) error { before = s.lastSeq; return nil }); err != nil {
		return err
	}
	sent, _, err := e.PublishAtomic(ms)
	_ = e.onStream("s", func(s *log, _ time.Time) error { after = s.lastSeq; return nil })
	want := before
	if err == nil {
		want += uint64(len(ms))
	}
	if after != want || err == nil && sent.Seq != want {
		return fmt.Errorf("%d of a batch of %d are numbered, up to %d, told %+v, %v", after-before, len(ms), after, sent, err) //nolint:errorlint // not of its category
	}
	return err
}

func settle(e *Engine, name string, m *Message, o *op) error {
	switch o.do {
	case "delete":
		return e.Delete("s", name, m.Receipt())
	case "release":
		return e.Release("s", name, m.Receipt(), o.pause)
	}
	_, err := e.Extend("s", name, m.Receipt())
	return err
}

// check compares what the engine keeps in several places: the messages of the
// stream are linked, counted and found by their numbers; a flight is leased or
// waits to be delivered again; a work queue has each message in one place; with
// interest each message counts the consumers that have not settled it.
func check(e *Engine) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.streams["s"]
	places := map[*msg]int{}
	n, bytes := 0, int64(0)
	for m := s.head; m != nil; m = m.next {
		if s.bySeq[m.Seq] != m || m.gone || m.next != nil && m.next.Seq <= m.Seq {
			return fmt.Errorf("message %d is badly linked", m.Seq)
		}
		n++
		bytes += m.stored
		places[m] = 0
	}
	if n != len(s.bySeq) || bytes != s.bytes {
		return fmt.Errorf("%d messages of %d bytes are linked, %d of %d counted", n, bytes, len(s.bySeq), s.bytes)
	}
	for name, of := range s.subjects {
		count := int64(0)
		for m := of.oldest; m != nil; m = m.newer {
			count++
		}
		if count != of.n {
			return fmt.Errorf("%d messages of subject %s are linked, %d counted", count, name, of.n)
		}
	}
	for _, c := range s.consumers {
		if err := c.check(places); err != nil {
			return fmt.Errorf("consumer %s: %w", c.name, err)
		}
	}
	for m, count := range places {
		switch {
		case s.config.Retention == Interest && m.interest != count:
			return fmt.Errorf("message %d waits for %d consumers, and is with %d", m.Seq, m.interest, count)
		case s.config.Retention != Limits && count == 0 && len(s.readersOf(m.Subject)) > 0:
			return fmt.Errorf("message %d is with no consumer", m.Seq)
		}
	}
	return nil
}

// check counts where messages are.
func (c *consumer) check(places map[*msg]int) error {
	c.pending.each(func(m *msg) { places[m]++ })
	again := []*flight{}
	for at := c.again.Front(); at != nil; at = at.Next() {
		again = append(again, at.Value.(*flight))
	}
	for _, f := range c.flights {
		if f.m.gone {
			return fmt.Errorf("message %d is gone and in flight", f.m.Seq)
		}
		places[f.m]++
		if waits := slices.Contains(again, f); waits == (f.dueAt != heap.Absent) || waits != (f.place != nil) {
			return fmt.Errorf("message %d is leased and to be delivered, or neither", f.m.Seq)
		}
	}
	for _, m := range c.stranded {
		if m.gone {
			return fmt.Errorf("message %d is gone and stranded", m.Seq)
		}
		places[m]++
	}
	if len(c.flights) != c.due.Len()+len(again) {
		return fmt.Errorf("%d in flight: %d leased, %d to be delivered again", len(c.flights), c.due.Len(), len(again))
	}
	if most := c.config.MaxAckPending; most > 0 && len(c.flights) > most {
		return fmt.Errorf("%d in flight, of at most %d", len(c.flights), most)
	}
	return nil
}
