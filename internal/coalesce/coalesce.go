// Package coalesce joins concurrent requests into fewer calls, by natural
// batching: a request goes at once if no call is in flight, and requests that
// arrive during a call go together when it returns, or as soon as they fill a
// call of their own. No request waits for others to join it: a lone request has
// no added latency.
//
// Items may have keys, within which they keep the order of their Do calls and
// stop at a failure: no call is made for items waiting behind one that failed.
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
	// ErrClosed means that the request came after Close, or was waiting when
	// Close was called. It was in no call.
	ErrClosed = errors.New("coalesce: closed")
	// ErrAbandoned means that the caller's context ended while its request was
	// in a call. It comes together with the context's error.
	ErrAbandoned = errors.New("coalesce: the call went on without its caller")
	// ErrBehind means that an earlier item of the same key failed while the
	// request waited. It was in no call, and may be tried again.
	ErrBehind = errors.New("coalesce: an earlier item of the key failed")
)

// Item is what calls are made for: a pointer to something in which a call
// leaves its result.
type Item interface {
	// Trait returns an item's size and its key: no two calls in flight have
	// items of the same key, and items of one key go in the order of their Do
	// calls. The key "" means no key. Trait always returns the same values.
	Trait() (key string, size int)
	// Result is asked once after each call with the item.
	Result() Result
}

// Result is the outcome of an item in a call.
type Result struct {
	// Again is how long to wait before another call is made for the item; 0
	// means that none is needed. Other waiting items of its key wait as well,
	// and go in no call with it, where they could overtake it again.
	Again time.Duration
	// Failed fails the other waiting items of the item's key with [ErrBehind].
	Failed bool
}

// Limits bound the calls. All but Size and Linger must be above 0.
type Limits struct {
	Count    int           // items of a call
	Size     int           // of all items of a call, as Options.Size counts; 0: no bound
	InFlight int           // calls at a time
	Patience time.Duration // the longest that an item waits for calls in flight, where InFlight lets another begin
	Linger   time.Duration // how long a call with keys goes on after its last caller has gone
}

// Calls makes the calls for items of type T. Create one with [New]. All methods
// may be called concurrently.
//
// Except for calls in flight, it holds no item that no caller waits for: its
// memory is bounded because callers block.
type Calls[T Item] struct {
	limits Limits
	call   func(context.Context, []T)

	base   context.Context // of the calls that several share
	cancel context.CancelFunc
	shared sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	inFlight int
	busy     map[string]struct{} // keys of calls in flight, of items that are to be called for again, and held ones
	waiting  []*request[T]       // in the order in which they go
	holders  int                 // of those, which are for Hold
	overdue  *time.Timer         // set while requests wait
}

// request is an item that waits or is in a shared call, or a Hold that waits.
type request[T Item] struct {
	item   T
	key    string
	size   int
	since  time.Time     // when it came, or may go again: until then it rests
	done   chan struct{} // closed when its last call has returned, err is set, or the keys are held
	err    error
	in     *shared  // nil: it waits
	left   bool     // its caller has gone
	again  bool     // it was in a call
	keys   []string // of a Hold
	failed []string // of keys
}

// shared is a call that its callers may leave.
type shared struct {
	callers int
	cancel  context.CancelFunc
	linger  time.Duration // until it is cancelled when the last of them has gone
	timer   *time.Timer   // of that
}

// forsaken is called when the last caller has left. Its caller holds mu.
func (in *shared) forsaken() {
	if in.linger > 0 {
		in.timer = time.AfterFunc(in.linger, in.cancel)
		return
	}
	in.cancel()
}

// New returns a Calls. call makes one call for 1 to Limits.Count items and
// leaves each one's result in the item. It is called from several goroutines at
// once and must return soon after its context has ended.
func New[T Item](limits Limits, call func(ctx context.Context, items []T)) *Calls[T] {
	c := &Calls[T]{limits: limits, call: call, busy: map[string]struct{}{}}
	c.base, c.cancel = context.WithCancel(context.Background())
	return c
}

// Do returns nil once a call with the item has returned, the last one if its
// [Result] wants several; the item then has its result. It blocks for as long
// as that takes. [ErrBehind] reports a failure of the item's key.
//
// If ctx ends first, Do returns at once: with ctx's error alone if the item was
// in no call, and will not be, or matching [ErrAbandoned] as well if it is in
// one. That call goes on for its other items; when its last caller has left it
// is cancelled, at once or, if its items have keys, after Limits.Linger: they
// keep their keys as long as the call lasts, since its requests may be carried
// out at any time. The item must then be left alone. An item without a key that
// is alone in its call is called for on the caller's goroutine with ctx itself,
// and the call must then record in the item how it ended. Between two calls,
// the item has the result of the earlier one. A caller that has left fails no
// others.
func (c *Calls[T]) Do(ctx context.Context, item T) error {
	key, size := item.Trait()
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	idle := c.inFlight == 0 && c.isFree(key)
	if idle && key == "" {
		c.inFlight++
		c.mu.Unlock()
		if r := c.alone(ctx, item, size); r != nil {
			return c.await(ctx, r)
		}
		return nil
	}
	r := &request[T]{item: item, key: key, size: size, since: time.Now(), done: make(chan struct{})}
	if idle {
		c.begin(context.WithoutCancel(ctx), []*request[T]{r})
	} else {
		c.waiting = append(c.waiting, r)
		c.start()
	}
	c.mu.Unlock()
	return c.await(ctx, r)
}

// alone makes a call for one item without a key, and returns a request if
// another call is needed.
func (c *Calls[T]) alone(ctx context.Context, item T, size int) (again *request[T]) {
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.inFlight--
		if result := item.Result(); result.Again > 0 && ctx.Err() == nil && !c.closed {
			again = &request[T]{item: item, size: size, again: true, done: make(chan struct{})}
			c.rest([]*request[T]{again}, result.Again)
		}
		c.start()
	}()
	c.call(ctx, []T{item})
	return nil
}

// await returns when a request is done or ctx has ended.
func (c *Calls[T]) await(ctx context.Context, r *request[T]) error {
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
	r.left = true
	if r.in == nil {
		c.waiting = slices.DeleteFunc(c.waiting, func(w *request[T]) bool { return w == r })
		if r.keys != nil {
			c.holders--
		}
		c.start() // of what it was before
		return ctx.Err()
	}
	if r.in.callers--; r.in.callers == 0 {
		r.in.forsaken()
	}
	return fmt.Errorf("%w: %w", ErrAbandoned, ctx.Err())
}

// Close refuses new and waiting requests, and returns when the shared calls
// have returned; those that last until ctx ends are then cancelled, and ctx's
// error is returned. It may be called more than once.
func (c *Calls[T]) Close(ctx context.Context) error {
	c.mu.Lock()
	c.closed = true
	none := c.inFlight == 0
	for _, r := range c.waiting {
		r.err = ErrClosed
		close(r.done)
	}
	c.waiting, c.holders = nil, 0
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
