// Package coalesce joins concurrent requests into fewer calls, by natural
// batching: a request goes at once if no call is in flight, and what comes
// meanwhile goes together when that call returns, or as soon as it fills a
// call of its own. Nobody waits for company: a request that comes alone has no
// added latency.
package coalesce

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

var (
	// ErrClosed means that the request came after Close, or waited when it was
	// called. It was in no call.
	ErrClosed = errors.New("coalesce: closed")
	// ErrAbandoned means that the caller's context ended while its request was
	// in a call. It comes together with the context's error.
	ErrAbandoned = errors.New("coalesce: the call went on without its caller")
)

// Limits bound the calls. All but Size must be above 0.
type Limits struct {
	Count    int           // items of a call
	Size     int           // of all items of a call, as Options.Size counts; 0: no bound
	InFlight int           // calls at a time
	Patience time.Duration // the longest that an item waits for calls in flight, where InFlight lets another begin
}

// Calls makes the calls for items of type T. Make one with [New]. All methods
// may be called concurrently.
//
// It holds no item that no caller waits for, but for those in flight: what
// bounds its memory is that callers block.
type Calls[T any] struct {
	limits Limits
	call   func(context.Context, []T)
	trait  func(T) (key string, size int)

	base   context.Context // of the calls that several share
	cancel context.CancelFunc
	shared sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	inFlight int
	busy     map[string]struct{} // keys of calls in flight
	waiting  []*request[T]
	overdue  *time.Timer // set while requests wait
}

// request is an item that waits, or is in a shared call.
type request[T any] struct {
	item  T
	key   string
	size  int
	since time.Time
	done  chan struct{} // closed when the call has returned, or err is set
	err   error
	in    *shared // nil: it waits
}

// shared is a call whose caller may go away without it.
type shared struct {
	callers int
	cancel  context.CancelFunc
}

// New makes a Calls. call makes one call for 1 to Limits.Count items and leaves
// each one's result in the item, so T is a pointer. It is called from several
// goroutines at once and returns soon after its context has ended.
//
// trait tells an item's size, and its key: no two calls are in flight that have
// items of the same key, and items of one key go in the order of their Do
// calls. The key "" is of no such kind.
func New[T any](limits Limits, trait func(T) (key string, size int), call func(ctx context.Context, items []T)) *Calls[T] {
	c := &Calls[T]{limits: limits, call: call, trait: trait, busy: map[string]struct{}{}}
	c.base, c.cancel = context.WithCancel(context.Background())
	return c
}

// Do returns nil once a call with the item has returned; the item then has its
// result. It blocks as long as that takes.
//
// If ctx ends before, Do returns at once: with ctx's error alone if the item
// was in no call, and will not be, or matching [ErrAbandoned] as well if it is
// in one. That call goes on for the others in it, and is cancelled when its
// last caller has gone; the item must then be left alone. An item that is alone
// in its call is called for on the caller's goroutine with ctx itself, and it
// is for the call then to say in the item how it ended.
func (c *Calls[T]) Do(ctx context.Context, item T) error {
	key, size := c.trait(item)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	if c.inFlight == 0 {
		c.inFlight++
		c.occupy(key)
		c.mu.Unlock()
		defer c.returned(key)
		c.call(ctx, []T{item})
		return nil
	}
	r := &request[T]{item: item, key: key, size: size, since: time.Now(), done: make(chan struct{})}
	c.waiting = append(c.waiting, r)
	c.start()
	c.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return c.leave(ctx, r)
	}
}

// leave is for a caller whose context has ended.
func (c *Calls[T]) leave(ctx context.Context, r *request[T]) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-r.done: // just now
		return r.err
	default:
	}
	if r.in == nil {
		c.waiting = slices.DeleteFunc(c.waiting, func(w *request[T]) bool { return w == r })
		return ctx.Err()
	}
	if r.in.callers--; r.in.callers == 0 {
		r.in.cancel()
	}
	return fmt.Errorf("%w: %w", ErrAbandoned, ctx.Err())
}

// Close refuses what comes and what waits, and returns when the shared calls
// have; those that last until ctx ends are cancelled then, and ctx's error is
// returned. It may be called more than once.
func (c *Calls[T]) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	none := c.inFlight == 0
	for _, r := range c.waiting {
		r.err = ErrClosed
		close(r.done)
	}
	c.waiting = nil
	c.stopTimer()
	c.mu.Unlock()
	defer c.cancel()
	if none {
		return nil
	}
	stop := context.AfterFunc(ctx, c.cancel)
	c.shared.Wait()
	if !stop() {
		return ctx.Err()
	}
	return nil
}

// start begins calls for what waits: as many as are full and, if none is in
// flight or Patience has passed, one more. The caller holds mu.
func (c *Calls[T]) start() {
	for c.inFlight < c.limits.InFlight && len(c.waiting) > 0 {
		batch, full := c.next()
		if len(batch) == 0 || !full && c.inFlight > 0 && time.Since(batch[0].since) < c.limits.Patience {
			break
		}
		c.begin(batch)
	}
	c.setTimer()
}

// next are the first of those that wait that one call may take. The caller
// holds mu.
func (c *Calls[T]) next() (batch []*request[T], full bool) {
	size := 0
	for _, r := range c.waiting {
		if _, busy := c.busy[r.key]; busy {
			continue
		}
		size += r.size
		if len(batch) > 0 && c.limits.Size > 0 && size > c.limits.Size {
			return batch, true
		}
		if batch = append(batch, r); len(batch) == c.limits.Count {
			return batch, true
		}
	}
	return batch, false
}

// begin makes a shared call. The caller holds mu.
func (c *Calls[T]) begin(batch []*request[T]) {
	ctx, cancel := context.WithCancel(c.base)
	in := &shared{callers: len(batch), cancel: cancel}
	items, keys := make([]T, len(batch)), make([]string, len(batch))
	for i, r := range batch {
		r.in = in
		items[i], keys[i] = r.item, r.key
		c.occupy(r.key)
	}
	c.waiting = slices.DeleteFunc(c.waiting, func(r *request[T]) bool { return r.in != nil })
	c.inFlight++
	c.shared.Go(func() {
		defer cancel()
		defer c.returned(keys...)
		c.call(ctx, items)
		for _, r := range batch {
			close(r.done)
		}
	})
}

// occupy keeps other calls from taking a key. The caller holds mu.
func (c *Calls[T]) occupy(key string) {
	if key != "" {
		c.busy[key] = struct{}{}
	}
}

// returned is the end of a call with items of these keys.
func (c *Calls[T]) returned(keys ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight--
	for _, key := range keys {
		delete(c.busy, key)
	}
	c.start()
}

// setTimer has requests that wait looked at when the first has waited for
// Patience: a call that hangs does not hold up what could go in another. The
// caller holds mu.
func (c *Calls[T]) setTimer() {
	switch {
	case len(c.waiting) == 0:
		c.stopTimer()
	case c.overdue == nil:
		wait := c.limits.Patience - time.Since(c.waiting[0].since)
		if wait <= 0 { // and its key is busy, or no call may begin: look again
			wait = c.limits.Patience
		}
		c.overdue = time.AfterFunc(wait, c.hurry)
	}
}

// stopTimer is called by who holds mu.
func (c *Calls[T]) stopTimer() {
	if c.overdue != nil {
		c.overdue.Stop()
		c.overdue = nil
	}
}

// hurry is what the timer does.
func (c *Calls[T]) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.overdue = nil
	c.start()
}
