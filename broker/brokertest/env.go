package brokertest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// env is what one case works with.
type env struct {
	testing.TB
	h      *Harness
	c      *Case
	b      broker.Broker
	result *Result
	n      int // messages made
}

// Errorf says what was seen, with the rule and the fields.
func (e *env) Errorf(format string, args ...any) {
	e.Helper()
	e.TB.Errorf("%s", e.explain(format, args))
}

// Fatalf is Errorf, and ends the case.
func (e *env) Fatalf(format string, args ...any) {
	e.Helper()
	e.TB.Fatalf("%s", e.explain(format, args))
}

func (e *env) explain(format string, args []any) string {
	text := fmt.Sprintf("seen: %s\n\trule: %s", fmt.Sprintf(format, args...), e.c.Rule)
	if len(e.c.Fields) > 0 {
		text += "\n\tclaim: " + strings.Join(e.c.Fields, ", ")
	}
	return text
}

// Skipf ends the case without a verdict.
func (e *env) Skipf(format string, args ...any) {
	e.Helper()
	e.result.Skipped = fmt.Sprintf(format, args...)
	e.Skip(e.result.Skipped)
}

// must ends the case if a call failed that has to work.
func (e *env) must(what string, err error) {
	e.Helper()
	if err != nil {
		e.Fatalf("%s: %v", what, err)
	}
}

// soon is a context for a call that must not take forever.
func (e *env) soon() context.Context { return e.in(e.h.Patience) }

func (e *env) in(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(e.Context(), d)
	e.Cleanup(cancel)
	return ctx
}

// within ends the case if f hangs.
func (e *env) within(what string, f func()) {
	e.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	next(e, done, what+" to return")
}

// room is that of channels that handlers send to: more than a broken backend
// delivers before its case has failed, so that no handler hangs there.
const room = 10_000

// next waits for one value.
func next[T any](e *env, from <-chan T, what string) T {
	e.Helper()
	late := time.NewTimer(e.h.Patience)
	defer late.Stop()
	select {
	case v := <-from:
		return v
	case <-late.C:
		e.Fatalf("waited %v in vain for %s", e.h.Patience, what)
		panic("unreachable")
	}
}

// give hands one value over.
func give(e *env, to chan<- struct{}, whom string) {
	e.Helper()
	late := time.NewTimer(e.h.Patience)
	defer late.Stop()
	select {
	case to <- struct{}{}:
	case <-late.C:
		e.Fatalf("waited %v in vain for %s", e.h.Patience, whom)
	}
}

// calm waits, in virtual time, until every other goroutine waits for something:
// what could happen now has happened. In real time nothing is like it.
func (e *env) calm() {
	if e.h.Virtual {
		synctest.Wait()
	}
}

// sleep advances virtual time; in real time it waits out a bound.
func (e *env) sleep(d time.Duration) {
	if d > 0 {
		time.Sleep(d)
	}
}

// role finds a role that the case needs.
func role[T any](e *env) T {
	e.Helper()
	r, err := broker.As[T](e.b)
	e.must("As", err)
	return r
}

func (e *env) receiver() broker.Receiver { return role[broker.Receiver](e) }
func (e *env) leased() bool              { return e.h.Roles.has(RoleReceiver) }

// body is a text that no other message of the case has.
func (e *env) body() string {
	e.n++
	return fmt.Sprintf("message %d", e.n)
}

func (e *env) unsupportedOrInvalid(what string, err error) {
	e.Helper()
	if !isRefusal(err) {
		e.Errorf("%s: got %v, want a refusal (ErrInvalid or ErrUnsupported)", what, err)
	}
}

// about is the time that has passed, as a failure shows it.
func about(from time.Time) time.Duration { return time.Since(from).Round(time.Millisecond) }
