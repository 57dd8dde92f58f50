package broker

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"
)

// SubscribeOption configures one call of Subscribe, Respond or [Consume].
// Options are plain values; a backend may define more. An option that a backend
// does not know is an [*UnsupportedError]; it is never ignored.
type SubscribeOption interface {
	// SubscribeOption marks the type.
	SubscribeOption()
}

// ReceiveOption configures one call of Receive.
type ReceiveOption interface {
	// ReceiveOption marks the type.
	ReceiveOption()
}

// Group names the competing consumers that share the messages of a subject: a
// NATS queue group, or the single group of an SQS queue. Without it, every
// subscription gets every message.
type Group string

// Concurrency is the number of handlers that may run at once; the default is 1.
// Above 1, messages without a [Message.Key] are handled in no particular order.
type Concurrency int

// Lease is how long received messages are leased, overriding the destination's
// own visibility timeout, as in broker.Lease(30*time.Second). With [Consume] a
// heartbeat renews leases for the same duration. A Lease below a millisecond is
// a [*FieldError]: broker.Lease(30) would be 30 ns.
type Lease time.Duration

// Wait is how long Receive waits for a first message, as in
// broker.Wait(20*time.Second); 0 returns at once (a short poll). A backend
// whose destination has a limit (SQS: 20 s) refuses more. A Wait above 0 and
// below a millisecond is a [*FieldError]: broker.Wait(20) would be 20 ns.
type Wait time.Duration

// Check returns a [*FieldError] for a lease that is not above 0, or so short
// that its unit must have been forgotten. Backends call it before any I/O.
func (l Lease) Check() error {
	if l <= 0 {
		return &FieldError{Field: "Lease", Value: time.Duration(l).String(), Limit: "above 0"}
	}
	return unitForgotten("Lease", time.Duration(l), "broker.Lease(30*time.Second)")
}

// Check returns a [*FieldError] for a wait below 0, or so short that its unit
// must have been forgotten. Backends call it before any I/O.
func (w Wait) Check() error {
	if w < 0 {
		return &FieldError{Field: "Wait", Value: time.Duration(w).String(), Limit: "0 or above"}
	}
	return unitForgotten("Wait", time.Duration(w), "broker.Wait(20*time.Second)")
}

// unitForgotten refuses durations above 0 and below a millisecond.
func unitForgotten(field string, d time.Duration, example string) error {
	if d == 0 || d >= time.Millisecond {
		return nil
	}
	return &FieldError{
		Field: field, Value: d.String(),
		Limit: "at least 1ms: a number without a unit is in nanoseconds, unlike " + example,
	}
}

// MaxAttempts limits how often a message is tried, for a destination that has
// no limit itself: when the handler fails at the n-th attempt, the message is
// rejected, as by [Reject]. It requires a destination that counts attempts: if
// a handler fails and [Delivery].Attempt is 0, the subscription reports to
// [OnError], once, that the limit has no effect.
type MaxAttempts int

// Prefetch lets Consume hold n messages more than may start, for fewer calls
// and no wait between them. Their leases are kept alive from receipt, and a
// drain releases them, which counts as an attempt on SQS and JetStream. The
// default is 0.
type Prefetch int

// Batch sets the largest number of messages requested by one receive, and how
// many pending deletes justify a second concurrent call. While one receive is
// in progress, another starts only for a full batch. Backends set it (SQS: 10);
// without it, one receive requests all the messages that there is room for.
type Batch int

// Backend is the name of the backend whose Subscribe is built on [Consume], for
// its errors: "sqs does not support PendingLimits in Subscribe". Backends set
// it.
type Backend string

// PendingLimits bounds the messages that wait in this process for a
// subscription's handler, on a backend that pushes (core NATS); the message
// being handled counts too. Beyond the limits the newest messages are dropped
// and counted, and a [*DropError] with their number is reported to [OnError]. A
// field that is 0 selects the backend's default: 500,000 messages and 64 MiB of
// bodies, headers and subjects on core NATS, as in nats.go. A backend whose
// messages wait at the destination refuses this option.
type PendingLimits struct {
	Messages int
	Bytes    int
}

