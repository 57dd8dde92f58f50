package broker

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Middleware adds behaviour to a handler. Nest them like any functions; the
// outermost runs first:
//
//	h = broker.Log(logger)(broker.LeaseTimeout(0.9)(h))
//
// A Middleware must return the handler's error (or one that wraps it), since
// that decides how the message is settled, and must let panics pass.
type Middleware func(Handler) Handler

// Log logs each delivery after its handler has returned, with the time it took:
// at level Info, or at Warn with the error. Bodies and header values are never
// logged. Log does not log panics: the subscription's [Logger] does. A failed
// delivery is logged by both. Use Log if each success is to be logged, too.
func Log(l *slog.Logger) Middleware {
	return func(next Handler) Handler {
		return func(ctx context.Context, d *Delivery) error {
			began := time.Now()
			err := next(ctx, d)
			attrs := []slog.Attr{slog.Any("delivery", d), slog.Duration("took", time.Since(began))}
			if err == nil {
				l.LogAttrs(ctx, slog.LevelInfo, "handled", attrs...)
			} else {
				l.LogAttrs(ctx, slog.LevelWarn, "handler failed", append(attrs, slog.Any("error", err))...)
			}
			return err
		}
	}
}

// LeaseTimeout gives the handler's context a deadline: the given share of what
// is left of the lease when the handler starts. It bounds a handler that
// heartbeats would otherwise keep alive for as long as it runs. Without a lease
// it does nothing.
//
// The share must be above 0 and at most 1; otherwise LeaseTimeout panics, as
// time.NewTicker does: every handler would start with a deadline that has
// passed, or with one beyond the end of the lease.
func LeaseTimeout(share float64) Middleware {
	if !(share > 0) || share > 1 { // NaN is not above 0
		panic(fmt.Sprintf("broker.LeaseTimeout: share is %v, want above 0 and at most 1", share))
	}
	return func(next Handler) Handler {
		return func(ctx context.Context, d *Delivery) error {
			end, leased := LeaseEnd(ctx)
			if !leased {
				return next(ctx, d)
			}
			left := time.Duration(float64(time.Until(end)) * share)
			ctx, cancel := context.WithTimeout(ctx, left)
			defer cancel()
			return next(ctx, d)
		}
	}
}
