package broker_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/queue"
)

var (
	soakMessages = flag.Int("soak", 20_000, "messages that the soak test sends")
	soakSeed     = flag.Uint64("seed", 0, "seed of the soak test; 0: another one each time")
)

// TestSoak drives Consume on the queue engine in virtual time, with random
// failures, panics, overrun leases, throttled heartbeats and settlements, and
// drains, and judges it by the engine's own event log.
func TestSoak(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	for _, fifo := range []bool{false, true} {
		t.Run(fmt.Sprintf("fifo=%v", fifo), func(t *testing.T) {
			t.Logf("%d messages, -seed=%d", *soakMessages, seed)
			synctest.Test(t, func(t *testing.T) {
				s := newSoak(t, fifo, seed, *soakMessages)
				s.run()
				s.report()
			})
		})
	}
}

// The oracle must catch a runtime that breaks a rule.
func TestSoakOracleCatches(t *testing.T) {
	for name, c := range map[string]struct {
		fifo   bool
		breaks func(*soak)
	}{
		"a lane that goes on after a failure": {true, func(s *soak) { s.dropKeys = true }},
		"a lease that is lost unnoticed":      {false, func(s *soak) { s.hideLeases = true }},
		"an extension after the settlement":   {false, func(s *soak) { s.extendSettled = true }},
		"a message that is never settled":     {false, func(s *soak) { s.loseDeletes = true }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSoak(t, c.fifo, 1, 2000)
				c.breaks(s)
				s.run()
				if len(s.violations) == 0 {
					t.Error("the oracle saw no violation")
				}
			})
		})
	}
}

const (
	soakLease    = 30 * time.Second
	soakAttempts = 5
)

// soak is one run: a queue, consumers that come and go, and the oracle.
type soak struct {
	t      *testing.T
	engine *queue.Engine
	fifo   bool
	total  int

	mu         sync.Mutex
	rnd        *rand.Rand
	ended      map[string]bool        // deleted or dead-lettered, by id
	groups     map[string][]string    // ids in the order sent, first the earliest that has not ended
	working    map[string]*soakHandle // the delivery whose handler runs, by id
	succeeded  map[string]bool        // handled, well before the end of the lease, and not yet deleted
	done       int
	sent       int
	handled    int
	released   int
	drains     int
	faults     int
	peak       uint64
	violations []string

	// Rules broken on purpose, for the oracle's own test.
	dropKeys, hideLeases, extendSettled, loseDeletes bool
}

