package sqstest

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

// Clock is where an endpoint has its time from. AfterFunc calls f once, when d
// has passed, and never from within AfterFunc itself; stop prevents that and
// reports whether it did. [ManualClock] is one; without any, time is that of
// package time.
type Clock interface {
	Now() time.Time
	AfterFunc(d time.Duration, f func()) (stop func() bool)
}

var _ queue.Clock = Clock(nil)

// ManualClock is a time that stands still until it is told to advance: it lets a
// server that is reached over TCP play 14 days of retention in a moment, where a
// testing/synctest bubble cannot be had. Its methods may be called concurrently.
type ManualClock struct {
	advancing sync.Mutex // one Advance at a time

	mu     sync.Mutex
	now    time.Time
	timers []*manualTimer // by time, those of one moment in the order of setting
}

type manualTimer struct {
	at time.Time
	f  func()
}

// NewManualClock is a clock that stands at now.
func NewManualClock(now time.Time) *ManualClock { return &ManualClock{now: now} }

// Now is the present time.
func (c *ManualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// AfterFunc has an Advance call f when it passes d from now.
func (c *ManualClock) AfterFunc(d time.Duration, f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &manualTimer{c.now.Add(d), f}
	i, _ := slices.BinarySearchFunc(c.timers, t.at, func(t *manualTimer, at time.Time) int {
		return cmp.Or(t.at.Compare(at), -1) // after those of the same moment
	})
	c.timers = slices.Insert(c.timers, i, t)
	return func() bool { return c.remove(t) }
}

func (c *ManualClock) remove(t *manualTimer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.Index(c.timers, t)
	if i < 0 {
		return false
	}
	c.timers = slices.Delete(c.timers, i, i+1)
	return true
}

// Advance moves the time by d, by way of every moment for which something is
// planned, and returns when that is done: polls that end or find a message then
// are on their way to their clients. Not to be called from a function that the
// clock calls.
func (c *ManualClock) Advance(d time.Duration) {
	c.advancing.Lock()
	defer c.advancing.Unlock()
	end := c.Now().Add(d)
	for t := c.next(end); t != nil; t = c.next(end) {
		t.f()
	}
}

// next moves the time to the next timer until end and takes it, or to end.
func (c *ManualClock) next(end time.Time) *manualTimer {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.timers) == 0 || c.timers[0].at.After(end) {
		c.now = end
		return nil
	}
	t := c.timers[0]
	c.timers = slices.Delete(c.timers, 0, 1)
	if t.at.After(c.now) {
		c.now = t.at
	}
	return t
}
