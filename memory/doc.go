// Package memory is the in-memory backend: brokers for tests that behave like
// the ones in production, with their duplicates, redeliveries, windows and
// drops, and their refusals.
//
// [SQS] plays Amazon SQS, Standard and FIFO; [CoreNATS] plays core NATS, and
// [JetStream] NATS with streams. Each has exactly the roles of the backend that it
// plays, so what compiles with one compiles with the other. [Broker] joins the
// first two for a quick start.
//
// # In a test
//
// A service that takes a role, such as broker.Publisher, is given one of these
// types in its test. Time is that of package time: inside a testing/synctest
// bubble a visibility timeout of 12 hours passes in no time at all.
//
// What a test needs beyond the roles: FailNext lets calls fail, WaitIdle waits
// until everything is handled, [SQS.Contents] looks into a queue, [JetStream.Contents]
// at a consumer, and [Handle] is for deliveries made by hand. WorstCase, an option
// of all, is the seed of a run in which what the contract allows and rarely happens
// does happen: duplicates, disorder, drops.
//
// # Guarantees
//
// All methods may be called concurrently. Nothing polls, and an idle broker has
// no goroutine of its own but those of broker.Consume, which the Subscribe of SQS
// and JetStream stands on, and one for each consumer that a subscription without a
// Group has to itself. Nothing is written anywhere: messages are gone when the
// process ends or the broker is closed, whatever Describe says of the contract.
// Bodies and headers are copied when they are published, and shared by everybody
// who receives them.
package memory
