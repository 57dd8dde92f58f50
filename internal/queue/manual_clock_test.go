package queue_test

import (
	"sync"
	"time"
)

// manualClock stands still until it is set. Its timers never fire.
type manualClock struct {
	mu      sync.Mutex
	now     time.Time
	pending int
}

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

func (c *manualClock) AfterFunc(time.Duration, func()) func() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending++
	stopped := false
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		if stopped {
			return false
		}
		stopped = true
		c.pending--
		return true
	}
}

// timers is how many are set.
func (c *manualClock) timers() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pending
}
