package broker

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// tokens is a token bucket: it fills at a rate and holds at most one second's
// worth, or one token.
type tokens struct {
	rate  float64 // per second; 0: no limit
	most  float64
	level float64
	out   float64 // held by receives in progress
	at    time.Time
}

func newTokens(rate Rate, now time.Time) tokens {
	most := max(float64(rate), 1)
	return tokens{rate: float64(rate), most: most, level: most, at: now}
}

// fill adds the tokens since the last call. Those held by receives in progress
// count, so that a receive that has waited long is not followed by a second
// burst.
func (t *tokens) fill(now time.Time) {
	t.level = min(t.most-t.out, t.level+t.rate*now.Sub(t.at).Seconds())
	t.at = now
}

// take takes up to n tokens and returns how many. The level is below 0 after a
// receive that returned more than was requested.
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

// use ends a receive that took n tokens and needed fewer, or more.
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
	if t.level >= 1 || t.most-t.out < 1 { // in the latter case only the end of a receive can open it
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
	trying   bool      // the next message is the trial; nothing else is in hand then
	reason   error     // the failure that opened it
}

// result handles a handler's result. While the circuit is open only the trial's
// counts: the other handlers began before.
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
	most := min(c.Pause, math.MaxInt64/16) * 16 // the bound of doubling; must not overflow a Duration
	c.pause = max(c.Pause, c.pause+min(c.pause, most-c.pause))
	c.openTill = time.Now().Add(c.pause)
	c.reason = err
}

// works reports whether a handler that returned err works: it asked for a
// retry, or found that its message cannot be handled.
func works(err error) bool {
	_, asked := errors.AsType[*RetryError](err)
	_, rejected := errors.AsType[*RejectError](err)
	return asked || rejected
}

// most is how many of n messages may be requested with held in hand: none while
// the circuit is open, then a single one to test whether it may close.
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

// told records what has been reported to a subscription; once is enough.
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
		Why:     "its deliveries do not carry an attempt number (Delivery.Attempt is 0), so the limit has no effect",
		Instead: "the destination's own limit",
	}
}

// errNotRenewable is why there is no heartbeat.
func errNotRenewable(d *Delivery) error {
	return &UnsupportedError{
		Backend: "the backend of " + quote(d.Source), What: "a heartbeat",
		Why:     "its handles are not broker.Leased, so the end of a renewed lease would be unknown",
		Instead: "a Handle with the method LeaseEnd; without it a handler is cancelled when its lease ends",
	}
}

// errAttempts is the reason of a rejection by MaxAttempts.
var errAttempts = errors.New("attempts used up")

// overLimit reports whether a delivery has had more attempts than MaxAttempts
// allows, so that its handler must not run again. The caller holds mu.
func (c *consumer) overLimit(d *Delivery) bool {
	return c.attempts > 0 && d.Attempt > c.attempts
}

// lastAttempt reports whether a message whose handler failed has no attempt
// left under MaxAttempts.
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
		Why:     "its messages are pushed to it and would be dropped in the meantime",
		Instead: "a backend with receive-delete",
	}
}

// Pause stops the intake until Resume: no further receive is started. One in
// progress may still return messages, and work in hand continues. A
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

// SetConcurrency changes how many handlers may run at once. A lower number
// takes effect as handlers return. A subscription without leases (core NATS)
// refuses it.
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
