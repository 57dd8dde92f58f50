// Package natsbroker implements the roles of package broker on NATS. [Broker]
// is core NATS: publish, subscribe and request-reply, with each message
// delivered at most once. It has no receive-delete, because core NATS has
// nothing to delete; asking for it does not compile. [JetStream] is NATS with
// streams: publishes are stored and acknowledged, messages are leased and
// deleted, and delivery is at least once.
//
// # What core NATS promises
//
// A nil error from Publish means that the message has left this process, or is
// waiting in the client's buffer while the connection is down
// ([broker.OutcomeSent]). Nothing is confirmed: a message that no subscriber
// hears, that the server denies, or that was in transit when the server died is
// lost. With [Options].Confirm, Publish waits until the server has read the
// message ([broker.OutcomeReceived]), and concurrent publishes share the round
// trips that prove it; with [Options].RefuseWhileDown, nothing waits in a
// buffer.
//
// When a connection is lost, unconfirmed messages are counted, as are messages
// discarded with the buffer: [Broker.Losses], [Options].OnLoss, and the errors
// of Flush and Close report the numbers. How many of those messages were really
// lost is unknown, but no others were.
//
// Messages published on one connection arrive at each subscription in the order
// in which they were published. Handlers of different subscriptions run
// concurrently.
//
// A subscription that falls behind its [broker.PendingLimits] loses the newest
// messages. They are counted in [broker.Counts].Dropped and their number is
// reported to [broker.OnError] as a [*broker.DropError] within 100 ms, even
// while a handler blocks. A message whose headers nats.go cannot parse is
// delivered without them, which is also reported to OnError. Messages that the
// server dropped because the connection was slow, and messages that others
// published while this connection was down, are not counted; OnState reports
// when the connection was down.
//
// # Requests
//
// Requests follow the conventions of NATS services (ADR-32) for errors and,
// with [Options].Service, for discovery. On a subject that a stream captures,
// the stream's acknowledgement is not an answer: it is a [*StrayAckError].
//
// # What JetStream promises
//
// A nil error from Publish means that the stream has the message, or already
// had it ([broker.OutcomeStored], [broker.OutcomeDuplicate]). On one server,
// the message is then in the operating system's cache, which the server writes
// to disk every two minutes by default; on a stream with replicas, a majority
// of them have it. Nothing durable is created implicitly: streams and consumers
// are created by [JetStream.EnsureStream] and [JetStream.EnsureConsumer], or
// outside this package.
//
// A received message comes again unless it is deleted before the consumer's
// ack_wait ends. Redeliveries come out of order, unless the consumer's
// max_ack_pending is 1. After max_deliver a message is stranded: stored, but
// never delivered again; [DeadLetters] moves it instead.
//
// The file PITFALLS.md lists the known pitfalls of NATS and how this package
// handles each.
//
// # Connections
//
// [New] takes a connection that its caller dialed and keeps; this package never
// closes it or replaces its handlers. [Connect] dials one that notices a dead
// peer within seconds and never stops trying to reconnect. On a connection made
// with nats.go's defaults, a peer that stops reading blocks every call for up
// to a minute (nats.FlusherTimeout), a silent peer is noticed after six minutes
// (nats.PingInterval, nats.MaxPingsOutstanding), and after two minutes without
// a server the connection is closed for good (nats.MaxReconnects). Those
// settings belong to its owner; [Broker.Inspect] reports them, and
// [JetStream.Inspect] also consumers that deliver nothing, replicas that are
// missing, and missing leaders. If one side refuses the connection when Connect
// dials, the error is a [*ConnectError] with a remedy.
//
// # Subjects
//
// Subjects are checked before publishing and subscribing, because one that the
// server refuses closes the connection for everybody who shares it, and nats.go
// lets many of them pass. Header keys are case-sensitive. Multiple values of
// one key, which foreign publishers may send, are available through
// [broker.Delivery.As] with a **nats.Msg.
//
// # Concurrency
//
// All methods may be called concurrently. A subscription has no goroutine
// beyond nats.go's own; a Broker has one if [Options].OnState or OnLoss is set,
// and Close joins it. A timer checks for drops while messages are being
// handled.
package natsbroker
