package coalesce

import (
	"slices"
	"time"
)

// rest puts requests of one key that are to go again before all others, and
// keeps their key until they may go. The caller holds mu.
func (c *Calls[T]) rest(rs []*request[T], pause time.Duration) {
	due := time.Now().Add(pause)
	for _, r := range rs {
		r.since = due
	}
	c.waiting = slices.Insert(c.waiting, 0, rs...)
	key := rs[0].key
	c.occupy(key)
	time.AfterFunc(pause, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.vacate(key)
		c.start()
	})
}

// fail ends the requests behind an item of a key that has failed. The caller
// holds mu.
func (c *Calls[T]) fail(key string) {
	if key == "" {
		return
	}
	c.waiting = slices.DeleteFunc(c.waiting, func(r *request[T]) bool {
		if slices.Contains(r.keys, key) {
			r.failed = append(r.failed, key)
		}
		if r.key != key {
			return false
		}
		r.err = ErrBehind
		close(r.done)
		return true
	})
}

// isFree reports whether no request has a key or waits for it. The caller holds
// mu.
func (c *Calls[T]) isFree(key string) bool {
	if key == "" {
		return true
	}
	_, busy := c.busy[key]
	return !busy && !slices.ContainsFunc(c.waiting, func(r *request[T]) bool {
		return r.key == key || slices.Contains(r.keys, key)
	})
}

// occupy keeps other calls from taking a key. The caller holds mu.
func (c *Calls[T]) occupy(key string) {
	if key != "" {
		c.busy[key] = struct{}{}
	}
}

// vacate undoes occupy. The caller holds mu.
func (c *Calls[T]) vacate(key string) {
	if key != "" {
		delete(c.busy, key)
	}
}
