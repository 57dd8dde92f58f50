package queue

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// Engine owns queues, as an account does. Create one with [New].
type Engine struct {
	clock  Clock
	start  time.Time      // times are kept in heaps as durations since start
	timers sync.WaitGroup // timers that are set or run

	mu      sync.Mutex
	closed  bool
	queues  map[string]*queue
	touched []*queue // those whose polls may have something to take
	lastSeq uint64
	spare   []*msg
	observe func(Event)
	worst   *worst // nil unless PlayWorst was called
}

// New returns an engine without queues. Close it to end its polls and timers.
func New(c Clock) *Engine {
	return &Engine{clock: c, start: c.Now(), queues: make(map[string]*queue)}
}

// Config configures a queue. The engine has no defaults of its own: a zero
// field means not limited, not delayed, not deduplicated.
type Config struct {
	FIFO       bool          // fixed when the queue is created
	Visibility time.Duration // the lease of a receive that sets none
	Delay      time.Duration // of a message that sets none
	Retention  time.Duration // from the send, in whatever state the message is; 0: unlimited
	// MaxLease bounds a lease in total, from the receive on, however often it
	// is extended; 0: unlimited. SQS: 12 hours.
	MaxLease time.Duration

	// DedupWindow is how long a DedupID is remembered, counted from the
	// accepted send; 0: no dedup. SQS: five minutes. An id keeps the scope
	// under which it was sent: one of DedupPerQueue continues to count for all
	// groups after a change.
	DedupWindow time.Duration
	DedupScope  DedupScope

	// MaxReceives and DeadLetter: instead of being received more than
	// MaxReceives times, a message moves to the queue named DeadLetter. Without
	// such a queue, or with MaxReceives 0, it stays.
	MaxReceives int
	DeadLetter  string

	// MaxInFlight messages may be in flight; 0: unlimited.
	MaxInFlight int
}

// Create creates a queue; ErrExists if there is one of that name, whatever its
// configuration.
func (e *Engine) Create(name string, c Config) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	if e.queues[name] != nil {
		return ErrExists
	}
	e.queues[name] = newQueue(e, name, c)
	return nil
}

// Drop removes a queue and its messages; its polls end with ErrNoQueue.
func (e *Engine) Drop(name string) error {
	return e.do(name, func(q *queue, now time.Time) error {
		q.discard(now)
		delete(e.queues, name)
		q.endPolls(ErrNoQueue)
		return nil
	})
}

// Update changes the configuration of a queue. change is called under the
// engine's mutex. The new configuration takes effect at once and for existing
// messages, except for leases and delays that have begun. ErrFixed if FIFO was
// changed; then nothing is changed.
func (e *Engine) Update(name string, change func(*Config)) error {
	return e.do(name, func(q *queue, now time.Time) error {
		c := q.config
		change(&c)
		if c.FIFO != q.config.FIFO {
			return ErrFixed
		}
		q.config = c
		q.advance(now)
		e.touch(q)
		return nil
	})
}

// Config returns the current configuration of a queue.
func (e *Engine) Config(name string) (c Config, err error) {
	err = e.do(name, func(q *queue, _ time.Time) error {
		c = q.config
		return nil
	})
	return c, err
}

// Names returns the names of all queues, sorted.
func (e *Engine) Names() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Sorted(maps.Keys(e.queues))
}

// Purge removes the messages of a queue, even those in flight, and forgets its
// dedup window. Waiting polls continue to wait.
func (e *Engine) Purge(name string) error {
	return e.do(name, func(q *queue, now time.Time) error {
		q.discard(now)
		return nil
	})
}

// Close ends every waiting poll with ErrClosed, stops the timers and waits for
// those that are running. All later calls fail with ErrClosed, except Close,
// which then does nothing. It must not be called from an observer.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closed = true
	for _, q := range e.queues {
		q.endPolls(ErrClosed)
	}
	clear(e.queues)
	e.mu.Unlock()
	e.timers.Wait()
}

// do brings a queue up to date, calls f on it, and serves the polls of every
// touched queue.
func (e *Engine) do(name string, f func(q *queue, now time.Time) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	q, now, err := e.enter(name)
	if err != nil {
		return err
	}
	err = f(q, now)
	e.serve(now)
	return err
}

// enter starts every operation: it returns the queue, brought up to date, its
// polls served with messages that time has set free. The caller holds the
// mutex, and calls serve when it is done.
func (e *Engine) enter(name string) (*queue, time.Time, error) {
	if e.closed {
		return nil, time.Time{}, ErrClosed
	}
	q := e.queues[name]
	if q == nil {
		return nil, time.Time{}, ErrNoQueue
	}
	now := e.clock.Now()
	q.advance(now)
	e.serve(now)
	return q, now, nil
}

// touch notes that q's polls may have something to take, or that its next event
// has changed.
func (e *Engine) touch(q *queue) {
	if q.polls.Len() > 0 && !q.touched {
		q.touched = true
		e.touched = append(e.touched, q)
	}
}

// serve hands messages over to the polls of the touched queues, which may
// dead-letter messages and so touch more queues.
func (e *Engine) serve(now time.Time) {
	for len(e.touched) > 0 {
		last := len(e.touched) - 1
		q := e.touched[last]
		e.touched[last] = nil
		e.touched = e.touched[:last]
		q.touched = false
		q.handOver(now)
		q.setAlarm(now)
	}
}

func (e *Engine) nextSeq() uint64 {
	e.lastSeq++
	return e.lastSeq
}

func (e *Engine) sinceStart(t time.Time) int64 { return int64(t.Sub(e.start)) }
