package broker

import "fmt"

// DropError tells [OnError] that a subscription fell behind its
// [PendingLimits]. It comes within an [*Error], matches [ErrDropped], and is
// told within 100 ms, also while a handler blocks.
type DropError struct {
	// Messages were dropped since the last time: the newest ones, none of which
	// a handler has seen.
	Messages uint64
	// Total were dropped since the subscription began.
	Total uint64
	// Err is the client's own error; nil if it has none.
	Err error
}

// Error tells the numbers and what helps.
func (e *DropError) Error() string {
	text := fmt.Sprintf("%d messages dropped (%d in all) because handlers are slower than what comes: "+
		"raise PendingLimits or Concurrency, share them among a Group, or use a destination that stores", e.Messages, e.Total)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the client's own error.
func (e *DropError) Unwrap() error { return e.Err }