// Rate is the maximum number of messages per second that Consume receives, on
// average, with bursts of at most one second's worth.
type Rate float64

// Circuit stops the intake for Pause after Failures consecutive handler errors.
// Then, once nothing else is in hand, one message is tried: if it fails too,
// the pause doubles, up to 16 times Pause; otherwise the circuit closes.
// Messages in hand or being received when the circuit opens are still handled,
// and do not affect it. [RetryAfter] and [Reject] do not count as failures: the
// handler works. While the circuit is open, [Snapshot] holds the error that
// opened it.
type Circuit struct {
	Failures int
	Pause    time.Duration
}

// OnError is called for every failure of a delivery: whatever the handler
// returned or panicked with ([RetryError] and [RejectError] included), a failed
// heartbeat, a settlement that failed for good, a lost lease; and, with a nil
// delivery, for every failure of the subscription: a failed receive, dropped
// messages. It is called from the subscription's goroutines, concurrently if
// handlers run concurrently, and must return soon. A panic in it ends the
// process. A hook that calls Drain must do so on a separate goroutine, since a
// drain may wait for the hook. A hook that ends its goroutine, as t.FailNow
// does, ends nothing else; but the message whose handler's result it was called
// with is not settled, and is delivered again.
type OnError func(ctx context.Context, d *Delivery, err error)

// Logger is the logger to which a subscription writes, at level Warn, the
// errors reported to [OnError]. Backends pass their Options.Logger. Bodies and
// header values are never logged.
type Logger struct{ *slog.Logger }

// Backoff determines when a message whose handler failed is delivered again:
// after a random delay between Min and a bound (full jitter). The bound is
// twice Min after the first attempt and doubles with each further one, up to
// Max. With Max = Min every delay is Min. A field that is 0 has its value from
// DefaultBackoff (Max is at least Min).
type Backoff struct {
	Min, Max time.Duration
}

// DefaultBackoff is used where no [Backoff] is given. It stays far below the 12
// hours for which SQS can delay a message.
var DefaultBackoff = Backoff{Min: time.Second, Max: 5 * time.Minute}

func (b Backoff) orDefault() Backoff {
	if b.Min == 0 {
		b.Min = DefaultBackoff.Min
		if b.Max != 0 {
			b.Min = min(b.Min, b.Max)
		}
	}
	if b.Max == 0 {
		b.Max = max(DefaultBackoff.Max, b.Min)
	}
	return b
}

// Delay returns the delay after the given attempt (1 is the first; less counts
// as 1). random is a number in [0, 1), such as [rand.Float64] gives.
func (b Backoff) Delay(attempt int, random float64) time.Duration {
	b = b.orDefault()
	least := min(b.Min, b.Max)
	bound := least
	for i := 0; i < max(attempt, 1) && 0 < bound && bound < b.Max; i++ {
		bound += min(bound, b.Max-bound) // never beyond Max, which may be the greatest Duration
	}
	return least + time.Duration(random*float64(bound-least))
}

// SubscribeOption marks Group as an option of Subscribe calls.
func (Group) SubscribeOption() {}

// SubscribeOption marks Concurrency as an option of Subscribe calls.
func (Concurrency) SubscribeOption() {}

// SubscribeOption marks Lease as an option of Subscribe calls.
func (Lease) SubscribeOption() {}

// ReceiveOption marks Lease as an option of Receive calls.
func (Lease) ReceiveOption() {}

// ReceiveOption marks Wait as an option of Receive calls.
func (Wait) ReceiveOption() {}

// SubscribeOption marks OnError as an option of Subscribe calls.
func (OnError) SubscribeOption() {}

// SubscribeOption marks Logger as an option of Subscribe calls.
func (Logger) SubscribeOption() {}

// SubscribeOption marks MaxAttempts as an option of Subscribe calls.
func (MaxAttempts) SubscribeOption() {}

// SubscribeOption marks Prefetch as an option of Subscribe calls.
func (Prefetch) SubscribeOption() {}

// SubscribeOption marks Batch as an option of Subscribe calls.
func (Batch) SubscribeOption() {}

// SubscribeOption marks Backend as an option of Consume.
func (Backend) SubscribeOption() {}

