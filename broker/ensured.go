package broker

import (
	"cmp"
	"fmt"
)

// Ensured is what an Ensure call of a backend found: EnsureQueue of SQS, EnsureStream
// and EnsureConsumer of JetStream. Such a call creates what is not there, and compares
// what is; it changes nothing that exists.
type Ensured struct {
	// Created: there was none of that name, and now there is one as asked for.
	Created bool
	// Address is the native address of what is there now, where that is another than
	// the name it was asked for by: an SQS queue's URL. "" on JetStream.
	Address string
	// Drift is how what was there differs from what was asked for, ordered by field;
	// none if it was created. UpdateQueue of SQS, which returns an Ensured too, has
	// changed it then.
	Drift []Drift
}

// Drift is one setting that differs from what was asked for.
type Drift struct {
	Field string // as the backend's own API names it: "max_age", "VisibilityTimeout"
	Want  string // what was asked for
	Has   string // what is there, "" if the destination does not show it
}

// String shows the field and both values, as in "max_age is 1h0m0s, want 2h0m0s".
func (d Drift) String() string {
	return fmt.Sprintf("%s is %s, want %s", d.Field, cmp.Or(d.Has, `""`), cmp.Or(d.Want, `""`))
}
