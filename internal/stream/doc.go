// Package stream is a log of messages with consumers, with the semantics of
// NATS JetStream and nothing of its protocol: no configuration to validate, no
// JSON, no advisories. The in-memory backend stands on it.
//
// # What it promises
//
// A stream captures subjects, numbers what is published to them, and keeps it
// by its retention: until a limit is reached, until a consumer has settled it
// (a work queue), or until all interested consumers have (interest). Each
// consumer delivers the messages that match its filters in the order of their
// numbers, each to one of those that receive from it. What is not settled when
// its lease ends, or is released, is delivered again before what is new, in the
// order in which that happened: a message that was released is behind those
// that were released before it, and behind what is in hand. A message that was
// delivered MaxDeliver times is stranded: it stays in the stream, and its
// consumer never delivers it again.
//
// # Time
//
// Time is that of package time, and virtual inside a testing/synctest bubble.
// Nothing runs in the background: ages, schedules and leases are brought up to
// date by whichever operation comes next, in the order of their times, and while
// a receive waits, by one timer a consumer and one a receive. Something that ends
// at t is over at t, not after it.
//
// # Concurrency and cost
//
// All methods of [Engine] may be called concurrently; one mutex guards an
// engine. A publish costs O(log n) and O(1) for each consumer that it is for;
// delivering, settling and expiring a message O(log n), in the number of messages
// in flight; removing one by a limit O(1) and a look at each consumer that it was
// for. Creating a consumer walks over the stream once. Receives of one consumer
// are served in the order of their arrival, by hand-off: one that is cancelled has
// either got a message, and returns it, or never had it.
//
// # Ownership
//
// Body and Attrs are kept and handed out as they are, the same ones at each
// delivery: the engine neither copies nor reads them, and neither the publisher
// nor a receiver may change them.
package stream
