package broker

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Categories of errors, matched with [errors.Is]. What a backend cannot do at
// all matches [errors.ErrUnsupported]. Contexts' errors
// ([context.DeadlineExceeded], [context.Canceled]) match as themselves.
var (
	// ErrClosed: the broker, subscription or connection is closed.
	ErrClosed = errors.New("closed")
	// ErrInvalid: bad input, found before anything was sent; see [FieldError].
	ErrInvalid = errors.New("invalid input")
	// ErrTooLarge: a size is over the destination's limit.
	ErrTooLarge = errors.New("too large")
	// ErrNotFound: the destination does not exist.
	ErrNotFound = errors.New("not found")
	// ErrNoResponders: nobody listens where the request was sent.
	ErrNoResponders = errors.New("no responders")
	// ErrLeaseLost: the lease ended before the message was settled, or the
	// message is settled already; somebody else may have it.
	ErrLeaseLost = errors.New("lease lost")
	// ErrThrottled: the backend asks to slow down.
	ErrThrottled = errors.New("throttled")
	// ErrDenied: credentials are missing, wrong or expired, or lack a
	// permission.
	ErrDenied = errors.New("access denied")
	// ErrUnavailable: the backend cannot be reached, or failed inside.
	ErrUnavailable = errors.New("unavailable")
	// ErrOutcomeUnknown: the operation may or may not have taken effect.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrSkipped: a batch item was not sent because of another one: an earlier
	// item of its key failed, and order would be lost; or some item was refused
	// as bad input or unsupported, and so nothing of the batch was sent. The
	// item itself may be fine; the error is as retryable as the failure that it
	// stands behind. Where calls of Publish share one call of the backend it
	// may be the error of a Publish too.
	ErrSkipped = errors.New("not sent because of another message of the batch")
	// ErrDropped: messages were discarded before a handler saw them.
	ErrDropped = errors.New("messages dropped")
	// ErrDraining is the cause with which a handler's context is cancelled
	// once the deadline of a drain has passed.
	ErrDraining = errors.New("drain deadline passed")
)

// Error is what a backend's failure looks like: errors.Is finds its category
// (Kind), errors.As the native error (Err).
type Error struct {
	Backend string // such as "sqs", "nats", "memory"
	Op      string // such as "publish", "receive"
	Subject string // the destination, as the caller named it
	Kind    error  // one of this package's categories, nil if none fits
	Err     error  // the native cause, nil if there is none
	// Retryable: the same call may succeed later.
	Retryable bool
	// OutcomeUnknown: the call may have taken effect. The error matches
	// [ErrOutcomeUnknown] as well.
	OutcomeUnknown bool
}

// Error says which backend, operation and destination failed, and why.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Backend + " " + e.Op)
	if e.Subject != "" {
		b.WriteString(" " + quote(e.Subject))
	}
	if e.Kind != nil {
		b.WriteString(": " + e.Kind.Error())
	}
	if e.OutcomeUnknown {
		b.WriteString(" (outcome unknown)")
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap gives the category and the cause.
func (e *Error) Unwrap() []error {
	errs := make([]error, 0, 3)
	if e.Kind != nil {
		errs = append(errs, e.Kind)
	}
	if e.OutcomeUnknown {
		errs = append(errs, ErrOutcomeUnknown)
	}
	if e.Err != nil {
		errs = append(errs, e.Err)
	}
	return errs
}

// FieldError is bad input, found before any I/O. It matches [ErrInvalid].
type FieldError struct {
	Field string // such as "Subject", "Header[trace-id]", "limit"
	Value string // what was given; Error truncates it; never a body
	Limit string // what is allowed
	// TooLarge: the value is over a size limit. The error matches
	// [ErrTooLarge] as well.
	TooLarge bool
}

// Error names the field, the value (at most 40 bytes of it) and the limit.
func (e *FieldError) Error() string {
	return fmt.Sprintf("invalid %s %s: %s", e.Field, quote(e.Value), e.Limit)
}

// Is matches ErrInvalid, and ErrTooLarge where a size is over its limit.
func (e *FieldError) Is(target error) bool {
	return target == ErrInvalid || e.TooLarge && target == ErrTooLarge
}

// quote shows at most 40 bytes of s, cut at a rune, and escapes what is not
// printable.
func quote(s string) string {
	const most = 40
	if len(s) <= most {
		return fmt.Sprintf("%q", s)
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return fmt.Sprintf("%q… (%d bytes)", s[:cut], len(s))
}

// UnsupportedError is what a destination or backend cannot do. It matches
// [errors.ErrUnsupported].
type UnsupportedError struct {
	Backend string // such as "sqs"
	What    string // what was asked for, such as "Delay of 20m0s"
	Why     string // the reason, with the limit and where it comes from
	Instead string // what to use instead, "" if there is nothing
}

// Error says which backend cannot do what, why, and what to use instead.
func (e *UnsupportedError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s does not support %s", e.Backend, e.What)
	if e.Why != "" {
		b.WriteString(": " + e.Why)
	}
	if e.Instead != "" {
		b.WriteString("; instead: " + e.Instead)
	}
	return b.String()
}

// Unwrap gives errors.ErrUnsupported.
func (e *UnsupportedError) Unwrap() error { return errors.ErrUnsupported }

// BatchError is a partial failure: Errs has one entry for each item of the
// call, nil where that item succeeded.
type BatchError struct {
	Errs []error
}

// NewBatchError returns a *BatchError if an entry of errs is not nil, else
// nil. It is for authors of backends.
func NewBatchError(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return &BatchError{Errs: errs}
		}
	}
	return nil
}

