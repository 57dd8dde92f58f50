package broker

import (
	"context"
	"time"
)

// Receiver is receive-delete: messages are leased, and gone only once deleted.
// All methods may be called concurrently, and all that take deliveries take
// many: a partial failure is a [*BatchError] whose Errs[i] belongs to the i-th
// delivery. A delivery that another broker made is a [*FieldError]. Most
// services want Subscribe, which calls these methods for them.
//
// Settled state is kept with the delivery: deleting it again is nil, and
// Extend, Release and Reject of what has been settled are [ErrLeaseLost].
type Receiver interface {
	// Receive returns at least one message as soon as one is there and at most
	// limit, or none and a nil error once [Wait] has passed. Fewer than limit may
	// come although more are there. The messages are leased to the caller for
	// [Lease], or the destination's own duration.
	//
	// Content is never a reason to keep a message back: what the backend cannot
	// decode, such as a foreign encoding of the body, it delivers as it came. One
	// that arrived damaged is not delivered, and comes again after its lease.
	// That is an error beside the messages that are fine.
	//
	// If ctx ends, what has arrived by then is returned without an error,
	// otherwise ctx's error. A limit above what the destination gives at a time
	// is served by as many (SQS: 10); a limit below 1 is a [*FieldError].
	Receive(ctx context.Context, queue string, limit int, opts ...ReceiveOption) ([]*Delivery, error)

	// Delete settles: the messages are not delivered again, as far as the
	// destination promises that. A delete after the lease has ended is
	// reported as [ErrLeaseLost]; where it may still spare a duplicate (SQS
	// Standard) it is sent all the same.
	Delete(ctx context.Context, ds ...*Delivery) error

	// Extend renews the leases so that they end lease from now; 0 is the
	// destination's own duration. [ErrLeaseLost] means that the message may be
	// with somebody else.
	Extend(ctx context.Context, lease time.Duration, ds ...*Delivery) error

	// Release gives the messages back, to be delivered again after delay (0:
	// at once). The attempt counts. Where order is kept, pass the latest
	// message first.
	Release(ctx context.Context, delay time.Duration, ds ...*Delivery) error

	// Reject puts the messages to rest, in the dead-letter queue, without
	// further attempts. Without a dead-letter queue it is an
	// [*UnsupportedError], and the messages stay leased.
	Reject(ctx context.Context, reason string, ds ...*Delivery) error
}
