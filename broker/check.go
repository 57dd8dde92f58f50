package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Usage describes how the caller uses a destination; Check trusts it. The zero
// Usage is a service that publishes to the destination and receives from it
// with [Consume], one message at a time, and that cannot cope with lost or
// repeated messages.
//
// Fields are named so that the zero value is the common case, or the one that
// hides nothing: Consume renews leases by default, hence NoHeartbeat;
// idempotence must be claimed, hence Idempotent. Later versions may add fields.
// No duration or count may be negative.
type Usage struct {
	// What the caller does with the destination. Findings that do not concern
	// it are omitted. If all four are false, the caller is assumed to publish
	// and to receive, as far as the destination offers that, so that the zero
	// Usage is checked too.
	Publishes, Receives, Requests, Responds bool

	// WorstHandler is the longest that handling a message may take.
	WorstHandler time.Duration
	// NoHeartbeat: leases are not renewed while a message is handled, as with a
	// bare [Receiver]. Consume renews them.
	NoHeartbeat bool
	// Concurrency is the number of handlers that run at once; 0 is 1.
	Concurrency int
	// Wait is the option passed to Receive; nil if there is none, so that the
	// destination's own applies. new(Wait(0)) is a short poll.
	Wait *Wait

	// Idempotent: handling a message a second time does no harm.
	Idempotent bool
	// LossOK: a message that is lost does no harm.
	LossOK bool
	// DeadLetterAlarm: an alarm is raised when a message arrives in the
	// dead-letter destination. No backend can see that.
	DeadLetterAlarm bool

	// SetsID: every published message has a [Message.DedupID].
	SetsID bool
	// PublishRetryFor is how long the caller keeps retrying to publish a
	// message; 0: it does not retry.
	PublishRetryFor time.Duration
	// RequestTimeout is the deadline that the caller sets on its requests; 0:
	// none.
	RequestTimeout time.Duration

	// MaxOutage is the longest that all receivers may be away without a loss;
	// 0: not stated.
	MaxOutage time.Duration
	// MaxAge is how old a message may become before it is settled. 0: half of
	// the destination's retention.
	MaxAge time.Duration
}

func (u Usage) validate() error {
	var errs []error
	negative := func(field string, below bool, value any) {
		if below {
			errs = append(errs, &FieldError{Field: "Usage." + field, Value: fmt.Sprint(value), Limit: "at least 0"})
		}
	}
	negative("WorstHandler", u.WorstHandler < 0, u.WorstHandler)
	negative("Concurrency", u.Concurrency < 0, u.Concurrency)
	negative("PublishRetryFor", u.PublishRetryFor < 0, u.PublishRetryFor)
	negative("RequestTimeout", u.RequestTimeout < 0, u.RequestTimeout)
	negative("MaxOutage", u.MaxOutage < 0, u.MaxOutage)
	negative("MaxAge", u.MaxAge < 0, u.MaxAge)
	if u.Wait != nil {
		if bad, ok := errors.AsType[*FieldError](u.Wait.Check()); ok {
			bad.Field = "Usage.Wait"
			errs = append(errs, bad)
		}
	}
	return errors.Join(errs...)
}

