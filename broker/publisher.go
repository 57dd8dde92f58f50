package broker

import "context"

// Publisher sends messages. All methods may be called concurrently.
type Publisher interface {
	// Publish sends one message and returns what is known of it; see
	// [Outcome]. It blocks until the backend has given the confirmation that
	// it gives (none on core NATS, a stored message on SQS), or ctx ends.
	//
	// Bad input is a [*FieldError] (matching [ErrInvalid], and [ErrTooLarge]
	// for a size), and what the destination cannot honour is an
	// [*UnsupportedError]; both before the message is sent. An unknown
	// destination is [ErrNotFound] where the backend can tell. An error that
	// matches [ErrOutcomeUnknown] means that the message may have been stored
	// all the same; publishing it again may duplicate it.
	//
	// Publish does not retry beyond what the native client does.
	Publish(ctx context.Context, m Message) (Receipt, error)

	// PublishBatch sends the messages, which may have different subjects, and
	// returns a receipt for each, in the same order, also when it returns an
	// error. A failure of messages is a [*BatchError] whose Errs[i] belongs to
	// ms[i]. Every message is checked before the first is sent: if one is bad
	// input or unsupported, none is sent, and the errors of those that are fine
	// match [ErrSkipped]. Messages of one subject and key are stored in slice
	// order, and after a failure no later message of that subject and key is
	// sent: its error matches ErrSkipped too. An empty slice is a no-op. What
	// concerns the whole call, such as [ErrClosed], is no BatchError.
	PublishBatch(ctx context.Context, ms []Message) ([]Receipt, error)
}
