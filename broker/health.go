package broker

import (
	"context"
	"time"
)

// HealthReporter reads how a destination does right now. It is an optional role
// beside [Describer]: [Check] uses it where a backend has it.
type HealthReporter interface {
	// Health reads the run-time figures of a destination, each time anew.
	// What cannot be read, for want of a permission or because the backend has
	// no way to tell, is StateUnknown, with the reason. A destination that does
	// not exist is [ErrNotFound].
	//
	// It has no effect on the destination. It never receives from it to look
	// at a message: on a queue that counts attempts, a look takes each message
	// nearer to the dead-letter queue and hides it for the length of a lease.
	Health(ctx context.Context, destination string) (Health, error)
}

// Inspector is an optional role beside [Describer]: [Check] adds its findings
// to its own where a backend has it.
type Inspector interface {
	// Inspect finds what only this backend can know of a destination, such as
	// how soon its connection notices a failure. The codes are the backend's to
	// document, and are stable. It has no effect on the destination.
	Inspect(ctx context.Context, destination string) (Findings, error)
}

// Health is how a destination does, each fact with where it was read. The
// figures are of one moment, and of the backend's precision: the counts of SQS
// are approximate and may lag a minute and more (API GetQueueAttributes). Later
// versions may add fields; the zero value of each is unknown.
type Health struct {
	Destination string `json:"destination"` // as the caller named it

	Ready     Fact[int64]         `json:"ready"`     // messages waiting to be delivered
	InFlight  Fact[int64]         `json:"inFlight"`  // delivered, leased, not settled yet
	Delayed   Fact[int64]         `json:"delayed"`   // not to be delivered before a later time
	OldestAge Fact[time.Duration] `json:"oldestAge"` // since the oldest unsettled message was published; none: there is no message

	// Dropped counts the messages that this broker's own subscriptions to the
	// destination have discarded because their handlers were too slow.
	Dropped Fact[int64] `json:"dropped"`
	// Unchanged is how long ago the destination's configuration last changed.
	Unchanged Fact[time.Duration] `json:"unchanged"`

	// DeadLetterExists: the dead-letter destination that the configuration
	// names was found. It is none where none is configured. The facts below are
	// of that destination.
	DeadLetterExists    Fact[bool]          `json:"deadLetterExists"`
	DeadLetterReady     Fact[int64]         `json:"deadLetterReady"`     // messages in it
	DeadLetterOldest    Fact[time.Duration] `json:"deadLetterOldest"`    // age of its oldest message, counted as its retention counts
	DeadLetterRetention Fact[time.Duration] `json:"deadLetterRetention"` // messages older than this disappear from it
	DeadLetterKeepsAge  Fact[bool]          `json:"deadLetterKeepsAge"`  // a message's age there counts from its first publishing, not from the move
}

// unknownHealth has the same reason for each fact.
func unknownHealth(destination, why string) Health {
	count, age, yes := Unknown[int64](why), Unknown[time.Duration](why), Unknown[bool](why)
	return Health{
		Destination: destination,
		Ready:       count, InFlight: count, Delayed: count, OldestAge: age,
		Dropped: count, Unchanged: age,
		DeadLetterExists: yes, DeadLetterReady: count, DeadLetterOldest: age,
		DeadLetterRetention: age, DeadLetterKeepsAge: yes,
	}
}
