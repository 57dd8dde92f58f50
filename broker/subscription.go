package broker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// drainGrace is how long Drain waits, after its context has ended and the
// handlers' contexts are cancelled, for handlers to return and be settled.
const drainGrace = 5 * time.Second

// Subscription is a running Subscribe, Respond or [Consume]. All methods may
// be called concurrently.
type Subscription struct {
	subject string
	settings
	base     context.Context // values for handlers
	stop     func()          // asks the intake to stop; set before the subscription is returned
	end      func()          // called when no handler runs any more; may be nil
	cancel   func(error)     // cancels every handler's context
	draining chan struct{}   // closed when the drain begins
	done     chan struct{}   // closed when all is over

	consumer *consumer // nil on a backend without leases
	tally    *tally    // nil on one with leases

	dry atomic.Bool // the intake has stopped; set with mu held

	mu      sync.Mutex
	counts  Counts
	report  Report
	err     error
	begun   bool
	paused  bool
	calls   int           // handlers that wait for a Drain call of their own
	settled chan struct{} // closed when only those handlers still run; nil until asked for, and afterwards
	empty   chan struct{} // closed when it has, and no handler runs
}

// Counts is a snapshot of what a subscription has seen since it began. Later
// versions may add fields.
type Counts struct {
	Received    uint64 // deliveries taken in
	Redelivered uint64 // of these, with an attempt above 1
	Succeeded   uint64 // handlers that returned nil
	Failed      uint64 // handlers that returned an error: panics, Reject and RetryAfter included
	Panicked    uint64 // of these, by panic or Goexit
	Deleted     uint64 // settled by a delete that was confirmed
	Released    uint64 // given back, to come again
	Retried     uint64 // of these, because their handlers failed
	Interrupted uint64 // of Released, because a drain's deadline interrupted their handlers; the others had not started
	Rejected    uint64 // put to rest at the handler's word
	Extended    uint64 // leases renewed by a heartbeat
	LeasesLost  uint64 // leases that ended before the message was settled, as far as it is known
	Dropped     uint64 // discarded before a handler saw them (slow consumer)
	Errors      uint64 // failed receives and extensions, and settlements that failed for good
	InFlight    int    // deliveries in hand now, waiting or running
}

// Report says how a drain ended. It counts each delivery that was in hand when
// the drain began, or came after that, once.
type Report struct {
	Subject string
	// Finished handlers were running or being settled when the drain began, or
	// began while the intake stopped, and have returned, successfully or not.
	Finished int
	// Released messages went back: never started, or interrupted by the
	// drain's deadline. On SQS and JetStream that counts as an attempt.
	Released int
	// Abandoned messages were left: their handler had not returned and been
	// settled by then, they could not be released, their lease was lost before
	// they started, or a backend without settling discarded them.
	Abandoned int
}

func (s *Subscription) init(ctx context.Context, subject string) {
	s.subject = subject
	s.base = context.WithoutCancel(ctx)
	s.draining = make(chan struct{})
	s.done = make(chan struct{})
	s.empty = make(chan struct{})
	s.report.Subject = subject
}

// Subject returns what was subscribed to, as the caller named it.
func (s *Subscription) Subject() string { return s.subject }

// Done is closed when the subscription is over: drained, or ended by the
// backend; see Err.
func (s *Subscription) Done() <-chan struct{} { return s.done }

// Err returns why the backend ended the subscription; nil while it runs and
// after a drain that the caller asked for.
func (s *Subscription) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Counts returns a snapshot of the counters. It is cheap enough to call every
// second. On a backend without leases it stops no delivery: InFlight may hold
// some that came and went while it was read, and is never too low.
func (s *Subscription) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addUp()
	return s.counts
}

