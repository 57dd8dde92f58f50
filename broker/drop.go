package broker

import "fmt"

// DropError reports to [OnError] that a subscription exceeded its
// [PendingLimits]. It is wrapped in an [*Error], matches [ErrDropped], and is
// reported within 100 ms, even while a handler blocks.
type DropError struct {
	// Messages is the number dropped since the last report: the newest
	// messages, none of which reached a handler.
	Messages uint64
	// Total is the number dropped since the subscription began.
	Total uint64
	// Err is the client's own error; nil if it has none.
	Err error
}

// Error shows the numbers and possible remedies.
func (e *DropError) Error() string {
	text := fmt.Sprintf("%d messages dropped (%d in all) because handlers are slower than messages arrive: "+
		"raise PendingLimits or Concurrency, share them among a Group, or use a destination that stores", e.Messages, e.Total)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap returns the client's own error.
func (e *DropError) Unwrap() error { return e.Err }
