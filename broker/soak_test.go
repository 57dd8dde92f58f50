package broker_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
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

const (
	soakLease    = 30 * time.Second
	soakAttempts = 5
	soakSlots    = 40
)

// TestSoak drives Consume on the queue engine in virtual time, with random
// failures, panics, overrun leases, throttled heartbeats and settlements, slow
// calls, and drains, and judges it by the engine's own event log.
//
// A run that fails replays from its seed, with as many messages:
//
//	go test ./broker -run TestSoak/fifo=true -soak 20000 -seed 123
func TestSoak(t *testing.T) {
	seed := *soakSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	for _, fifo := range []bool{false, true} {
		t.Run(fmt.Sprintf("fifo=%v", fifo), func(t *testing.T) {
			t.Logf("-soak %d -seed %d", *soakMessages, seed)
			synctest.Test(t, func(t *testing.T) {
				s := newSoak(t, fifo, seed, *soakMessages)
				s.run()
				s.report()
			})
		})
	}
}

// One seed gives one run, to the nanosecond and in the engine's order, on
// whatever number of processors.
func TestSoakReplays(t *testing.T) {
	const messages = 1500
	run := func(t *testing.T, fifo bool, seed uint64, processors int) (log uint64) {
		t.Helper()
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(processors))
		synctest.Test(t, func(t *testing.T) {
			s := newSoak(t, fifo, seed, messages)
			s.run()
			log = s.log.Sum64()
			if s.faults == 0 || s.drains < 3 || s.logged < 3*messages {
				t.Errorf("%d faults, %d drains, %d events: the run proves nothing", s.faults, s.drains, s.logged)
			}
			for _, v := range s.violations {
				t.Error(v)
			}
		})
		return log
	}
	for _, fifo := range []bool{false, true} {
		t.Run(fmt.Sprintf("fifo=%v", fifo), func(t *testing.T) {
			first := run(t, fifo, 1, 2)
			for _, processors := range []int{2, 1} {
				if again := run(t, fifo, 1, processors); again != first {
					t.Errorf("seed 1 on %d processors: event log %x, and %x before", processors, again, first)
				}
			}
			if other := run(t, fifo, 2, 2); other == first {
				t.Error("another seed gave the same events")
			}
		})
	}
}

// soak is one run: a queue, consumers that come and go, and the oracle.
type soak struct {
	t      *testing.T
	engine *queue.Engine
	seed   uint64
	total  int
	mutant mutant

	mu       sync.Mutex
	calls    [kinds]int
	sent     int
	handled  int
	released int
	drains   int
	faults   int
	oracle

	leaks  chan struct{} // for mutants: what ends a goroutine that is left
	leaked [][]byte
}

func newSoak(t *testing.T, fifo bool, seed uint64, total int) *soak {
	t.Helper()
	s := &soak{
		t: t, total: total, seed: seed, engine: queue.New(queue.SystemClock()),
		oracle: newOracle(fifo), leaks: make(chan struct{}),
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
	s.engine.Observe(func(e queue.Event) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.event(e)
	})
	return s
}

// run sends all messages, paced, with consumers that are drained and replaced
// now and then, until each message has ended.
func (s *soak) run() {
	var publisher sync.WaitGroup
	publisher.Go(s.publish)
	for stuck := 0; stuck <= 20 && s.progress() < s.total; {
		before := s.progress()
		synctest.Wait()
		own, _ := goroutines()
		if !s.live() {
			break
		}
		if err := s.engine.Purge("dead"); err != nil { // so that the heap stays flat
			s.t.Error(err)
		}
		synctest.Wait()
		s.mu.Lock()
		s.drains++
		s.checkGoroutines(own)
		s.measure(s.drains)
		broken := len(s.violations) > 0
		s.mu.Unlock()
		if broken {
			break
		}
		stuck++
		if s.progress() > before {
			stuck = 0
		}
	}
	s.mu.Lock()
	s.checkEnd(s.total)
	s.mu.Unlock()
	s.engine.Close()
	close(s.leaks)
	publisher.Wait()
}

// live is the life of one consumer; every other one holds more than it has slots.
func (s *soak) live() (ok bool) {
	sub, err := broker.ConsumeByChance(s.t.Context(), s.chance, s, "q", s.handle,
		broker.Concurrency(soakSlots+s.mutant.more), broker.Prefetch(s.drains%2*20), broker.Backoff{Min: time.Second, Max: 10 * time.Second}, broker.Batch(10),
		broker.OnError(func(_ context.Context, d *broker.Delivery, _ error) { s.setApart(d) }),
		broker.Observer(func(e broker.Event) {
			if e.Kind != broker.EventExtended {
				s.setApart(e.Delivery)
			}
		}))
	if err != nil {
		s.t.Error(err)
		return false
	}
	d := s.dice("drain", s.drains)
	s.rest(d.upTo(2*time.Minute), mainPlace)
	ctx, cancel := context.WithTimeout(s.t.Context(), d.upTo(90*time.Second))
	defer cancel()
	report, _ := sub.Drain(ctx)
	s.mu.Lock()
	s.checkDrained(sub, report)
	s.released += report.Released
	s.mu.Unlock()
	<-sub.Done()
	return true
}

func (s *soak) progress() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

// publish keeps the queue neither empty nor full.
func (s *soak) publish() {
	for i := 0; i < s.total; {
		s.mu.Lock()
		room := 200 - (s.sent - s.done)
		s.mu.Unlock()
		for range min(room, s.total-i) {
			group := ""
			if s.fifo {
				group = fmt.Sprint(i * 7919 % 23)
			}
			s.mu.Lock()
			s.sent++
			s.expect(strconv.Itoa(i), group)
			s.mu.Unlock()
			if _, err := s.engine.Send("q", queue.Send{ID: strconv.Itoa(i), Group: group}); err != nil {
				return // closed: the run has ended early
			}
			i++
		}
		s.rest(time.Second, publishPlace)
		s.mu.Lock()
		broken := len(s.violations) > 0
		s.mu.Unlock()
		if broken {
			return
		}
	}
}

func (s *soak) report() {
	s.t.Logf("%d messages in %d handler calls, %d drains (%d attempts given back), %d faults injected, heap %d to %d KiB, event log %x",
		s.done, s.handled, s.drains, s.released, s.faults, s.least>>10, s.most>>10, s.log.Sum64())
	if s.fifo {
		s.t.Logf("%d messages dead-lettered, %d of them never handled: each had come with an earlier one of its group that failed", s.dead, s.unheard)
	}
	for _, v := range s.violations {
		s.t.Error(v)
	}
	if s.faults == 0 || s.drains == 0 {
		s.t.Error("no fault was injected: the run proves nothing")
	}
}