// SubscribeOption marks PendingLimits as an option of Subscribe calls.
func (PendingLimits) SubscribeOption() {}

// SubscribeOption marks Rate as an option of Subscribe calls.
func (Rate) SubscribeOption() {}

// SubscribeOption marks Circuit as an option of Subscribe calls.
func (Circuit) SubscribeOption() {}

// SubscribeOption marks Observer as an option of Subscribe calls.
func (Observer) SubscribeOption() {}

// SubscribeOption marks Backoff as an option of Subscribe calls.
func (Backoff) SubscribeOption() {}

// settings are the options that subscriptions of every kind share.
type settings struct {
	attempts    int
	prefetch    int
	batch       int
	rate        Rate
	breaker     Circuit
	observer    Observer
	concurrency int
	lease       time.Duration
	backoff     Backoff
	onError     OnError
	logger      *slog.Logger
}

// apply reads one option. It reports whether the option is known.
func (s *settings) apply(opt SubscribeOption) (known bool, err error) {
	switch o := opt.(type) {
	case Concurrency:
		s.concurrency = int(o)
		return true, atLeastOne("Concurrency", int(o))
	case MaxAttempts:
		s.attempts = int(o)
		return true, atLeastOne("MaxAttempts", int(o))
	case Batch:
		s.batch = int(o)
		return true, atLeastOne("Batch", int(o))
	case Prefetch:
		if o < 0 {
			return true, &FieldError{Field: "Prefetch", Value: fmt.Sprint(int(o)), Limit: "at least 0"}
		}
		s.prefetch = int(o)
	case Rate:
		if !(o > 0) || math.IsInf(float64(o), 0) {
			return true, &FieldError{Field: "Rate", Value: fmt.Sprint(float64(o)), Limit: "more than 0 per second"}
		}
		s.rate = o
	case Circuit:
		if o.Failures < 1 || o.Pause <= 0 {
			return true, &FieldError{
				Field: "Circuit", Value: fmt.Sprintf("%d failures, pause %v", o.Failures, o.Pause), Limit: "both above 0",
			}
		}
		s.breaker = o
	case Observer:
		s.observer = o
	case Lease:
		s.lease = time.Duration(o)
		return true, o.Check()
	case Backoff:
		if o.Min < 0 || o.Max < 0 || o.orDefault().Max < o.orDefault().Min {
			return true, &FieldError{
				Field: "Backoff", Value: fmt.Sprintf("%v..%v", o.Min, o.Max), Limit: "0 <= Min <= Max",
			}
		}
		s.backoff = o
	case OnError:
		s.onError = o
	case Logger:
		s.logger = o.Logger
	default:
		return false, nil
	}
	return true, nil
}

func atLeastOne(field string, n int) error {
	if n >= 1 {
		return nil
	}
	return &FieldError{Field: field, Value: fmt.Sprint(n), Limit: "at least 1"}
}

// finishSettings sets the defaults.
func (s *settings) finishSettings() {
	s.concurrency = max(s.concurrency, 1)
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
}

// optionName is the name of an option in errors: its type.
func optionName(opt any) string { return fmt.Sprintf("option %T", opt) }

// unknownOption is the error for an option that no subscription of this kind
// honours. call is the call that received it.
func unknownOption(backend, call string, opt SubscribeOption) error {
	e := &UnsupportedError{Backend: backend, What: optionName(opt) + " in " + call}
	switch opt.(type) {
	case PendingLimits:
		e.Why = "messages wait at the destination until a handler is free, not in this process, and none is dropped"
		e.Instead = "Concurrency, and Prefetch to let messages wait here"
	case Start:
		e.Why = "what was published before a subscription cannot be read again here"
		e.Instead = "a JetStream stream, subscribed to without Group"
	case Ordered:
		e.Why = "nothing here can be read again in order"
		e.Instead = "a JetStream stream, subscribed to without Group; an SQS FIFO queue keeps the order of each Message.Key"
	case Group:
		e.Why = "all receivers of the destination share its messages already"
		e.Instead = "the backend's own Subscribe, which supports groups"
	case Backend:
		e.Why = "the backend sets its own name"
	default:
		e.Why = "it is an option of another backend"
	}
	return e
}
