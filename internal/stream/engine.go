package stream

import (
	"math/rand/v2"
	"sync"
	"time"

	"github.com/candidmq/candidmq/internal/natsrules"
	"github.com/candidmq/candidmq/internal/subject"
)

// Engine owns streams, as an account does. Create one with [New].
type Engine struct {
	start   time.Time      // times are kept in heaps as durations since start
	timers  sync.WaitGroup // timers that are set or run
	settled func()
	advise  func(stream, consumer string, m Receipt) *Send // nil means no advisories

	mu       sync.Mutex
	closed   bool
	streams  map[string]*log
	subjects subject.Index[*log]
	room     []*log      // room for the results of subjects
	touched  []*consumer // those whose polls may have something to take
	worst    *rand.Rand  // nil unless the worst is played
}

// New returns an engine without streams. Close it to end its receives and
// timers. settled is called, under the engine's mutex, when a message was
// settled or has left its stream. A nonzero seed makes the engine do the worst
// that JetStream allows but rarely does: redeliveries come in any order, before
// or after new messages, and a receive takes fewer messages than it could, but
// at least one. The same seed and the same operations give the same run.
func New(settled func(), seed uint64) *Engine {
	e := &Engine{start: time.Now(), settled: settled, streams: map[string]*log{}}
	if seed != 0 {
		e.worst = rand.New(rand.NewPCG(seed, seed)) //nolint:gosec // repeatable on purpose
	}
	return e
}

// Advise publishes an advisory, to a stream if one captures its subject, when a
// message was delivered too often: of is called under the engine's mutex with
// the last delivery to create it. Call Advise before anything else.
func (e *Engine) Advise(of func(stream, consumer string, last Receipt) *Send) { e.advise = of }

// CreateStream creates a stream; ErrExists if there is one of that name,
// ErrOverlap if another one captures one of its subjects.
func (e *Engine) CreateStream(name string, c Config) error {
	return e.change(func() error {
		if e.streams[name] != nil {
			return ErrExists
		}
		if e.overlaps(name, c.Subjects) {
			return ErrOverlap
		}
		s := newLog(e, name, c)
		e.streams[name] = s
		e.capture(s, c.Subjects)
		return nil
	})
}

// UpdateStream changes a stream's configuration, except for its retention. It
// takes effect at once, for existing messages too.
func (e *Engine) UpdateStream(name string, c Config) error {
	return e.onStream(name, func(s *log, now time.Time) error {
		if e.overlaps(name, c.Subjects) {
			return ErrOverlap
		}
		for _, p := range s.config.Subjects {
			e.subjects.Remove(p, s)
		}
		s.config = c
		e.capture(s, c.Subjects)
		s.advance(now)
		s.enforceAll()
		return nil
	})
}

// DropStream removes a stream with its messages and consumers, whose receives
// end with ErrNoStream.
func (e *Engine) DropStream(name string) error {
	return e.onStream(name, func(s *log, _ time.Time) error {
		for _, p := range s.config.Subjects {
			e.subjects.Remove(p, s)
		}
		delete(e.streams, name)
		for _, c := range s.consumers {
			c.endPolls(ErrNoStream)
		}
		e.settled()
		return nil
	})
}

// Purge removes the messages of a stream, even those in flight. Remembered ids
// stay remembered.
func (e *Engine) Purge(name string) error {
	return e.onStream(name, func(s *log, _ time.Time) error {
		for s.head != nil {
			s.remove(s.head)
		}
		return nil
	})
}

// StreamOf returns the stream that captures a subject, or "".
func (e *Engine) StreamOf(native string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.streamOf(native); s != nil {
		return s.name
	}
	return ""
}

// Close ends every waiting receive with ErrClosed, stops the timers and waits
// for those that are running. All later calls fail with ErrClosed, except
// Close, which then does nothing.
func (e *Engine) Close() {
	e.mu.Lock()
	e.closed = true
	for _, s := range e.streams {
		for _, c := range s.consumers {
			c.endPolls(ErrClosed)
		}
	}
	clear(e.streams)
	e.subjects = subject.Index[*log]{}
	e.mu.Unlock()
	e.timers.Wait()
}

func (e *Engine) overlaps(name string, subjects []string) bool {
	for other, s := range e.streams {
		if other != name && natsrules.Overlap(subjects, s.config.Subjects) {
			return true
		}
	}
	return false
}

func (e *Engine) capture(s *log, subjects []string) {
	for _, p := range subjects {
		e.subjects.Add(p, s)
	}
}

// streamOf finds the stream of a subject, which may match several of its
// patterns.
func (e *Engine) streamOf(native string) *log {
	e.room = e.subjects.Lookup(native, e.room[:0])
	if len(e.room) == 0 {
		return nil
	}
	return e.room[0]
}

// change calls f, and serves the receives of every touched consumer.
func (e *Engine) change(f func() error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	err := f()
	e.serve(time.Now())
	return err
}

// onStream brings a stream up to date and calls f on it.
func (e *Engine) onStream(name string, f func(s *log, now time.Time) error) error {
	return e.change(func() error {
		s := e.streams[name]
		if s == nil {
			return ErrNoStream
		}
		now := time.Now()
		s.advance(now)
		return f(s, now)
	})
}

// onConsumer brings a consumer and its stream up to date and calls f on it.
func (e *Engine) onConsumer(stream, name string, f func(c *consumer, now time.Time) error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	c, now, err := e.enter(stream, name)
	if err != nil {
		return err
	}
	err = f(c, now)
	e.serve(now)
	return err
}

// enter finds a consumer, brings it up to date, and serves its polls with
// messages that time has set free. The caller holds the mutex, and calls serve
// when it is done.
func (e *Engine) enter(stream, name string) (*consumer, time.Time, error) {
	if e.closed {
		return nil, time.Time{}, ErrClosed
	}
	s := e.streams[stream]
	if s == nil {
		return nil, time.Time{}, ErrNoStream
	}
	c := s.consumers[name]
	if c == nil {
		return nil, time.Time{}, ErrNoConsumer
	}
	now := time.Now()
	s.advance(now)
	c.advance(now)
	e.serve(now)
	return c, now, nil
}

// touch notes that c's polls may have something to take, or that its next event
// has changed.
func (e *Engine) touch(c *consumer) {
	if c.watched() && !c.touched {
		c.touched = true
		e.touched = append(e.touched, c)
	}
}

// serve hands messages over to the polls of the touched consumers.
func (e *Engine) serve(now time.Time) {
	for len(e.touched) > 0 {
		last := len(e.touched) - 1
		c := e.touched[last]
		e.touched[last] = nil
		e.touched = e.touched[:last]
		c.touched = false
		c.advance(now)
		c.handOver(now)
		c.setAlarm(now)
	}
}

func (e *Engine) sinceStart(t time.Time) int64 { return int64(t.Sub(e.start)) }

// happens reports whether something goes wrong now: one time in four.
func (e *Engine) happens() bool { return e.worst != nil && e.worst.IntN(4) == 0 }
