package coalesce

import (
	"context"
	"slices"
	"time"
)

// Hold is for callers that make calls of their own with items of some keys: it
// returns when no call that has such items is in flight or is to be repeated,
// and Do calls that came before are over; those that come later wait for
// release. The keys must be distinct, and none may be "". failed are those of
// which an item failed while Hold waited.
//
// release must be called once, with those keys of which an item has failed: Do
// calls that wait for them then return [ErrBehind]. If ctx ends first, its
// error is returned, and nothing is held.
func (c *Calls[T]) Hold(ctx context.Context, keys []string) (release func(failed []string), failed []string, err error) {
	r := &request[T]{keys: keys, since: time.Now(), done: make(chan struct{})}
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, nil, ErrClosed
	}
	c.waiting = append(c.waiting, r)
	c.holders++
	c.start()
	c.mu.Unlock()
	if err := c.await(ctx, r); err != nil {
		return nil, nil, err
	}
	return func(failed []string) { c.release(keys, failed) }, r.failed, nil
}

func (c *Calls[T]) release(keys, failed []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, key := range keys {
		c.vacate(key)
	}
	for _, key := range failed {
		c.fail(key)
	}
	c.start()
}

// grant gives keys to the requests that wait for them, unless an earlier one
// waits for one of them too. The caller holds mu.
func (c *Calls[T]) grant() {
	ahead := map[string]struct{}{}
	c.waiting = slices.DeleteFunc(c.waiting, func(r *request[T]) bool {
		if r.keys == nil {
			ahead[r.key] = struct{}{}
			return false
		}
		if slices.ContainsFunc(r.keys, func(key string) bool {
			_, busy := c.busy[key]
			_, wanted := ahead[key]
			return busy || wanted
		}) {
			join(ahead, r.keys)
			return false
		}
		for _, key := range r.keys {
			c.occupy(key)
		}
		c.holders--
		close(r.done)
		return true
	})
}

// join adds keys to a set, which may be nil.
func join(set map[string]struct{}, keys []string) map[string]struct{} {
	if set == nil {
		set = make(map[string]struct{}, len(keys))
	}
	for _, key := range keys {
		set[key] = struct{}{}
	}
	return set
}
