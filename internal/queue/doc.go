// Package queue is a message queue with the semantics of Amazon SQS, Standard
// and FIFO, but none of its protocol: no names to validate, no JSON, no
// digests. The in-memory backend and the SQS test endpoint are both built on
// it.
//
// # What it promises
//
// A Standard queue hands out messages in the order in which they became
// visible; a message that becomes visible again goes to the back. A FIFO queue
// delivers a message if and only if no earlier message of its group is in
// flight or delayed; groups take turns by the age of their first message, and
// one receive takes as many messages of one group as it can before it turns to
// the next. The rule has a trap that SQS has too: of two messages received
// together, the first one released alone is delivered again while the second is
// still being worked on.
//
// A message is delivered at least once. Its receiver holds it on lease until it
// is deleted or the lease runs out; each receive gives a new [Receipt]. On a
// FIFO queue a receipt expires with its lease; on a Standard queue it can
// delete the message for as long as the message is there.
//
// # Time
//
// The clock is the caller's. Nothing runs in the background: leases, delays,
// retention and dedup windows are brought up to date by the next operation and,
// while a poll waits, by one timer per queue, set for the next change, and one
// per poll, set for its end. With [SystemClock] all of it is virtual inside a
// testing/synctest bubble. Something that ends at t is over at t, not after it.
//
// # Concurrency and cost
//
// All methods of [Engine] may be called concurrently. One mutex guards an
// engine, so a move from a queue to its dead-letter queue is atomic. Sending,
// receiving, settling and expiring a message cost O(log n) or less in the
// number of messages and groups. Polls of one queue are served in the order of
// their arrival, by hand-off: a message is given to a poll under the mutex, so
// a cancelled poll has either got it, and returns it, or never had it.
//
// # Ownership
//
// Body and Attrs are kept and handed out as they are, the same ones at each
// receive: the engine neither copies nor reads them, and neither the sender nor
// a receiver may change them.
package queue
