package broker

import (
	"context"
	"time"
)

// scope is a handler's context: what it is derived from, plus the way to its
// subscription and delivery.
type scope struct {
	context.Context
	sub      *Subscription
	delivery *Delivery // nil where all deliveries share one scope

	// Guarded by the subscription's mu:
	drains int32 // Drain calls under way that were made inside
	left   bool  // it is out of hand; never set where all share one
}

type scopeKey struct{}

// Value finds the scope itself, and what the caller's context held.
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

// inside returns the handler of s that ctx comes from, nil if there is none.
func inside(ctx context.Context, s *Subscription) *scope {
	if c := scopeOf(ctx); c != nil && c.sub == s {
		return c
	}
	return nil
}

// Draining returns a channel that is closed when a drain of the handler's
// subscription begins, for a handler that waits for something and would hold
// the drain up. ctx is the handler's context or one made from it; for any
// other the channel is nil, which is never ready.
func Draining(ctx context.Context) <-chan struct{} {
	if c := scopeOf(ctx); c != nil {
		return c.sub.draining
	}
	return nil
}

// LeaseEnd returns when the lease of the delivery being handled ends, as the
// latest heartbeat left it, and whether there is one. ctx is the handler's
// context or one made from it.
func LeaseEnd(ctx context.Context) (time.Time, bool) {
	c := scopeOf(ctx)
	if c == nil || c.delivery == nil {
		return time.Time{}, false
	}
	end := leaseEnd(c.delivery)
	return end, !end.IsZero()
}

// leaseEnd asks the handle, and where that does not know, the delivery.
func leaseEnd(d *Delivery) time.Time {
	if l, ok := d.Handle.(Leased); ok {
		return l.LeaseEnd()
	}
	return d.LeaseEnd
}