// Error counts the failures and shows the first.
func (e *BatchError) Error() string {
	failed := e.Unwrap()
	if len(failed) == 0 {
		return "batch: no item failed"
	}
	return fmt.Sprintf("%d of %d items failed, the first: %v", len(failed), len(e.Errs), failed[0])
}

// Unwrap gives the items' errors, so that errors.Is and errors.As search them
// all.
func (e *BatchError) Unwrap() []error {
	var failed []error
	for _, err := range e.Errs {
		if err != nil {
			failed = append(failed, err)
		}
	}
	return failed
}

// ItemError returns the error of item i of a batch call: its own entry of a
// [*BatchError], or err itself if the call failed as a whole or has no entry for
// the item.
func ItemError(err error, i int) error {
	if batch, ok := errors.AsType[*BatchError](err); ok {
		if i < len(batch.Errs) {
			return batch.Errs[i]
		}
	}
	return err
}

// ReplyError is an error that a responder sent as its reply. Return one from a
// [ReplyHandler] to send it.
type ReplyError struct {
	Code        string // such as "404"; "" is sent as "500"
	Description string // one line, for people
	Body        []byte // details, if any; never part of Error
}

// Error shows the code and the description.
func (e *ReplyError) Error() string {
	return fmt.Sprintf("responder answered with error %s: %s", e.Code, e.Description)
}

// PanicError is a handler's panic, as a failed delivery.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // the stack at that moment
}

// Error shows the panic's value; the stack is in the field.
func (e *PanicError) Error() string { return fmt.Sprintf("handler panicked: %v", e.Value) }

// Unwrap gives the panic's value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

var errGoexit = errors.New("handler ended its goroutine (runtime.Goexit)")

// RetryError is what [RetryAfter] makes. Middleware, tests and observers find
// it with [errors.AsType].
type RetryError struct {
	Delay time.Duration // until the message comes again
	Cause error
}

// Error shows the delay and the cause.
func (e *RetryError) Error() string { return fmt.Sprintf("retry after %v: %v", e.Delay, e.Cause) }

// Unwrap gives the cause.
func (e *RetryError) Unwrap() error { return e.Cause }

// RetryAfter is returned from a [Handler] to release the message so that it
// comes again after d instead of after the subscription's [Backoff]. A d below 0
// is 0. cause is what is reported; nil is fine.
func RetryAfter(d time.Duration, cause error) error {
	if cause == nil {
		cause = errors.New("asked for")
	}
	return &RetryError{Delay: max(d, 0), Cause: cause}
}

// RejectError is what [Reject] makes. Middleware, tests and observers find it
// with [errors.AsType].
type RejectError struct {
	Cause error
}

// Error shows the cause.
func (e *RejectError) Error() string { return fmt.Sprintf("rejected: %v", e.Cause) }

// Unwrap gives the cause.
func (e *RejectError) Unwrap() error { return e.Cause }

// Reject is returned from a [Handler] to send the message to the dead-letter
// queue at once: it can never succeed, so further attempts would be waste.
// Where there is no dead-letter queue, or no way to move a message there, it
// is released like after any other error, and [OnError] is told. cause is the
// reason; nil is fine.
func Reject(cause error) error {
	if cause == nil {
		cause = errors.New("no reason given")
	}
	return &RejectError{Cause: cause}
}
