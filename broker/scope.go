package broker

import (
	"context"
	"time"
)

// scope is a handler's context: the context it is derived from, plus its
// subscription and delivery.
type scope struct {
	context.Context
	sub      *Subscription
	delivery *Delivery // nil where all deliveries share one scope

	// Guarded by the subscription's mu:
	drains int32 // Drain calls in progress that were made from it
	left   bool  // its delivery is no longer in hand; never set where all share one
}

type scopeKey struct{}

// Value finds the scope itself, and the values of the caller's context.
func (c *scope) Value(key any) any {
	if key == (scopeKey{}) {
		return c
	}
	return c.Context.Value(key)
}

func scopeOf(ctx context.Context) *scope {
	c, _ := ctx.Value(scopeKey{}).(*scope)
	return c
}

// inside returns the handler of s that ctx is derived from, or nil.
func inside(ctx context.Context, s *Subscription) *scope {
	if c := scopeOf(ctx); c != nil && c.sub == s {
		return c
	}
	return nil
}

// Draining returns a channel that is closed when a drain of the handler's
// subscription begins, for a handler that waits for something and would delay
// the drain. ctx is the handler's context or one derived from it; for any other
// context the channel is nil, which is never ready.
func Draining(ctx context.Context) <-chan struct{} {
	if c := scopeOf(ctx); c != nil {
		return c.sub.draining
	}
	return nil
}

// LeaseEnd returns when the lease of the delivery being handled ends, as set by
// the latest heartbeat, and whether there is a lease. ctx is the handler's
// context or one derived from it.
func LeaseEnd(ctx context.Context) (time.Time, bool) {
	c := scopeOf(ctx)
	if c == nil || c.delivery == nil {
		return time.Time{}, false
	}
	end := leaseEnd(c.delivery)
	return end, !end.IsZero()
}

// leaseEnd asks the handle or, where that is not Leased, the delivery.
func leaseEnd(d *Delivery) time.Time {
	if l, ok := d.Handle.(Leased); ok {
		return l.LeaseEnd()
	}
	return d.LeaseEnd
}
