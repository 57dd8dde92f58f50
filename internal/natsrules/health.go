package natsrules

import (
	"time"

	"github.com/candidmq/candidmq/broker"
)

// Health returns the health of a core NATS subject whose subscriptions here
// have dropped that many messages: nothing is stored, so there is nothing else
// to report.
func Health(destination string, dropped uint64) broker.Health {
	const stored = "core NATS stores nothing"
	count, age, yes := broker.None[int64](stored), broker.None[time.Duration](stored), broker.None[bool](stored)
	return broker.Health{
		Destination: destination,
		Ready:       count, InFlight: count, Delayed: count, OldestAge: age,
		Dropped:          broker.Known(int64(dropped), "the subscriptions of this broker"), //nolint:gosec // a count of messages
		Unchanged:        broker.None[time.Duration]("a subject has no configuration"),
		DeadLetterExists: yes, DeadLetterReady: count, DeadLetterOldest: age,
		DeadLetterRetention: age, DeadLetterKeepsAge: yes,
	}
}
