package broker

import (
	"context"
	"errors"
	"runtime/debug"
)

// outcome takes a handler's result.
type outcome interface {
	handled(ctx context.Context, d *Delivery, err error)
}

// call runs a handler and passes its result to o, even when the handler panics
// or ends its goroutine. It is the only place that recovers a panic.
func call(ctx context.Context, h Handler, d *Delivery, o outcome) {
	err := errGoexit
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
		o.handled(ctx, d, err)
	}()
	if err = h(ctx, d); err != nil {
		read(err)
	}
}

// read calls the methods of an error: one that panics, as that of a nil pointer
// may, does so as part of the handler.
func read(err error) {
	_ = errors.Is(err, errGoexit)
	_, _ = errors.AsType[*PanicError](err)
	_ = err.Error()
}
