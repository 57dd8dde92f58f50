package broker

import (
	"cmp"
	"fmt"
)

// Ensured is the result of a backend's Ensure call: EnsureQueue of SQS,
// EnsureStream and EnsureConsumer of JetStream. Such a call creates what does
// not exist and compares what does; it never changes anything that exists.
type Ensured struct {
	// Created: there was none of that name, and it has been created as
	// requested.
	Created bool
	// Address is the native address, where that differs from the requested
	// name: an SQS queue's URL. "" on JetStream.
	Address string
	// Drift lists the differences between the existing and the requested
	// configuration, ordered by field; empty if it was created. UpdateQueue of
	// SQS, which returns an Ensured too, has already applied these changes.
	Drift []Drift
}

// Drift is one setting that differs from the requested configuration.
type Drift struct {
	Field string // as the backend's own API names it: "max_age", "VisibilityTimeout"
	Want  string // the requested value
	Has   string // the existing value, "" if the destination does not show it
}

// String shows the field and both values, as in "max_age is 1h0m0s, want 2h0m0s".
func (d Drift) String() string {
	return fmt.Sprintf("%s is %s, want %s", d.Field, cmp.Or(d.Has, `""`), cmp.Or(d.Want, `""`))
}
