package broker

import (
	"context"
	"log/slog"
	"time"
)

// Delivery is one receipt of a message. A handler may read it and may keep Body
// and Header for as long as it likes; it must not modify them, since a broker
// that fans out may pass the same bytes to several handlers.
//
// Every field is exported so that a test can write a Delivery as a literal. The
// zero Handle works with every [Handler] that does not settle messages itself.
type Delivery struct {
	// Message is the published message, as far as the backend carries it. On
	// NATS, Subject is the native subject under which the server delivers it
	// (mappings and transforms may have changed the publisher's); one
	// subscription or consumer may receive many. SQS does not record one:
	// there it is the name that the receiver used for the queue.
	Message
	// ID is the backend's id of the message, the same for every redelivery. It
	// is "" where the backend has none (core NATS).
	ID string
	// Source is the destination that the message was received from, in the
	// backend's native form: a subject, a queue name, "stream/consumer".
	Source string
	// Sequence is the message's position, where the destination numbers
	// messages.
	Sequence Sequence
	// Attempt counts the deliveries of this message, including this one; 0
	// where the backend does not count. On SQS it is approximate.
	Attempt int
	// Time is when the destination accepted the message; zero if it is not
	// known.
	Time time.Time
	// LeaseEnd is when this delivery's lease (visibility timeout, ack wait)
	// ends, as of receipt; zero without a lease. It is counted from receipt, by
	// the clock of this process: on the server the lease ends earlier, by the
	// time that the delivery took. Inside a handler, [LeaseEnd] returns the
	// current value, which heartbeats move.
	LeaseEnd time.Time
	// Handle refers to the message at the backend.
	Handle Handle
}

// Handle ties a [Delivery] to the backend that created it. Backends implement
// it; users reach it through [Delivery.As]. The Handle of a leased backend also
// has the method LeaseEnd (see [Leased]).
type Handle interface {
	// As sets *target to the native message and returns true if target is a
	// pointer of a type that the backend documents. It returns false for
	// anything else, including nil.
	As(target any) bool
}

// Leased is implemented by the [Handle] of a leased delivery. LeaseEnd returns
// when the lease currently ends, as set by the last receive or Extend; zero if
// there is none. Without this method there is no heartbeat, since the end of a
// renewed lease would be unknown: the handler is cancelled shortly before
// Delivery.LeaseEnd. LeaseEnd may be called concurrently and often: it must not
// block.
type Leased interface {
	LeaseEnd() time.Time
}

// As gives access to the backend's native message, for details that this
// package does not model: several values of one header, foreign attributes. It
// reports whether it could set target.
func (d *Delivery) As(target any) bool {
	return target != nil && d.Handle != nil && d.Handle.As(target)
}

// LogValue makes a Delivery safe to log: it shows ids, subject, attempt and
// size, never the body or a header value.
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

// Handler processes one delivery. Its result decides how the message is
// settled, on a backend that settles:
//
//   - nil: the message is deleted.
//   - an error: the message is released, and delivered again after the
//     subscription's [Backoff]; once the destination's attempts are used up it
//     is moved to the dead-letter queue.
//   - an error wrapping [RetryAfter]: the message is released, and delivered
//     again after that delay.
//   - an error wrapping [Reject]: the message is moved to the dead-letter queue
//     at once. This is the result for a body that the handler cannot decode.
//   - a panic, or [runtime.Goexit]: counts as an error, with its stack.
//
// On a backend without settling (core NATS) the message is gone in any case:
// the error is reported to the subscription's [OnError] hook, its counters and
// its logger.
//
// The context carries the values of the context given to Subscribe. It is
// cancelled when the lease is lost or when a drain's deadline has passed;
// [context.Cause] then returns [ErrLeaseLost] or [ErrDraining]. It is not
// cancelled when a drain begins: see [Draining]. A handler must return soon
// after its context is cancelled.
//
// Handlers of one subscription run one at a time unless [Concurrency] allows
// more. Except on at-most-once backends a message may be delivered again, so
// handlers must be idempotent. One goroutine may run many handlers in turn: a
// handler must undo any change it makes to the goroutine (profiler labels, a
// locked thread).
type Handler func(ctx context.Context, d *Delivery) error

// ReplyHandler handles one request. The Message it returns is sent to the
// requester (its Subject is ignored), so a reply cannot be forgotten. Returning
// a [*ReplyError] sends that error to the requester; any other error or a panic
// sends a ReplyError with code "500" and no detail, because an error's text may
// contain information not meant for the requester, and is reported to the
// subscription's [OnError] hook.
type ReplyHandler func(ctx context.Context, d *Delivery) (Message, error)
