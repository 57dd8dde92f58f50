package memory_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

func TestLease(t *testing.T) {
	bubble(t, "ends and the message comes again", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{})
		publish(t, b, text("q", "a"))
		first := one(t, b, "q")
		if got := time.Until(first.LeaseEnd); got != 30*time.Second || first.Attempt != 1 {
			t.Errorf("got a lease of %v and attempt %d, want 30s and 1", got, first.Attempt)
		}
		sleepUntil(first.LeaseEnd.Add(-1))
		none(t, b, "q")
		start := time.Now()
		ds, err := b.Receive(t.Context(), "q", 1)
		must(t, err)
		if len(ds) != 1 || ds[0].Attempt != 2 || ds[0].ID != first.ID || time.Since(start) != 1 {
			t.Errorf("got %v after %v, want attempt 2 of the same message at the end of the lease", ds, time.Since(start))
		}
	})
	bubble(t, "of the call", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{Visibility: time.Hour})
		publish(t, b, text("q", "a"))
		d := one(t, b, "q", broker.Lease(1500*time.Millisecond))
		if got := time.Until(d.LeaseEnd); got != 2*time.Second {
			t.Errorf("got a lease of %v, want whole seconds: 2s", got)
		}
	})
	bubble(t, "of 12 hours in total", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{})
		publish(t, b, text("q", "a"))
		start := time.Now()
		d := one(t, b, "q")
		for range 11 {
			must(t, b.Extend(t.Context(), time.Hour+time.Minute, d))
			time.Sleep(time.Hour)
		}
		must(t, b.Extend(t.Context(), 12*time.Hour, d)) // of which one is left
		if got := d.Handle.(broker.Leased).LeaseEnd().Sub(start); got != 12*time.Hour {
			t.Errorf("the lease ends after %v, want 12h", got)
		}
		sleepUntil(start.Add(12*time.Hour - time.Second/2))
		err := b.Extend(t.Context(), 0, d)
		wantErr(t, err, broker.ErrLeaseLost)
		none(t, b, "q")
		sleepUntil(start.Add(12 * time.Hour))
		if again := one(t, b, "q"); again.Attempt != 2 {
			t.Errorf("got attempt %d, want 2", again.Attempt)
		}
	})
	bubble(t, "extended by the queue's own", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{Visibility: time.Minute})
		publish(t, b, text("q", "a"))
		d := one(t, b, "q")
		time.Sleep(59 * time.Second)
		must(t, b.Extend(t.Context(), 0, d))
		time.Sleep(59 * time.Second)
		none(t, b, "q")
		time.Sleep(time.Second)
		one(t, b, "q")
	})
}

func TestDedupWindow(t *testing.T) {
	send := func(t *testing.T, b *memory.SQS, key, id, body string) broker.Receipt {
		r := publish(t, b, inGroup("q.fifo", key, id, body))
		if r.Outcome != broker.OutcomeAccepted {
			t.Errorf("got outcome %v, want accepted", r.Outcome)
		}
		return r
	}
	bubble(t, "5 minutes, settled or not", func(t *testing.T) {
		b := newSQS(t, "q.fifo", memory.QueueOptions{})
		first := send(t, b, "k", "id", "a")
		must(t, b.Delete(t.Context(), one(t, b, "q.fifo")))
		time.Sleep(5*time.Minute - 1)
		if r := send(t, b, "k", "id", "b"); r != first {
			t.Errorf("got receipt %v for the duplicate, want the first one's %v", r, first)
		}
		none(t, b, "q.fifo")
		time.Sleep(time.Nanosecond)
		if r := send(t, b, "k", "id", "c"); r.ID == first.ID || r.Sequence.Compare(first.Sequence) <= 0 {
			t.Errorf("got receipt %v after the window, want a new one", r)
		}
		one(t, b, "q.fifo")
	})
	bubble(t, "purge forgets", func(t *testing.T) {
		b := newSQS(t, "q.fifo", memory.QueueOptions{})
		send(t, b, "k", "id", "a")
		must(t, b.Purge("q.fifo"))
		none(t, b, "q.fifo")
		send(t, b, "k", "id", "b")
		one(t, b, "q.fifo")
	})
	bubble(t, "scope", func(t *testing.T) {
		for scope, want := range map[broker.Scope]int{"": 1, broker.ScopeDestination: 1, broker.ScopeKey: 2} {
			b := newSQS(t, "q.fifo", memory.QueueOptions{DedupScope: scope})
			send(t, b, "k", "id", "a")
			send(t, b, "l", "id", "b")
			if got := len(receive(t, b, "q.fifo", 10)); got != want {
				t.Errorf("scope %q: got %d messages, want %d", scope, got, want)
			}
		}
	})
	bubble(t, "by content", func(t *testing.T) {
		b := newSQS(t, "q.fifo", memory.QueueOptions{ContentBasedDedup: true})
		m := inGroup("q.fifo", "k", "", "same")
		publish(t, b, m)
		m.Header = broker.Header{"not": "counted"}
		publish(t, b, m)
		d := one(t, b, "q.fifo")
		must(t, b.Delete(t.Context(), d))
		send(t, b, "k", d.DedupID, "other") // an explicit id that is the hash
		none(t, b, "q.fifo")
		send(t, b, "k", "own", "same")
		one(t, b, "q.fifo")
	})
	bubble(t, "none on a Standard queue", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{})
		if r := publish(t, b, text("q", "a"), text("q", "a")); r.Outcome != broker.OutcomeStored || r.Sequence.Present() {
			t.Errorf("got %v, want stored and no sequence", r)
		}
		if got := len(receive(t, b, "q", 10)); got != 2 {
			t.Errorf("got %d messages, want 2", got)
		}
	})
}

