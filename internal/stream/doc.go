// Package stream is a log of messages with consumers, with the semantics of
// NATS JetStream but none of its protocol: no configuration to validate, no
// JSON, no advisories. The in-memory backend is built on it.
//
// # What it promises
//
// A stream captures subjects, numbers the messages published to them, and keeps
// them according to its retention: until a limit is reached, until a consumer
// has settled them (a work queue), or until all interested consumers have
// (interest). Each consumer delivers the messages that match its filters in the
// order of their numbers, each to one of its receivers. Messages that are not
// settled when their lease ends, or that are released, are delivered again
// before new ones, in the order in which that happened: a released message is
// behind those released before it, and behind those in hand. A message that was
// delivered MaxDeliver times is stranded: it stays in the stream, and its
// consumer never delivers it again.
//
// # Time
//
// Time is that of package time, and virtual inside a testing/synctest bubble.
// Nothing runs in the background: ages, schedules and leases are brought up to
// date by the next operation, in the order of their times, and while a receive
// waits, by one timer per consumer and one per receive. Something that ends at
// t is over at t, not after it.
//
// # Concurrency and cost
//
// All methods of [Engine] may be called concurrently; one mutex guards an
// engine. A publish costs O(log n) plus O(1) for each consumer that it is for;
// delivering, settling and expiring a message costs O(log n) in the number of
// messages in flight; removing one by a limit costs O(1) plus a check of each
// consumer that it was for. Creating a consumer walks over the stream once.
// Receives of one consumer are served in the order of their arrival, by
// hand-off: a cancelled receive has either got a message, and returns it, or
// never had it.
//
// # Ownership
//
// Body and Attrs are kept and handed out as they are, the same ones at each
// delivery: the engine neither copies nor reads them, and neither the publisher
// nor a receiver may change them.
package stream
