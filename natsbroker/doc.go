// Package natsbroker is NATS behind the roles of package broker. [Broker] is
// core NATS: publish, subscribe and request-reply, each message delivered at
// most once. It has no receive-delete, because core NATS has nothing to delete;
// asking for it does not compile. [JetStream] is NATS with streams: publishes are
// stored and acknowledged, messages are leased and deleted, delivered at least
// once.
//
// # What core NATS promises
//
// A nil error of Publish means that the message left this process, or waits in
// the client's buffer while the connection is down ([broker.OutcomeSent]).
// Nobody confirms anything: a publish that no subscriber hears, that the server
// denies, or that was on its way when the server died is gone. With
// [Options].Confirm, Publish waits until the server has read the message
// ([broker.OutcomeReceived]), and publishes of many goroutines share the round
// trips that prove it; with [Options].RefuseWhileDown nothing waits in a buffer.
//
// When a connection is lost, the messages that nobody had confirmed are counted,
// and so are those whose buffer is discarded: [Broker.Losses], [Options].OnLoss,
// and the errors of Flush and Close tell the numbers. How many of them really are
// lost nobody knows; that no others are, the numbers say.
//
// Messages of one connection arrive in the order in which it published them,
// for each subscription. Handlers of different subscriptions run at once.
//
// A subscription that falls behind its [broker.PendingLimits] loses the newest
// messages. They are counted in [broker.Counts].Dropped and told to
// [broker.OnError], with their number as a [*broker.DropError], within 100 ms and also
// while a handler blocks. A message whose headers nats.go cannot parse is
// delivered without them, which is told to OnError too. Messages that the server
// gave up for a slow connection, and those that others published while this
// connection was down, are not counted by anybody; OnState tells when that was.
//
// # Requests
//
// The conventions of NATS services (ADR-32) are followed, for errors, and with
// [Options].Service for being found. On a subject that a stream captures, the
// stream's acknowledgement is no answer: it is a [*StrayAckError].
//
// # What JetStream promises
//
// A nil error of Publish means that the stream has the message, or had it before
// ([broker.OutcomeStored], [broker.OutcomeDuplicate]). On one server that is the
// operating system's cache, which the server writes to disk every two minutes by
// default; on a stream with replicas it is a majority of them. Nothing durable is
// created behind the caller's back: streams and consumers are made by
// [JetStream.EnsureStream] and [JetStream.EnsureConsumer], or by somebody else.
//
// A message that was received comes again unless it is deleted before the
// consumer's ack_wait ends. Redeliveries come out of order, unless the consumer's
// max_ack_pending is 1. After max_deliver a message is stranded: stored, and never
// delivered again; [DeadLetters] moves it instead.
//
// The file PITFALLS.md says of each known pitfall of NATS what is done about it.
//
// # Connections
//
// [New] takes a connection that its caller dialed and keeps; it is never
// closed here, and none of its handlers are replaced. [Connect] dials one that
// notices a dead peer within seconds and never gives up reconnecting. On a
// connection made with nats.go's own defaults a peer that stops reading blocks
// every call for up to a minute (nats.FlusherTimeout), a silent peer is noticed
// after six minutes (nats.PingInterval, nats.MaxPingsOutstanding), and after
// two minutes without a server the connection is closed for good
// (nats.MaxReconnects). Those are its owner's settings, of which [Broker.Inspect]
// tells. What one side refuses when Connect dials is a [*ConnectError] that says
// what helps.
//
// # Subjects
//
// Subjects are checked here, for publishing and for subscribing, because one
// that the server refuses closes the connection for everybody who shares it,
// and nats.go lets many of them pass. Header keys are case-sensitive. Several
// values of one key, as foreign publishers may send them, are reached through
// [broker.Delivery.As] with a **nats.Msg.
//
// # Concurrency
//
// All methods may be called concurrently. A subscription has no goroutine
// beyond nats.go's own; a Broker has one if [Options].OnState or OnLoss is set,
// and Close joins it. A timer looks after drops while messages are in hand.
package natsbroker
