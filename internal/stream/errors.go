package stream

import (
	"errors"
	"fmt"
)

// Errors of operations.
var (
	ErrClosed     = errors.New("the engine is closed")
	ErrExists     = errors.New("the name already exists")
	ErrOverlap    = errors.New("a subject belongs to another stream")
	ErrNoStream   = errors.New("no such stream")
	ErrNoConsumer = errors.New("no such consumer")
	// ErrNotCaptured: no stream captures the subject.
	ErrNotCaptured = errors.New("no stream captures the subject")
	// ErrStale: the delivery is no longer the message's latest one, or its
	// lease has ended.
	ErrStale = errors.New("the lease has ended")
	// ErrTooLarge: above the stream's MaxMsgSize.
	ErrTooLarge = errors.New("message size exceeds maximum allowed")
	// ErrHeaderTooLarge: above the stream's MaxHeaderSize.
	ErrHeaderTooLarge = errors.New("header size exceeds maximum allowed")
	// ErrNoTTL: the stream does not allow messages with a TTL.
	ErrNoTTL = errors.New("per-message TTL is disabled")
	// ErrNoRollup: the stream does not allow messages with a Rollup.
	ErrNoRollup = errors.New("rollup not permitted")
	// ErrLateRollup: in a batch, after a message that the Rollup would remove.
	ErrLateRollup = errors.New("batch rollup invalid")
	// ErrNoAtomic: the stream does not allow atomic batches.
	ErrNoAtomic = errors.New("atomic publish is disabled")
	// ErrDuplicate: the id of one message of a batch is known, or occurs twice
	// in it.
	ErrDuplicate = errors.New("batch contains a duplicate message id")
	// ErrFull: the stream accepts no more messages.
	ErrFull = errors.New("the stream is full")
)

// FullError says which limit is reached; it matches [ErrFull].
type FullError struct{ Limit string }

func (e *FullError) Error() string { return "maximum " + e.Limit + " exceeded" }

// Unwrap returns ErrFull.
func (e *FullError) Unwrap() error { return ErrFull }

// ExpectationError reports an expectation of a publish that did not hold.
type ExpectationError struct {
	What string // such as "last sequence"
	Has  string
}

func (e *ExpectationError) Error() string { return fmt.Sprintf("wrong %s: %s", e.What, e.Has) }