// Drain ends the subscription in two stages. First no new message is taken in
// (a waiting receive is cancelled), handlers that run go on with a live
// context, and messages that have not started are released. When ctx ends
// before all handlers have returned, their contexts are cancelled with
// [ErrDraining] as the cause, and Drain waits at most 5 s more for them to
// return and be settled; then it returns ctx's cause.
//
// It may be called more than once and from several goroutines; the first ctx
// to end cancels the handlers. It may be called from a handler, with a context
// made from the handler's: it does not wait for that handler then. Left to a
// goroutine that may outlive the handler, it waits for the others all the same on
// a backend with leases; on core NATS give it a context of its own.
//
// Drain with a context that never ends waits as long as handlers run.
func (s *Subscription) Drain(ctx context.Context) (Report, error) {
	s.begin(nil)
	over, own := (<-chan struct{})(s.done), inside(ctx, s)
	if own != nil {
		over = s.callFromHandler(own)
		defer s.callReturned(own)
	}
	select {
	case <-over:
		return s.reportNow(), nil
	case <-ctx.Done():
	}
	select {
	case <-over: // both had happened
		return s.reportNow(), nil
	default:
	}
	s.cancel(ErrDraining)
	grace := time.NewTimer(drainGrace)
	defer grace.Stop()
	select {
	case <-over:
		return s.reportNow(), context.Cause(ctx)
	case <-grace.C:
		return s.reportUnfinished(own), context.Cause(ctx)
	}
}

// begin starts the drain, once. cause is why the backend ends the
// subscription, nil if the caller asked for it.
func (s *Subscription) begin(cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.begun {
		return
	}
	s.addUp()
	s.begun = true
	s.err = cause
	close(s.draining)
	go s.finish()
}

// finish sees the drain through. It ends when the last handler has returned.
func (s *Subscription) finish() {
	s.mu.Lock()
	stop := s.stop
	s.mu.Unlock()
	stop()
	s.mu.Lock()
	s.dry.Store(true) // only now: stop may still have dispatched what the client had
	s.checkIdle()
	s.mu.Unlock()
	<-s.empty
	if s.end != nil {
		s.end()
	}
	s.cancel(ErrClosed)
	close(s.done)
}

// enterLocked and leaveLocked bracket what a drain must wait for. The caller
// holds mu.
func (s *Subscription) enterLocked(d *Delivery) {
	s.counts.InFlight++
	s.counts.Received++
	if d.Attempt > 1 {
		s.counts.Redelivered++
	}
}

func (s *Subscription) leaveLocked() {
	s.counts.InFlight--
	s.checkIdle()
}

// checkIdle closes empty and settled when what they stand for has come true:
// the intake has stopped, and no handler runs. The caller holds mu.
func (s *Subscription) checkIdle() {
	if !s.dry.Load() {
		return
	}
	s.addUp()
	if s.settled != nil && s.counts.InFlight <= s.calls {
		close(s.settled)
		s.settled = nil
	}
	if s.counts.InFlight > 0 {
		return
	}
	select {
	case <-s.empty:
	default:
		close(s.empty)
	}
}

// callFromHandler counts a Drain made inside a handler and returns what it
// waits for: the intake stopped and no other handler running. A handler that calls
// it more than once is one; one that has returned does not count.
func (s *Subscription) callFromHandler(own *scope) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own.left {
		return s.done
	}
	own.drains++
	if own.drains == 1 || own.delivery == nil {
		s.calls++
	}
	settled := s.settled
	if settled == nil {
		settled = make(chan struct{})
		s.settled = settled
	}
	s.checkIdle()
	return settled
}

func (s *Subscription) callReturned(own *scope) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own.left {
		return
	}
	own.drains--
	if own.drains == 0 || own.delivery == nil {
		s.calls--
	}
}

// countResult counts what a handler returned. The caller holds mu.
func (s *Subscription) countResult(err error) {
	if err == nil {
		s.counts.Succeeded++
		return
	}
	s.counts.Failed++
	if panicked(err) {
		s.counts.Panicked++
	}
}

func panicked(err error) bool {
	_, ok := errors.AsType[*PanicError](err)
	return ok || errors.Is(err, errGoexit)
}

// reportNow is the report as it stands.
func (s *Subscription) reportNow() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addUp()
	return s.report
}

// reportUnfinished counts what still runs as abandoned, but for the caller's
// own handler.
func (s *Subscription) reportUnfinished(own *scope) Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addUp()
	r, running := s.report, s.counts.InFlight
	if own != nil && !own.left {
		running--
	}
	r.Abandoned += max(running, 0)
	return r
}

// tell brings an error to the hook and the log.
func (s *Subscription) tell(ctx context.Context, d *Delivery, err error) {
	attrs := []any{"subject", s.subject, "error", err}
	if d != nil {
		attrs = append(attrs, "delivery", d)
	}
	if p, ok := errors.AsType[*PanicError](err); ok {
		attrs = append(attrs, "stack", string(p.Stack))
	}
	s.logger.WarnContext(ctx, "delivery failed", attrs...)
	if s.onError != nil {
		s.onError(ctx, d, err)
	}
}
