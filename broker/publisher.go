package broker

import "context"

// Publisher sends messages. All methods may be called concurrently.
type Publisher interface {
	// Publish sends one message and returns what is known about it; see
	// [Outcome]. It blocks until the backend has given its confirmation (none
	// on core NATS, a stored message on SQS) or ctx ends.
	//
	// Bad input is a [*FieldError] (matching [ErrInvalid], and [ErrTooLarge]
	// for a size), and a feature that the destination does not support is an
	// [*UnsupportedError]; both are returned before the message is sent. An
	// unknown destination is [ErrNotFound] where the backend can tell. If the
	// error matches [ErrOutcomeUnknown], the message may nevertheless have been
	// stored; publishing it again may create a duplicate.
	//
	// Publish does not retry beyond what the native client does.
	Publish(ctx context.Context, m Message) (Receipt, error)

	// PublishBatch sends the messages, which may have different subjects, and
	// returns a receipt for each, in the same order, even when it returns an
	// error. If messages fail, the error is a [*BatchError] whose Errs[i]
	// belongs to ms[i]. All messages are checked before the first is sent: if
	// any is bad input or unsupported, none is sent, and the errors of the
	// valid ones match [ErrSkipped]. Messages with the same subject and key are
	// stored in slice order, and after a failure no later message with that
	// subject and key is sent: its error matches ErrSkipped too. An empty slice
	// is a no-op. An error that concerns the whole call, such as [ErrClosed],
	// is not a BatchError.
	PublishBatch(ctx context.Context, ms []Message) ([]Receipt, error)
}
