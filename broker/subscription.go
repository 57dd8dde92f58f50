package broker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// drainGrace is how long Drain waits for handlers to return and be settled,
// after its context has ended and the handlers' contexts are cancelled.
const drainGrace = 5 * time.Second

// Subscription is a running Subscribe, Respond or [Consume]. All methods may
// be called concurrently.
type Subscription struct {
	subject string
	settings
	base     context.Context // values for handlers
	stop     func()          // stops the intake; set before the subscription is returned
	end      func()          // called when no handler runs any longer; may be nil
	cancel   func(error)     // cancels every handler's context
	draining chan struct{}   // closed when the drain begins
	done     chan struct{}   // closed when everything is over

	consumer *consumer // nil on a backend without leases
	tally    *tally    // nil on one with leases

	dry atomic.Bool // the intake has stopped; set with mu held

	mu      sync.Mutex
	counts  Counts
	report  Report
	err     error
	begun   bool
	paused  bool
	calls   int           // handlers that wait in their own Drain call
	settled chan struct{} // closed when only those handlers still run; nil until requested, and afterwards
	empty   chan struct{} // closed when the intake has stopped and no handler runs
}

// Counts is a snapshot of a subscription's counters since it began. Later
// versions may add fields.
type Counts struct {
	Received    uint64 // deliveries received
	Redelivered uint64 // of Received, with an attempt above 1
	Succeeded   uint64 // handlers that returned nil
	Failed      uint64 // handlers that returned an error: panics, Reject and RetryAfter included
	Panicked    uint64 // of Failed, by panic or Goexit
	Deleted     uint64 // settled by a confirmed delete
	Released    uint64 // released, to be delivered again
	Retried     uint64 // of Released, because their handlers failed
	Interrupted uint64 // of Released, because a drain's deadline interrupted their handlers; the rest had not started
	Rejected    uint64 // rejected, and moved to the dead-letter queue
	Extended    uint64 // leases renewed by a heartbeat
	LeasesLost  uint64 // leases that ended before the message was settled, as far as is known
	Dropped     uint64 // discarded before a handler received them (slow consumer)
	Errors      uint64 // failed receives and extensions, and settlements that failed for good
	InFlight    int    // deliveries in hand, waiting or running
}

// Report is the outcome of a drain. It counts each delivery that was in hand
// when the drain began, or arrived afterwards, exactly once.
type Report struct {
	Subject string
	// Finished handlers have returned, successfully or not. They were running
	// or being settled when the drain began, or started while the intake
	// stopped.
	Finished int
	// Released messages were returned to the destination: they had not started,
	// or were interrupted by the drain's deadline. On SQS and JetStream that
	// counts as an attempt.
	Released int
	// Abandoned messages were left behind: their handler had not returned and
	// been settled in time, they could not be released, their lease was lost
	// before they started, or a backend without settling discarded them.
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

// Subject returns the subscribed subject, as named by the caller.
func (s *Subscription) Subject() string { return s.subject }

// Done returns a channel that is closed when the subscription is over: drained,
// or ended by the backend; see Err.
func (s *Subscription) Done() <-chan struct{} { return s.done }

// Err returns the reason why the backend ended the subscription. It returns nil
// while the subscription runs, and after a drain requested by the caller.
func (s *Subscription) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Counts returns a snapshot of the counters. It is cheap enough to call every
// second. On a backend without leases it does not stop deliveries: InFlight may
// include some that arrived and finished during the call, and is never too low.
func (s *Subscription) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addUp()
	return s.counts
}

// Drain ends the subscription in two stages. First the intake ends: no new
// message is received (a waiting receive is cancelled), running handlers
// continue with a live context, and messages that have not started are
// released. If ctx ends before all handlers have returned, their contexts are
// cancelled with [ErrDraining] as the cause, and Drain waits at most 5 s more
// for them to return and be settled; it then returns ctx's cause.
//
// Drain may be called more than once and concurrently; the first ctx to end
// cancels the handlers. A handler may call it with a context derived from its
// own: Drain then does not wait for that handler. If the call is left to a
// goroutine that may outlive the handler, it still waits for the other handlers
// on a backend with leases; on core NATS, give it a context that is not derived
// from the handler's.
//
// With a context that never ends, Drain waits as long as handlers run.
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

// begin starts the drain, once. cause is the reason why the backend ends the
// subscription, nil if the caller requested it.
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

// finish completes the drain. It ends when the last handler has returned.
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

// enterLocked and leaveLocked bracket the work that a drain must wait for. The
// caller holds mu.
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

// checkIdle closes empty and settled once their condition holds: the intake has
// stopped, and no handler runs. The caller holds mu.
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

// callFromHandler counts a Drain call made inside a handler and returns the
// channel that it waits for: the intake stopped and no other handler running. A
// handler that calls Drain more than once counts once; one that has returned
// does not count.
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

// countResult counts a handler's result. The caller holds mu.
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

// reportNow is the report so far.
func (s *Subscription) reportNow() Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addUp()
	return s.report
}

// reportUnfinished counts running handlers as abandoned, except the caller's
// own.
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

// tell reports an error to the hook and the log.
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
