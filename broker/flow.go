package broker

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// tokens is a token bucket: it fills at a rate and holds at most one second's
// worth, or one.
type tokens struct {
	rate  float64 // a second; 0: no limit
	most  float64
	level float64
	out   float64 // taken by receives under way
	at    time.Time
}

func newTokens(rate Rate, now time.Time) tokens {
	most := max(float64(rate), 1)
	return tokens{rate: float64(rate), most: most, level: most, at: now}
}

// fill adds what has come since. What receives under way hold counts as there, so
// that one which has waited long is not followed by a second burst.
func (t *tokens) fill(now time.Time) {
	t.level = min(t.most-t.out, t.level+t.rate*now.Sub(t.at).Seconds())
	t.at = now
}

// take takes up to n tokens and returns how many. The level is below 0 after a
// receive that brought more than it was asked for.
func (t *tokens) take(now time.Time, n int) int {
	if t.rate == 0 {
		return n
	}
	t.fill(now)
	n = max(min(n, int(t.level)), 0)
	t.level -= float64(n)
	t.out += float64(n)
	return n
}

// use ends a receive that took n tokens and needed some of them, or more.
func (t *tokens) use(now time.Time, n, needed int) {
	if t.rate == 0 {
		return
	}
	t.fill(now)
	t.out -= float64(n)
	t.level += float64(n - needed)
}

// emptyFor is how long it takes until there is a token.
func (t *tokens) emptyFor(now time.Time) time.Duration {
	if t.rate == 0 {
		return 0
	}
	t.fill(now)
	if t.level >= 1 || t.most-t.out < 1 { // the latter: only the end of a receive can open it
		return 0
	}
	return time.Duration((1-t.level)/t.rate*float64(time.Second)) + 1
}

// circuit stops the intake while every handler fails.
type circuit struct {
	Circuit
	failures int // in a row
	pause    time.Duration
	openTill time.Time // zero: closed
	trying   bool      // what comes next is the trial; nothing else is in hand then
	reason   error     // the failure that opened it
}

// result takes a handler's result. While the circuit is open the trial's counts
// alone: other handlers began before.
func (c *circuit) result(err error) {
	if c.Failures == 0 {
		return
	}
	open, trial := !c.openTill.IsZero(), c.trying
	c.trying = false
	switch {
	case open && !trial:
		return
	case err == nil || trial && works(err):
		c.failures, c.pause, c.openTill, c.reason = 0, 0, time.Time{}, nil
		return
	case works(err):
		return
	}
	c.failures++
	if c.failures < c.Failures && !trial {
		return
	}
	most := min(c.Pause, math.MaxInt64/16) * 16 // what doubling must not pass, the greatest Duration neither
	c.pause = max(c.Pause, c.pause+min(c.pause, most-c.pause))
	c.openTill = time.Now().Add(c.pause)
	c.reason = err
}

// works reports whether a handler that returned err does its work: it asked for
// another time, or found that its message cannot be handled.
func works(err error) bool {
	_, asked := errors.AsType[*RetryError](err)
	_, rejected := errors.AsType[*RejectError](err)
	return asked || rejected
}

// most is how many of n messages may be asked for with held in hand: none
// while the circuit is open, then one alone to try whether it may close.
func (c *circuit) most(now time.Time, n, held int) int {
	switch {
	case c.openTill.IsZero():
		return n
	case now.Before(c.openTill) || held > 0:
		return 0
	default:
		return min(n, 1)
	}
}

// shutFor is how long the circuit stays open.
func (c *circuit) shutFor(now time.Time) time.Duration {
	if c.openTill.IsZero() {
		return 0
	}
	return max(c.openTill.Sub(now), 0)
}

// told is what a subscription has been told of, once is enough.
type told struct{ attempts, leases bool }

// first sets *told and reports whether it was not set.
func (c *consumer) first(told *bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := *told
	*told = true
	return !was
}

// errNotCounted is why MaxAttempts has no effect.
func errNotCounted(d *Delivery) error {
	return &UnsupportedError{
		Backend: "the backend of " + quote(d.Source), What: "option broker.MaxAttempts",
		Why:     "its deliveries do not tell which attempt they are (Delivery.Attempt is 0), so the limit has no effect",
		Instead: "the destination's own limit",
	}
}

// errNotRenewable is why there is no heartbeat.
func errNotRenewable(d *Delivery) error {
	return &UnsupportedError{
		Backend: "the backend of " + quote(d.Source), What: "a heartbeat",
		Why:     "its handles are not broker.Leased and would not tell when a renewed lease ends",
		Instead: "a Handle with the method LeaseEnd; until then a handler is cancelled as its lease ends",
	}
}

// errAttempts is the reason of a rejection by MaxAttempts.
var errAttempts = errors.New("attempts used up")

// overLimit reports whether a delivery has more attempts behind it than
// MaxAttempts allows, so that its handler must not run again. The caller holds
// mu.
func (c *consumer) overLimit(d *Delivery) bool {
	return c.attempts > 0 && d.Attempt > c.attempts
}

// lastAttempt reports whether a message whose handler failed has no attempt
// left by MaxAttempts.
func (c *consumer) lastAttempt(d *Delivery) bool {
	if c.attempts == 0 {
		return false
	}
	if d.Attempt == 0 && c.first(&c.told.attempts) {
		c.tell(c.base, nil, errNotCounted(d))
	}
	return d.Attempt >= c.attempts
}

// errNotLeased is why a subscription without leases refuses flow control.
func errNotLeased(what string) error {
	return &UnsupportedError{
		Backend: "this subscription", What: what,
		Why:     "its messages are pushed to it and would be dropped meanwhile",
		Instead: "a backend with receive-delete",
	}
}

// Pause stops the intake until Resume: no further receive is begun. One that
// is under way may still bring messages, and work in hand goes on. A
// subscription without leases (core NATS) refuses it.
func (s *Subscription) Pause() error { return s.setPaused(true, "Pause") }

// Resume ends a Pause.
func (s *Subscription) Resume() error { return s.setPaused(false, "Resume") }

func (s *Subscription) setPaused(paused bool, what string) error {
	if s.consumer == nil {
		return errNotLeased(what)
	}
	s.mu.Lock()
	s.paused = paused
	s.mu.Unlock()
	s.consumer.changed()
	return nil
}

// SetConcurrency changes how many handlers may run at once. Fewer takes effect
// as handlers return. A subscription without leases (core NATS) refuses it.
func (s *Subscription) SetConcurrency(n int) error {
	if s.consumer == nil {
		return errNotLeased("SetConcurrency")
	}
	if n < 1 {
		return &FieldError{Field: "Concurrency", Value: fmt.Sprint(n), Limit: "at least 1"}
	}
	s.mu.Lock()
	s.concurrency = n
	s.consumer.startReady()
	s.mu.Unlock()
	s.consumer.changed()
	return nil
}
