package broker

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Categories of errors, matched with [errors.Is]. An operation that a backend
// does not support matches [errors.ErrUnsupported]. The errors of contexts
// ([context.DeadlineExceeded], [context.Canceled]) match as themselves.
var (
	// ErrClosed: the broker, subscription or connection is closed.
	ErrClosed = errors.New("closed")
	// ErrInvalid: bad input, detected before anything was sent; see
	// [FieldError].
	ErrInvalid = errors.New("invalid input")
	// ErrTooLarge: a size exceeds the destination's limit.
	ErrTooLarge = errors.New("too large")
	// ErrNotFound: the destination does not exist.
	ErrNotFound = errors.New("not found")
	// ErrNoResponders: the request had no listener.
	ErrNoResponders = errors.New("no responders")
	// ErrLeaseLost: the lease ended before the message was settled, or the
	// message is already settled; another receiver may hold it.
	ErrLeaseLost = errors.New("lease lost")
	// ErrThrottled: the backend asked the client to slow down.
	ErrThrottled = errors.New("throttled")
	// ErrDenied: credentials are missing, wrong or expired, or lack a
	// permission.
	ErrDenied = errors.New("access denied")
	// ErrUnavailable: the backend cannot be reached, or failed internally.
	ErrUnavailable = errors.New("unavailable")
	// ErrOutcomeUnknown: the operation may or may not have taken effect.
	ErrOutcomeUnknown = errors.New("outcome unknown")
	// ErrSkipped: a batch item was not sent because of another item. Either an
	// earlier item with its key failed, and sending it would break the order;
	// or some item was bad input or unsupported, and so none was sent. The item
	// itself may be valid; the error is as retryable as the failure that caused
	// it. Where calls of Publish share one call of the backend, Publish may
	// return it too.
	ErrSkipped = errors.New("not sent because of another message of the batch")
	// ErrDropped: messages were discarded before a handler received them.
	ErrDropped = errors.New("messages dropped")
	// ErrDraining is the cause with which a handler's context is cancelled once
	// a drain's deadline has passed.
	ErrDraining = errors.New("drain deadline passed")
)

// Error is a backend's failure. [errors.Is] finds its category (Kind),
// [errors.As] the native error (Err).
type Error struct {
	Backend string // such as "sqs", "nats", "memory"
	Op      string // such as "publish", "receive"
	Subject string // the destination, as named by the caller
	Kind    error  // one of this package's categories, nil if none fits
	Err     error  // the native cause, nil if there is none
	// Retryable: the same call may succeed later.
	Retryable bool
	// OutcomeUnknown: the call may have taken effect. The error matches
	// [ErrOutcomeUnknown] as well.
	OutcomeUnknown bool
}

// Error names the backend, operation and destination that failed, and the
// reason.
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

// Unwrap returns the category and the cause.
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

// FieldError is bad input, detected before any I/O. It matches [ErrInvalid].
type FieldError struct {
	Field string // such as "Subject", "Header[trace-id]", "limit"
	Value string // the given value; Error truncates it; never a body
	Limit string // what is allowed, to follow "want": "1s to 12h", "a function"
	// TooLarge: the value exceeds a size limit. The error matches [ErrTooLarge]
	// as well.
	TooLarge bool
}

// Error shows the field, the value (at most 40 bytes of it) and the limit.
func (e *FieldError) Error() string {
	return fmt.Sprintf("invalid %s %s: want %s", e.Field, quote(e.Value), e.Limit)
}

// Is matches ErrInvalid, and ErrTooLarge where a size exceeds its limit.
func (e *FieldError) Is(target error) bool {
	return target == ErrInvalid || e.TooLarge && target == ErrTooLarge
}

// quote shows at most 40 bytes of s, cut at a rune boundary, and escapes
// characters that are not printable.
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

// UnsupportedError is an operation that a destination or backend does not
// support. It matches [errors.ErrUnsupported].
type UnsupportedError struct {
	Backend string // such as "sqs"
	What    string // the requested feature, such as "Delay of 20m0s"
	Why     string // the reason, with the limit and its source
	Instead string // the alternative, "" if there is none
}

// Error names the backend, the requested feature, the reason and the
// alternative.
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

// Unwrap returns errors.ErrUnsupported.
func (e *UnsupportedError) Unwrap() error { return errors.ErrUnsupported }

// BatchError is a partial failure: Errs has one entry for each item of the
// call, nil where that item succeeded.
type BatchError struct {
	Errs []error
}

// NewBatchError returns a *BatchError if any entry of errs is not nil, and nil
// otherwise. It is for authors of backends.
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

// Unwrap returns the items' errors, so that errors.Is and errors.As search them
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

// ItemError returns the error of item i of a batch call: its entry in a
// [*BatchError], or err itself if the call failed as a whole or has no entry
// for the item.
func ItemError(err error, i int) error {
	if batch, ok := errors.AsType[*BatchError](err); ok {
		if i < len(batch.Errs) {
			return batch.Errs[i]
		}
	}
	return err
}

// ReplyError is an error that a responder sent as its reply. A [ReplyHandler]
// returns one to send it.
type ReplyError struct {
	Code        string // such as "404"; "" is sent as "500"
	Description string // one line, for humans
	Body        []byte // details, if any; never part of Error
}

// Error shows the code and the description.
func (e *ReplyError) Error() string {
	return fmt.Sprintf("responder answered with error %s: %s", e.Code, e.Description)
}

// PanicError reports a handler's panic as a failed delivery.
type PanicError struct {
	Value any    // the argument of panic
	Stack []byte // the stack at the time of the panic
}

// Error shows the panic's value; the stack is in the field.
func (e *PanicError) Error() string { return fmt.Sprintf("handler panicked: %v", e.Value) }

// Unwrap returns the panic's value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

var errGoexit = errors.New("handler ended its goroutine (runtime.Goexit)")

// RetryError is the error that [RetryAfter] returns. Middleware, tests and
// observers find it with [errors.AsType].
type RetryError struct {
	Delay time.Duration // until the message is delivered again
	Cause error         // may be nil
}

// Error shows the delay and the cause, if there is one.
func (e *RetryError) Error() string {
	if e.Cause == nil {
		return fmt.Sprintf("retry after %v", e.Delay)
	}
	return fmt.Sprintf("retry after %v: %v", e.Delay, e.Cause)
}

// Unwrap returns the cause.
func (e *RetryError) Unwrap() error { return e.Cause }

// RetryAfter returns an error for a [Handler] to return: the message is
// released and delivered again after d instead of after the subscription's
// [Backoff]. A negative d is taken as 0. cause is the reported reason and may
// be nil.
func RetryAfter(d time.Duration, cause error) error {
	return &RetryError{Delay: max(d, 0), Cause: cause}
}

// RejectError is the error that [Reject] returns. Middleware, tests and
// observers find it with [errors.AsType].
type RejectError struct {
	Cause error
}

// Error shows the cause.
func (e *RejectError) Error() string { return fmt.Sprintf("rejected: %v", e.Cause) }

// Unwrap returns the cause.
func (e *RejectError) Unwrap() error { return e.Cause }

// Reject returns an error for a [Handler] to return: the message can never
// succeed, and is moved to the dead-letter queue at once, without further
// attempts. Where there is no dead-letter queue, or no way to move a message
// there, the message is released as after any other error, and this is reported
// to [OnError]. cause is the reason and may be nil.
func Reject(cause error) error {
	if cause == nil {
		cause = errors.New("no reason given")
	}
	return &RejectError{Cause: cause}
}
