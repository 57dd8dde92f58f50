package broker

import (
	"context"
	"runtime/debug"
)

// outcome takes a handler's result.
type outcome interface {
	handled(ctx context.Context, d *Delivery, err error)
}

// call runs a handler and hands its result to o, also when the handler panics
// or ends its goroutine. It is the only place that recovers a panic.
func call(ctx context.Context, h Handler, d *Delivery, o outcome) {
	err := errGoexit
	defer func() {
		if p := recover(); p != nil {
			err = &PanicError{Value: p, Stack: debug.Stack()}
		}
		o.handled(ctx, d, err)
	}()
	err = h(ctx, d)
}
