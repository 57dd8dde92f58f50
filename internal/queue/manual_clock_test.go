package queue_test

import (
	"slices"
	"sync"
	"time"
)

// manualClock stands still until it is set, and its timers fire when the test
// has them fire.
type manualClock struct {
	mu     sync.Mutex
	now    time.Time
	timers []*manualTimer // set, in the order in which they were
}

type manualTimer struct{ f func() }

func (c *manualClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *manualClock) set(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = t
}

func (c *manualClock) AfterFunc(_ time.Duration, f func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	timer := &manualTimer{f}
	c.timers = append(c.timers, timer)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := slices.Index(c.timers, timer)
		if i < 0 {
			return false
		}
		c.timers = slices.Delete(c.timers, i, i+1)
		return true
	}
}

// pending is how many timers are set.
func (c *manualClock) pending() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.timers)
}

// fire makes the timer that was set first fire: it can no longer be stopped,
// and what it does is returned.
func (c *manualClock) fire() (f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f = c.timers[0].f
	c.timers = slices.Delete(c.timers, 0, 1)
	return f
}