// Check compares what a destination guarantees, and its current condition, with how
// the caller uses it, and reports problems with cause and remedy. It reads
// the destination anew with one Describe and, where d has the roles
// [HealthReporter] and [Inspector] (found as [As] finds them), one Health and
// one Inspect; it changes nothing and never looks at a queue's messages. It may
// be called concurrently.
//
// No findings means that there is nothing to report. Unknown facts are never
// ignored: where a known value could be an error, not knowing it is a warning with
// the reason; where it could be a warning, it is information. A missing permission,
// or a d without the role HealthReporter, makes facts unknown. Other errors of
// Describe, Health and Inspect are returned unchanged; bad input is a [*FieldError]
// before any I/O.
//
// [Require] stops a service that cannot work; Check is for its log, a probe, or an
// operator's command. The codes are stable; a later version may add some. Backends
// document their own codes.
//
// Receiving:
//
//	lease-too-short      error    a handler may take longer than its message is leased, or can be
//	lease-too-long       warning  a crash hides messages for more than ten times the worst handler
//	not-idempotent       error    messages may be delivered twice
//	lossy                error    messages are delivered once or lost
//	ack-none             error    messages wait for the receiver, and are gone with their delivery
//	unlimited-deliver    error    a message that always fails is tried forever
//	attempts-odd         warning  1 attempt, or more than 100
//	short-poll           warning  receives return at once (info if by the destination's own setting)
//	serialised           warning  fewer messages may be in flight than handlers run
//	slow-consumer        error    messages were dropped because handlers are too slow
//	backlog-old          error    the oldest message is older than it should become
//
// Dead letters:
//
//	no-dead-letter       error    a message that always fails has nowhere to go
//	stranded             error    such a message stays, is never delivered again, and is not reported
//	dlq-missing          error    the dead-letter destination does not exist
//	dlq-retention        error    dead letters may disappear as soon as they are moved
//	dlq-not-empty        error    there are dead letters
//	dlq-old              error    the oldest dead letter has used up half of its retention
//	no-alarm-visible     info     whether an alarm is set cannot be seen
//
// Publishing:
//
//	persistence-cliff    error    nothing stores published messages
//	unread-discarded     error    stored messages are discarded, since there is no reader
//	fifo-no-id           error    messages without a deduplication id are refused
//	retry-past-window    warning  a late retry is stored a second time
//
// Request-reply:
//
//	request-deadline     info     the default deadline applies
//	request-on-stream    error    requests do not work here; a stream may answer in the responder's place
//	no-responder         warning  there is currently no listener
//
// Storage and general:
//
//	not-offered          error    the destination cannot be published to, or received from
//	drops-unprocessed    error    messages may disappear before they are handled
//	volatile             warning  confirmed messages do not survive a restart or crash
//	single-replica       warning  there is one copy
//	plaintext            warning  the connection is not encrypted
//	unencrypted          warning  stored messages are not encrypted
//	just-changed         info     the configuration changed less than a minute ago
//
// Further codes are in the documentation of the backends' Inspect methods.
func Check(ctx context.Context, d Describer, destination string, u Usage) (Findings, error) {
	err := u.validate()
	if d == nil {
		err = errors.Join(err, &FieldError{Field: "Describer", Value: "nil", Limit: "a backend"})
	}
	if err != nil {
		return nil, err
	}
	s, err := d.Describe(ctx, destination)
	if err != nil {
		return nil, err
	}
	h, err := readHealth(ctx, d, destination)
	if err != nil {
		return nil, err
	}
	own, err := inspectOwn(ctx, d, destination)
	if err != nil {
		return nil, err
	}
	return worstFirst(append(inspect(destination, s, h, u), own...)), nil
}

// role finds an optional role of d, as [As] does: d is a backend, or wraps one.
func role[T any](d Describer) (T, bool) {
	if b, isBroker := d.(Broker); isBroker {
		found, err := As[T](b)
		return found, err == nil
	}
	found, ok := d.(T)
	return found, ok
}

// inspectOwn asks d for its own findings, if it makes any.
func inspectOwn(ctx context.Context, d Describer, destination string) (Findings, error) {
	inspector, ok := role[Inspector](d)
	if !ok {
		return nil, nil
	}
	found, err := inspector.Inspect(ctx, destination)
	if errors.Is(err, errors.ErrUnsupported) { // a wrapper of a backend without the role
		return nil, nil
	}
	return found, err
}

func worstFirst(found Findings) Findings {
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(b.Severity, a.Severity) })
	return found
}

// readHealth asks d for Health; if d cannot or may not report it, all facts are
// unknown.
func readHealth(ctx context.Context, d Describer, destination string) (Health, error) {
	reporter, ok := role[HealthReporter](d)
	if !ok {
		return unknownHealth(destination, "the backend does not report it"), nil
	}
	h, err := reporter.Health(ctx, destination)
	if errors.Is(err, ErrDenied) || errors.Is(err, errors.ErrUnsupported) {
		return unknownHealth(destination, err.Error()), nil
	}
	return h, err
}

// inspect applies every rule that concerns the use.
func inspect(destination string, s Semantics, h Health, u Usage) Findings {
	if !u.Publishes && !u.Receives && !u.Requests && !u.Responds {
		u.Publishes = !isZero(s.Publish.Offered)
		u.Receives = !isZero(s.Receive.Offered)
	}
	c := inspection{s: s, h: h, u: u}
	var found Findings
	for _, r := range rules {
		if r.bears != nil && !r.bears(c) {
			continue
		}
		v := r.judge(c)
		if v.cause == "" {
			continue
		}
		found = append(found, Finding{
			Code: r.code, Severity: v.severity(r), Destination: destination, Cause: v.cause, Remedy: r.remedy,
		})
	}
	return found
}
