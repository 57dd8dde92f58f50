package conformance

import (
	"runtime"
	"sync/atomic"
	"testing"
)

// witness is a testing.TB that sees failures, and logs them only.
type witness struct {
	testing.TB
	failed atomic.Bool
}

// Fail notes a failure.
func (w *witness) Fail() { w.failed.Store(true) }

// Failed reports whether there was one.
func (w *witness) Failed() bool { return w.failed.Load() }

// FailNow ends the goroutine.
func (w *witness) FailNow() {
	w.Fail()
	runtime.Goexit()
}

// Error logs and fails.
func (w *witness) Error(args ...any) {
	w.Helper()
	w.Log(args...)
	w.Fail()
}

// Errorf logs and fails.
func (w *witness) Errorf(format string, args ...any) {
	w.Helper()
	w.Logf(format, args...)
	w.Fail()
}

// Fatal logs, fails and ends the goroutine.
func (w *witness) Fatal(args ...any) {
	w.Helper()
	w.Log(args...)
	w.FailNow()
}

// Fatalf logs, fails and ends the goroutine.
func (w *witness) Fatalf(format string, args ...any) {
	w.Helper()
	w.Logf(format, args...)
	w.FailNow()
}

// Skip logs and ends the goroutine: what is skipped did not fail.
func (w *witness) Skip(args ...any) {
	w.Helper()
	w.Log(args...)
	w.SkipNow()
}

// Skipf logs and ends the goroutine.
func (w *witness) Skipf(format string, args ...any) {
	w.Helper()
	w.Logf(format, args...)
	w.SkipNow()
}

// SkipNow ends the goroutine.
func (w *witness) SkipNow() { runtime.Goexit() }