func newSoak(t *testing.T, fifo bool, seed uint64, total int) *soak {
	t.Helper()
	s := &soak{
		t: t, fifo: fifo, total: total,
		engine:  queue.New(queue.SystemClock()),
		rnd:     rand.New(rand.NewPCG(seed, 1)), //nolint:gosec // a reproducible test
		ended:   map[string]bool{},
		groups:  map[string][]string{},
		working: map[string]*soakHandle{}, succeeded: map[string]bool{},
	}
	for _, err := range []error{
		s.engine.Create("dead", queue.Config{FIFO: fifo, Visibility: soakLease}),
		s.engine.Create("q", queue.Config{
			FIFO: fifo, Visibility: soakLease, MaxReceives: soakAttempts, DeadLetter: "dead", MaxLease: 12 * time.Hour,
		}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.engine.Observe(s.event)
	return s
}

func (s *soak) chance(percent int) bool { return s.rnd.IntN(100) < percent }

func (s *soak) violate(format string, args ...any) {
	if len(s.violations) < 10 {
		s.violations = append(s.violations, fmt.Sprintf(format, args...))
	}
}

// event is the engine's word on what happened.
func (s *soak) event(e queue.Event) {
	if e.Queue != "q" {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch e.Kind {
	case queue.EventDeleted, queue.EventDeadLettered:
		s.done++
		if s.fifo {
			s.ended[e.ID] = true
		}
		delete(s.succeeded, e.ID)
	case queue.EventReceived:
		if s.succeeded[e.ID] {
			s.violate("%s came again at %v although its handler had succeeded, in time to delete it", e.ID, e.Time)
		}
		// The engine gives a message out again only once its lease is over: a
		// handler that still has it must have been told.
		if h := s.working[e.ID]; h != nil && h.ctx.Err() == nil {
			s.violate("%s was received again at %v while a handler works on it, not told that its lease is lost", e.ID, e.Time)
		}
	}
}

// run sends all messages, paced, with consumers that are drained and replaced
// now and then, until each message has ended.
func (s *soak) run() {
	go s.publish()
	deadline := time.Now().Add(365 * 24 * time.Hour)
	var stuck int
	for last := -1; s.progress() < s.total; {
		sub, err := broker.Consume(s.t.Context(), s, "q", s.handle,
			broker.Concurrency(16), broker.Backoff{Min: time.Second, Max: 10 * time.Second}, broker.Batch(10),
			broker.OnError(func(context.Context, *broker.Delivery, error) {}))
		if err != nil {
			s.t.Error(err)
			return
		}
		s.mu.Lock()
		life := time.Duration(60+s.rnd.IntN(600)) * time.Second
		patience := time.Duration(s.rnd.IntN(90)) * time.Second
		s.mu.Unlock()
		time.Sleep(life)
		ctx, cancel := context.WithTimeout(s.t.Context(), patience)
		report, _ := sub.Drain(ctx)
		cancel()
		select {
		case <-sub.Done():
		default:
			s.t.Errorf("a drain left handlers running: %+v", report)
			<-sub.Done()
		}
		s.mu.Lock()
		s.drains++
		s.released += report.Released
		s.measure()
		s.mu.Unlock()
		now := s.progress()
		if now == last {
			stuck++
		} else {
			stuck = 0
		}
		last = now
		if stuck > 20 || len(s.violations) > 0 || time.Now().After(deadline) {
			s.violate("stopped with %d of %d messages ended", now, s.total)
			break
		}
	}
	s.engine.Close()
	synctest.Wait()
}

func (s *soak) progress() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

// measure keeps the largest heap seen after a collection. The caller holds mu.
func (s *soak) measure() {
	if s.drains%4 != 0 {
		return
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.peak = max(s.peak, m.HeapAlloc)
}

// publish keeps the queue neither empty nor full.
func (s *soak) publish() {
	for i := 0; i < s.total; {
		s.mu.Lock()
		room := 200 - (s.sent - s.done)
		s.mu.Unlock()
		for range min(room, s.total-i) {
			id := fmt.Sprint(i)
			group := fmt.Sprint(i * 7919 % 23)
			if !s.fifo {
				group = ""
			}
			s.mu.Lock()
			s.sent++
			if s.fifo {
				s.groups[group] = append(s.groups[group], id)
			}
			s.mu.Unlock()
			if _, err := s.engine.Send("q", queue.Send{ID: id, Group: group}); err != nil {
				return // closed: the run has ended early
			}
			i++
		}
		time.Sleep(time.Second)
		if len(s.snapshotViolations()) > 0 {
			return
		}
	}
}

func (s *soak) snapshotViolations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.violations
}

func (s *soak) report() {
	s.t.Logf("%d messages in %d handler calls, %d drains (%d attempts given back), %d faults injected, heap at most %d KiB",
		s.done, s.handled, s.drains, s.released, s.faults, s.peak>>10)
	for _, v := range s.violations {
		s.t.Error(v)
	}
	if s.faults == 0 || s.drains == 0 {
		s.t.Error("no fault was injected: the run proves nothing")
	}
}

// handle works on a message as a bad handler may, and checks that it may.
func (s *soak) handle(ctx context.Context, d *broker.Delivery) error {
	h := d.Handle.(*soakHandle)
	s.mu.Lock()
	s.handled++
	if other := s.working[d.ID]; other != nil && other.ctx.Err() == nil {
		s.violate("two handlers at once on %s", d.ID)
	}
	h.ctx = ctx
	s.working[d.ID] = h
	s.checkLane(h, d.ID)
	work := time.Duration(s.rnd.IntN(2000)) * time.Millisecond
	if s.chance(3) {
		work = time.Duration(s.rnd.IntN(120)) * time.Second // some beyond the lease
	}
	what := s.rnd.IntN(100)
	deaf := s.chance(2) // does not listen to its context
	s.mu.Unlock()

	defer func() {
		s.mu.Lock()
		if s.working[d.ID] == h {
			delete(s.working, d.ID)
		}
		s.mu.Unlock()
	}()
	done := ctx.Done()
	if deaf {
		done = nil
		work = min(work, 4*time.Second) // within the grace of a drain
	}
	timer := time.NewTimer(work)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-done:
		return ctx.Err()
	}
	switch {
	case what < 5:
		return errors.New("failed")
	case what < 8:
		panic("failed")
	case what < 9:
		runtime.Goexit()
	case what < 12:
		return broker.RetryAfter(time.Duration(what)*time.Second, nil)
	case what < 14:
		return broker.Reject(nil)
	}
	s.mu.Lock()
	s.succeeded[d.ID] = ctx.Err() == nil && time.Until(h.LeaseEnd()) > 5*time.Second
	s.mu.Unlock()
	return nil
}

// checkLane: when a handler begins, every earlier message of its group has
// ended. The caller holds mu.
func (s *soak) checkLane(h *soakHandle, id string) {
	if !s.fifo {
		return
	}
	ids := s.groups[h.group]
	for len(ids) > 0 && s.ended[ids[0]] {
		delete(s.ended, ids[0])
		ids = ids[1:]
	}
	s.groups[h.group] = ids
	if len(ids) > 0 && ids[0] != id {
		s.violate("%s of group %s began before %s had ended", id, h.group, ids[0])
	}
}
