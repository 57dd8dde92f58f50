package broker

import (
	"context"
	"time"
)

// HealthReporter reports a destination's current condition. It is an optional
// role that complements [Describer]: [Check] uses it where a backend has it.
type HealthReporter interface {
	// Health reads the run-time figures of a destination, anew at each call. A
	// figure that cannot be read, for lack of a permission or because the
	// backend does not provide it, is StateUnknown, with the reason. A
	// destination that does not exist is [ErrNotFound].
	//
	// Health has no effect on the destination. In particular, it never receives
	// a message to inspect it: on a queue that counts attempts, every receive
	// brings the message closer to the dead-letter queue and hides it for the
	// length of a lease.
	Health(ctx context.Context, destination string) (Health, error)
}

// Inspector is an optional role that complements [Describer]: [Check] adds its
// findings where a backend has it.
type Inspector interface {
	// Inspect returns findings that only this backend can make about a
	// destination, such as how soon its connection notices a failure. The
	// backend documents the codes, which are stable, and what Inspect returns
	// for a destination that does not exist. Inspect has no effect on the
	// destination.
	Inspect(ctx context.Context, destination string) (Findings, error)
}

// Health is the current condition of a destination, each fact with its source.
// The figures are a snapshot with the backend's precision: the counts of SQS
// are approximate and may lag by a minute or more (API GetQueueAttributes).
// Later versions may add fields; the zero value of each is unknown.
type Health struct {
	Destination string `json:"destination"` // as named by the caller

	Ready     Fact[int64]         `json:"ready"`     // messages waiting to be delivered
	InFlight  Fact[int64]         `json:"inFlight"`  // delivered, leased, not yet settled
	Delayed   Fact[int64]         `json:"delayed"`   // not to be delivered before a later time
	OldestAge Fact[time.Duration] `json:"oldestAge"` // since the oldest unsettled message was published; none: there is no message

	// Dropped counts the messages that this broker's own subscriptions to the
	// destination have discarded because their handlers were too slow.
	Dropped Fact[int64] `json:"dropped"`
	// Unchanged is how long ago the destination's configuration last changed.
	Unchanged Fact[time.Duration] `json:"unchanged"`

	// DeadLetterExists: the dead-letter destination named by the configuration
	// was found. It is none where none is configured. The facts below describe
	// that destination.
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
