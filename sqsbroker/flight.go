package sqsbroker

import (
	"context"
	"errors"
	"sync"
)

// flight lets callers that ask for the same thing at the same time share one
// call for it. The zero flight is ready.
type flight[T any] struct {
	mu   sync.Mutex
	call *call[T]
}

type call[T any] struct {
	done  chan struct{}
	value T
	err   error
}

// do returns what fetch returns, called here or by another caller. fetch runs
// with the context of the caller that began it; if that one gives up, the next
// one begins anew.
func (f *flight[T]) do(ctx context.Context, fetch func(context.Context) (T, error)) (T, error) {
	for {
		c, first := f.join()
		if first {
			f.run(ctx, c, fetch)
			return c.value, c.err
		}
		select {
		case <-c.done:
		case <-ctx.Done():
			var none T
			return none, ctx.Err()
		}
		if !gaveUp(c.err) {
			return c.value, c.err
		}
	}
}

func (f *flight[T]) join() (c *call[T], first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.call != nil {
		return f.call, false
	}
	f.call = &call[T]{done: make(chan struct{})}
	return f.call, true
}

func (f *flight[T]) run(ctx context.Context, c *call[T], fetch func(context.Context) (T, error)) {
	c.err = errors.New("the call did not return")
	defer func() {
		f.mu.Lock()
		f.call = nil
		f.mu.Unlock()
		close(c.done)
	}()
	c.value, c.err = fetch(ctx)
}

func gaveUp(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
