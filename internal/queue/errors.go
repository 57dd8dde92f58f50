package queue

import "errors"

// Errors of operations; compare with errors.Is. Receive also returns the error
// of its context.
var (
	// ErrNoQueue: there is no queue of that name, or it was dropped in the
	// meantime.
	ErrNoQueue = errors.New("queue: no such queue")
	// ErrExists: a queue of that name exists.
	ErrExists = errors.New("queue: the queue exists")
	// ErrFixed: Update changed Config.FIFO; the kind of a queue is fixed.
	ErrFixed = errors.New("queue: the kind of a queue cannot be changed")
	// ErrClosed: the engine is closed.
	ErrClosed = errors.New("queue: closed")
	// ErrExpired: the receipt is no longer valid for this: its lease has run
	// out, or the message was received again since.
	ErrExpired = errors.New("queue: the receipt has expired")
	// ErrGone: the message is no longer in the queue: deleted, moved, purged or
	// past its retention.
	ErrGone = errors.New("queue: the message is gone")
	// ErrTooLong: the lease would end later than Config.MaxLease after the
	// receive.
	ErrTooLong = errors.New("queue: the lease exceeds the maximum since the receive")
	// ErrNoDeadLetter: the queue names no dead-letter queue, or there is no
	// queue of that name.
	ErrNoDeadLetter = errors.New("queue: no dead-letter queue")
	// ErrOverLimit: Config.MaxInFlight messages of a Standard queue are in
	// flight, and the receive was not to wait.
	ErrOverLimit = errors.New("queue: too many messages in flight")
)
