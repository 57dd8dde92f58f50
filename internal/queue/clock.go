package queue

import "time"

// Clock is the source of time of an [Engine].
type Clock interface {
	// Now returns the current time.
	Now() time.Time
	// AfterFunc calls f once, in a goroutine of its own, when d has passed;
	// never from within AfterFunc itself. stop reports whether it prevented the
	// call, as time.Timer.Stop does: true at most once.
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

// SystemClock returns the clock of package time. Inside a testing/synctest
// bubble it is the bubble's.
func SystemClock() Clock { return systemClock{} }

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) AfterFunc(d time.Duration, f func()) func() bool {
	return time.AfterFunc(d, f).Stop
}

// after is AfterFunc with a join: Close waits for every f that has begun.
// The caller holds the mutex and the engine is open. stop may be called again.
func (e *Engine) after(d time.Duration, f func()) (stop func()) {
	e.timers.Add(1)
	stopTimer := e.clock.AfterFunc(d, func() {
		defer e.timers.Done()
		f()
	})
	return func() {
		if stopTimer() {
			e.timers.Done()
		}
	}
}
