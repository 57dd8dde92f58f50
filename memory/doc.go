// Package memory is the in-memory backend: brokers for tests that behave like
// the ones in production, including their duplicates, redeliveries, windows,
// drops and refusals.
//
// [SQS] simulates Amazon SQS, Standard and FIFO; [CoreNATS] simulates core
// NATS, and [JetStream] NATS with streams. Each has exactly the roles of the
// backend that it simulates, so code that compiles with one compiles with the
// other. [Broker] joins the first two for a quick start.
//
// # In a test
//
// A test passes one of these types to a service that takes a role, such as
// broker.Publisher. Time is that of package time: inside a testing/synctest
// bubble a visibility timeout of 12 hours passes instantly.
//
// Beyond the roles there are helpers for tests: FailNext makes calls fail,
// WaitIdle waits until all messages are handled, [SQS.Contents] inspects a
// queue, [JetStream.Contents] a consumer, and [Handle] is for hand-made
// deliveries. WorstCase, an option of all three, is the seed of a run in which
// rare events that the contract allows do happen: duplicates, disorder, drops.
//
// # Guarantees
//
// All methods may be called concurrently. Nothing polls, and an idle broker has
// no goroutines except those of broker.Consume, which the Subscribe of SQS and
// JetStream is built on, and one for each consumer that a subscription without
// a Group created. Nothing is written to disk: messages are gone when the
// process ends or the broker is closed, whatever durability Describe reports
// for the contract. Bodies and headers are copied when they are published, and
// shared by all receivers.
package memory
