package broker

import (
	"context"
	"time"
)

// Receiver receives messages under a lease: each stays at the destination until
// it is deleted. In the words of other APIs, Delete is ack, Release is nack,
// Extend is in progress, and Reject is term or dead-letter. All methods may be
// called concurrently. Those that take deliveries take any number: a partial
// failure is a [*BatchError] whose Errs[i] belongs to the i-th delivery. A
// delivery from another broker is a [*FieldError]. Most services want
// Subscribe, which calls these methods for them.
//
// The settled state is kept with the delivery: deleting it again returns nil,
// and Extend, Release and Reject of a settled delivery return [ErrLeaseLost].
type Receiver interface {
	// Receive returns as soon as there is at least one message, with at most
	// limit messages, or with none and a nil error once [Wait] has passed. It
	// may return fewer than limit although more are available. The messages are
	// leased to the caller for [Lease], or for the destination's own duration.
	//
	// A message is never withheld because of its content: a body that the
	// backend cannot decode, such as one in a foreign encoding, is delivered as
	// it arrived. A message that arrived damaged is not delivered, and arrives
	// again after its lease; it is reported as an error alongside the intact
	// messages.
	//
	// If ctx ends, Receive returns the messages that have arrived by then and
	// no error, or ctx's error if there are none. A limit above what the
	// destination returns at a time (SQS: 10) is reduced to that; a limit below
	// 1 is a [*FieldError].
	Receive(ctx context.Context, queue string, limit int, opts ...ReceiveOption) ([]*Delivery, error)

	// Delete settles the messages: they are not delivered again, as far as the
	// destination guarantees that. A delete after the lease has ended is
	// reported as [ErrLeaseLost]; where it may still prevent a duplicate (SQS
	// Standard) it is sent nevertheless.
	Delete(ctx context.Context, ds ...*Delivery) error

	// Extend renews the leases so that they end lease from now; 0 means the
	// destination's own duration. [ErrLeaseLost] means that another receiver
	// may hold the message.
	Extend(ctx context.Context, lease time.Duration, ds ...*Delivery) error

	// Release returns the messages to the destination, to be delivered again
	// after delay (0: at once). The attempt counts. Where order is kept, pass
	// the latest message first.
	Release(ctx context.Context, delay time.Duration, ds ...*Delivery) error

	// Reject moves the messages to the dead-letter queue, without further
	// attempts. Without a dead-letter queue it returns an [*UnsupportedError],
	// and the messages stay leased.
	Reject(ctx context.Context, reason string, ds ...*Delivery) error
}