func TestDelay(t *testing.T) {
	for name, test := range map[string]struct {
		queue time.Duration
		m     time.Duration
		want  time.Duration
	}{
		"message":        {0, 1500 * time.Millisecond, 2 * time.Second},
		"queue":          {3 * time.Second, 0, 3 * time.Second},
		"both":           {time.Minute, time.Second, time.Second},
		"the most":       {0, 15 * time.Minute, 15 * time.Minute},
		"most of queues": {15 * time.Minute, 0, 15 * time.Minute},
	} {
		bubble(t, name, func(t *testing.T) {
			b := newSQS(t, "q", memory.QueueOptions{Delay: test.queue})
			m := text("q", "a")
			m.Delay = test.m
			publish(t, b, m)
			if s, err := b.Contents("q"); err != nil || len(s.Delayed) != 1 || len(s.Ready) != 0 {
				t.Errorf("got %+v, %v; want one delayed", s, err)
			}
			start := time.Now()
			for {
				ds, err := b.Receive(t.Context(), "q", 1)
				must(t, err)
				if len(ds) == 1 {
					break
				}
			}
			if got := time.Since(start); got != test.want {
				t.Errorf("came after %v, want %v", got, test.want)
			}
		})
	}
}

func TestRetention(t *testing.T) {
	bubble(t, "in whatever state", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{Retention: time.Hour})
		publish(t, b, text("q", "a"), text("q", "b"))
		receive(t, b, "q", 1, broker.Lease(2*time.Hour))
		time.Sleep(time.Hour - 1)
		if s, _ := b.Contents("q"); len(s.Ready) != 1 || len(s.InFlight) != 1 {
			t.Errorf("before the end: got %+v", s)
		}
		time.Sleep(time.Nanosecond)
		if s, _ := b.Contents("q"); len(s.Ready)+len(s.InFlight) != 0 {
			t.Errorf("at the end: got %+v", s)
		}
	})
}

func TestPoll(t *testing.T) {
	bubble(t, "waits 20 s", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{})
		start := time.Now()
		ds, err := b.Receive(t.Context(), "q", 1)
		if len(ds) != 0 || err != nil || time.Since(start) != 20*time.Second {
			t.Errorf("got %v, %v after %v; want nothing after 20s", ds, err, time.Since(start))
		}
	})
	bubble(t, "wakes for a message, in order of arrival", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{})
		got := make(chan string)
		for _, poller := range []string{"first", "second"} {
			go func() {
				ds, err := b.Receive(t.Context(), "q", 10)
				if err != nil || len(ds) != 1 {
					t.Errorf("%s: got %v, %v", poller, ds, err)
				}
				got <- poller
			}()
			time.Sleep(time.Second)
		}
		for _, want := range []string{"first", "second"} {
			publish(t, b, text("q", "a"))
			if poller := <-got; poller != want {
				t.Errorf("%s got the message, want %s", poller, want)
			}
		}
	})
	bubble(t, "ends with its context", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := b.Receive(ctx, "q", 1)
		wantErr(t, err, context.DeadlineExceeded)
		publish(t, b, text("q", "a"))
		one(t, b, "q") // and was not lost to the poll
	})
	bubble(t, "limit", func(t *testing.T) {
		b := newSQS(t, "q", memory.QueueOptions{})
		for range 12 {
			publish(t, b, text("q", "a"))
		}
		if got := len(receive(t, b, "q", 100)); got != 10 {
			t.Errorf("got %d, want 10", got)
		}
		if got := len(receive(t, b, "q", 1)); got != 1 {
			t.Errorf("got %d, want 1", got)
		}
	})
}

func TestFIFOOrder(t *testing.T) {
	bubble(t, "groups", func(t *testing.T) {
		b := newSQS(t, "q.fifo", memory.QueueOptions{})
		publish(t, b, inGroup("q.fifo", "a", "1", "a0"), inGroup("q.fifo", "b", "2", "b0"), inGroup("q.fifo", "a", "3", "a1"))
		first := receive(t, b, "q.fifo", 1)
		second := receive(t, b, "q.fifo", 10)
		if got := bodies(append(first, second...)); !slices.Equal(got, []string{"a0", "b0"}) {
			t.Fatalf("got %v, want a0 and b0: a1 waits for a0", got)
		}
		none(t, b, "q.fifo")
		must(t, b.Release(t.Context(), 0, first...))
		if got := bodies(receive(t, b, "q.fifo", 10)); !slices.Equal(got, []string{"a0", "a1"}) {
			t.Errorf("got %v, want a0 a1", got)
		}
	})
	bubble(t, "a failure holds back its own key", func(t *testing.T) {
		b := newSQS(t, "q.fifo", memory.QueueOptions{Visibility: time.Minute})
		for i, m := range []string{"a0", "a1", "a2", "b0", "b1"} {
			publish(t, b, inGroup("q.fifo", m[:1], string(rune('0'+i)), m))
		}
		var order []string
		_, err := b.Subscribe(t.Context(), "q.fifo", func(_ context.Context, d *broker.Delivery) error {
			order = append(order, string(d.Body))
			if string(d.Body) == "a1" && d.Attempt < 3 {
				return broker.RetryAfter(time.Hour, errors.New("not yet"))
			}
			return nil
		}, broker.Group("g"))
		must(t, err)
		must(t, b.WaitIdle(t.Context()))
		if want := []string{"a0", "a1", "b0", "b1", "a1", "a1", "a2"}; !slices.Equal(order, want) {
			t.Errorf("got %v, want %v", order, want)
		}
	})
}
