package queue_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

// What SQS is by default.
func standardQueue() queue.Config {
	return queue.Config{
		Visibility: 30 * time.Second, Retention: 4 * 24 * time.Hour, MaxLease: 12 * time.Hour,
		MaxInFlight: 120_000,
	}
}

func fifoQueue() queue.Config {
	c := standardQueue()
	c.FIFO, c.DedupWindow = true, 5*time.Minute
	return c
}

func with(c queue.Config, change func(*queue.Config)) queue.Config {
	change(&c)
	return c
}

type story struct {
	name, text string
	config     func(*queue.Config)
}

func tell(t *testing.T, base queue.Config, stories []story) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			c := base
			if s.config != nil {
				s.config(&c)
			}
			script(t, c, base, s.text)
		})
	}
}

// script runs a story on a queue "q" and its dead-letter queue "dlq", in
// virtual time, one step a line; a step that does not go as told fails the
// test. A message's group is the letters of its id. "dlq" before a step has it
// done there.
//
//	send a1 [id=DEDUP] [delay=D] [dup=FIRST]  FIRST: the id of the one it is a duplicate of
//	receive N [lease=D] = a1 a2               all of them, in order; or = ! limit
//	delete a1 | a1#1 [! ERROR]                #1: by the receipt of its first receive
//	extend a1 D, release a1, reject a1 [! ERROR]
//	sleep D, purge
//	holds READY INFLIGHT DELAYED
func script(t *testing.T, main, dead queue.Config, story string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		s := &stage{t: t, e: queue.New(queue.SystemClock()), receipts: map[string]queue.Receipt{}}
		t.Cleanup(s.e.Close)
		mustCreate(t, s.e, "q", main)
		mustCreate(t, s.e, "dlq", dead)
		for line := range strings.Lines(story) {
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			if got, want := s.step(line); got != want {
				t.Fatalf("%q: got %q, want %q", line, got, want)
			}
		}
	})
}

func mustCreate(t testing.TB, e *queue.Engine, name string, c queue.Config) {
	t.Helper()
	if err := e.Create(name, c); err != nil {
		t.Fatal(err)
	}
}

type stage struct {
	t        *testing.T
	e        *queue.Engine
	receipts map[string]queue.Receipt // by id, and by id#n
}

// step does what a line says and returns what came of it.
func (s *stage) step(line string) (got, want string) {
	name := "q"
	if rest, ok := strings.CutPrefix(line, "dlq "); ok {
		name, line = "dlq", rest
	}
	line, want, _ = strings.Cut(line, " ! ")
	do, result, _ := strings.Cut(line, " = ")
	words := strings.Fields(do)
	for len(words) < 3 {
		words = append(words, "")
	}
	switch words[0] {
	case "send":
		return s.send(name, words[1:])
	case "receive":
		if want == "" {
			want = strings.TrimSpace(strings.TrimSuffix(result, "="))
		}
		return s.receive(name, words[1:]), want
	case "delete":
		return failure(s.e.Delete(name, s.receipt(words[1]))), want
	case "extend":
		_, err := s.e.Extend(name, s.receipt(words[1]), s.duration(words[2]))
		return failure(err), want
	case "release":
		_, err := s.e.Extend(name, s.receipt(words[1]), 0)
		return failure(err), want
	case "reject":
		return failure(s.e.Reject(name, s.receipt(words[1]), nil)), want
	case "sleep":
		time.Sleep(s.duration(words[1]))
	case "purge":
		return failure(s.e.Purge(name)), want
	case "holds":
		st, err := s.e.Stats(name)
		return fmt.Sprint(st.Ready, st.InFlight, st.Delayed, failure(err)), strings.Join(words[1:4], " ")
	default:
		s.t.Fatalf("unknown step %q", line)
	}
	return "", want
}

func (s *stage) send(name string, words []string) (got, want string) {
	m := queue.Send{ID: words[0], Group: strings.TrimRight(words[0], "0123456789")}
	for _, w := range words[1:] {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "id":
			m.DedupID = value
		case "delay":
			m.HasDelay, m.Delay = true, s.duration(value)
		case "dup":
			want = value
		}
	}
	sent, err := s.e.Send(name, m)
	if err != nil {
		return failure(err), want
	}
	if sent.Duplicate {
		return sent.ID, want
	}
	return "", want
}

func (s *stage) receive(name string, words []string) string {
	n, err := strconv.Atoi(words[0])
	if err != nil {
		s.t.Fatal(err)
	}
	lease := time.Duration(-1)
	if value, ok := strings.CutPrefix(words[1], "lease="); ok {
		lease = s.duration(value)
	}
	ms, err := s.e.Receive(s.t.Context(), name, n, 0, lease)
	if err != nil {
		return failure(err)
	}
	for _, m := range ms {
		s.receipts[m.ID] = m.Receipt
		s.receipts[m.ID+"#"+strconv.Itoa(m.Receives)] = m.Receipt
	}
	return ids(ms)
}

func (s *stage) receipt(id string) queue.Receipt {
	r, ok := s.receipts[id]
	if !ok {
		s.t.Fatalf("%s was not received", id)
	}
	return r
}

func (s *stage) duration(word string) time.Duration {
	d, err := time.ParseDuration(word)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

func ids(ms []queue.Message) string {
	var names []string
	for _, m := range ms {
		names = append(names, m.ID)
	}
	return strings.Join(names, " ")
}

func failure(err error) string {
	for name, e := range map[string]error{
		"no-queue": queue.ErrNoQueue, "closed": queue.ErrClosed, "expired": queue.ErrExpired,
		"gone": queue.ErrGone, "too-long": queue.ErrTooLong, "no-dead-letter": queue.ErrNoDeadLetter,
		"limit": queue.ErrOverLimit,
	} {
		if errors.Is(err, e) {
			return name
		}
	}
	if err != nil {
		return err.Error()
	}
	return ""
}
