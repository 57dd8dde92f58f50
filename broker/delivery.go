package broker

import (
	"context"
	"log/slog"
	"time"
)

// Delivery is one message as it was received, once. A handler may read it and
// may keep Body and Header for as long as it likes; it must not change them,
// since a broker that fans out may hand the same bytes to several handlers.
//
// Every field is exported so that a test can write one as a literal. The zero
// Handle works with every [Handler] that does not settle by itself.
type Delivery struct {
	// Message is what was published, as far as the backend carries it. Subject
	// is the address it was published to, where the backend tells.
	Message
	// ID is the backend's id of the message; a redelivery has the same one.
	// "" where the backend gives none (core NATS).
	ID string
	// Source is the destination that this was received from, in the backend's
	// native form: a subject, a queue name, "stream/consumer".
	Source string
	// Sequence is the message's position, where the destination counts.
	Sequence Sequence
	// Attempt counts the deliveries of this message, this one included; 0
	// where the backend does not count. On SQS it is approximate.
	Attempt int
	// Time is when the destination took the message in; zero if it is not
	// told.
	Time time.Time
	// LeaseEnd is when this delivery's lease (visibility timeout, ack wait)
	// ends, as of receipt; zero without a lease. It is counted from when the
	// delivery came, by the clock of this process: the server's ends earlier,
	// by the time that the delivery took. Inside a handler, [LeaseEnd] tells
	// the current one, which heartbeats move.
	LeaseEnd time.Time
	// Handle is the backend's way back to the message.
	Handle Handle
}

// Handle ties a [Delivery] to the backend that made it. Backends implement it;
// users reach it through [Delivery.As]. A Handle of a leased backend also has
// the method LeaseEnd (see [Leased]).
type Handle interface {
	// As sets *target to the native message and returns true if target is a
	// pointer of a type that the backend documents. It returns false for
	// anything else, nil included.
	As(target any) bool
}

// Leased is implemented by the [Handle] of a leased delivery. LeaseEnd returns
// when the lease ends now, as the last receive or Extend left it; zero if there
// is none. Without it there is no heartbeat, since nobody knows when a renewed
// lease would end: the handler is cancelled as Delivery.LeaseEnd comes near. It
// may be called concurrently, and often: it must not block.
type Leased interface {
	LeaseEnd() time.Time
}

// As gives access to the backend's native message, for what this package does
// not model: several values of one header, foreign attributes. It reports
// whether it could set target.
func (d *Delivery) As(target any) bool {
	return target != nil && d.Handle != nil && d.Handle.As(target)
}

// LogValue makes a Delivery safe to log: ids, subject, attempt and size, never
// the body and never a header's value.
func (d *Delivery) LogValue() slog.Value {
	attrs := d.Message.LogValue().Group()
	if d.ID != "" {
		attrs = append(attrs, slog.String("id", d.ID))
	}
	if d.Source != "" && d.Source != d.Subject {
		attrs = append(attrs, slog.String("source", d.Source))
	}
	if d.Attempt != 0 {
		attrs = append(attrs, slog.Int("attempt", d.Attempt))
	}
	return slog.GroupValue(attrs...)
}

// Handler processes one delivery. What it returns decides what becomes of the
// message on a backend that settles:
//
//   - nil: the message is deleted.
//   - an error: the message is released, and comes again after the
//     subscription's [Backoff]; once the destination's attempts are used up it
//     goes to the dead-letter queue.
//   - an error wrapping [RetryAfter]: the message is released, and comes again
//     after that delay.
//   - an error wrapping [Reject]: the message goes to rest at once (the
//     dead-letter queue), without further attempts. A body that cannot be
//     decoded is the case for it: the handler decodes, and it alone knows how.
//   - a panic, or [runtime.Goexit]: counts as an error, with its stack.
//
// On a backend without settling (core NATS) the message is gone either way:
// the error goes to the subscription's [OnError] hook, its counters and its
// logger.
//
// The context carries the values of the context given to Subscribe. It is
// cancelled, with [context.Cause] telling why, when the lease is lost
// ([ErrLeaseLost]) or when a drain's deadline has passed ([ErrDraining]); it
// is not cancelled when a drain begins: see [Draining]. A handler must return
// soon after its context is cancelled.
//
// Handlers of one subscription run one at a time unless [Concurrency] allows
// more. Delivery is at least once wherever it is not at most once, so a
// handler must be idempotent. One goroutine may run many handlers in turn: what
// a handler changes of it (profiler labels, a locked thread) it changes back.
type Handler func(ctx context.Context, d *Delivery) error

// ReplyHandler answers one request. The Message it returns is sent to the
// requester (its Subject is ignored), so that a reply cannot be forgotten.
// Returning a [*ReplyError] sends that error to the requester; any other error
// or a panic sends a ReplyError with code "500" and no detail, because an
// error's text may hold what a stranger should not read, and goes to the
// subscription's [OnError] hook.
type ReplyHandler func(ctx context.Context, d *Delivery) (Message, error)
