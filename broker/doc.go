// Package broker defines small interfaces for messaging (publish, subscribe,
// request-reply, receive and delete) and the runtime behind leased consumers.
// NATS, Amazon SQS and an in-memory backend implement them. Each backend
// documents what it guarantees instead of hiding it.
//
// # Where to start
//
//	send                      Publisher, Message, Receipt
//	handle messages           Subscriber, Handler, Group, Concurrency
//	read again, in order      Start (FromFirst, …), Ordered; where Replay is offered
//	fail deliberately         return an error, RetryAfter, Reject
//	inspect dead letters      RejectReasonHeader and the related headers
//	stop                      Subscription.Drain, Draining
//	request and reply         Requester, Responder, ReplyError
//	receive and delete        Receiver, where Subscribe does not fit
//	verify guarantees         Describer, Semantics, Require, Check
//	choose at run time        Broker, As
//	monitor                   OnError, Counts, Snapshot, Observer, Logger
//	write a backend           NewDispatcher, Consume, Handle, package brokertest
//
// # Roles
//
// Each operation is a role, a small interface: [Publisher], [Subscriber],
// [Requester] and [Responder], [Receiver]; besides these there are [Describer],
// [Flusher] and [Pinger]. A backend's concrete type has only the methods whose
// contract it can keep, so passing SQS to code that needs a Requester does not
// compile. A function should ask for the narrowest role that it needs:
//
//	func placeOrder(ctx context.Context, p broker.Publisher, o Order) error
//
// Where the backend is chosen at run time, [As] finds a role or reports why it
// is missing, and [Require] compares what the code relies on with what the
// destination offers. Anything that cannot be known in advance fails at the
// call, with an error that matches [errors.ErrUnsupported]. A missing
// capability therefore shows at compile time, at start-up or at the call, in
// that order; it never causes a panic or a silent no-op.
//
// # Delivery
//
// There are two guarantees, and no exactly-once. Core NATS delivers at most
// once: a message that has no listener, or that arrives faster than a
// subscriber handles it, is lost. SQS and JetStream deliver at least once: a
// message is leased to a receiver and is delivered again unless it is deleted
// before the lease (the visibility timeout, the ack wait) ends, so every
// handler must be idempotent. A deduplication window at the destination removes
// some duplicates, never all of them. To be idempotent, tie the effect to a key
// that belongs to the message's content, such as an order number in the body,
// and record that key in the same transaction as the effect, for example with a
// unique key in a database. [Delivery].ID does not serve as this key, since a
// publisher that retries creates a new message. Nor is it enough to record the
// key before the effect: a crash in between loses the effect.
//
// A role says what can be called, not what is guaranteed: core NATS is a
// Subscriber too. Code that must not lose messages states that with Require.
// [Receipt.Outcome] says what is known about each published message, and
// [Describer] what the destination guarantees.
//
// [Consume] is the one runtime under all leased backends. It receives no more
// than it can start, keeps leases alive with heartbeats, cancels the handler of
// a lost lease, and settles each message by the handler's result. A message is
// in hand from its receipt until it is settled or given up.
//
// A message that cannot be decoded does not hold up the others: its handler
// returns [Reject], which moves it to the dead-letter queue. This package has
// no codecs; a handler decodes in three lines, as the example of Reject shows.
//
// # Ordering
//
// Semantics states which order a destination keeps, and over what scope. On
// core NATS each subscription receives the messages of one connection in the
// order in which they were published. On SQS FIFO messages with the same
// [Message.Key] are ordered, and the runtime preserves that order: it handles
// one message per key at a time, and a failure holds back only its own key. A
// busy key takes no slots from the others. SQS Standard guarantees no order.
// [Concurrency] above 1 gives up the order between messages without a key.
// Asking for an order that the destination cannot provide (a Key on SQS
// Standard) is refused.
//
// # Concurrency
//
// All methods of brokers and subscriptions may be called concurrently. Handlers
// of one subscription run one at a time unless Concurrency allows more;
// handlers of different subscriptions run concurrently. A handler may call any
// method, including Drain of its own subscription. A panic in a handler is one
// failed delivery, recovered in one place and reported with its stack; it never
// ends the process or the subscription.
//
// Every goroutine has an owner that waits for it. A subscription on a leased
// backend has one for its heartbeats, one for each running handler and, while a
// slot is idle, one that polls; under load a few more poll. On core NATS it has
// none beyond the client's own.
//
// # Ownership of bytes
//
// Publishing copies: the caller may reuse body and header as soon as the call
// returns. The receiver of a delivery may keep it forever but must not modify
// it, since fan-out may share it.
//
// # Contexts
//
// The context of a call bounds that call. The context given to Subscribe,
// Respond or Consume bounds set-up only; handlers inherit its values but not
// its cancellation. A context without a deadline sets no bound, except where
// waiting forever would be a hang: requests, flushes and pings use
// [DefaultRequestTimeout].
//
// # Shutdown
//
// [Subscription.Drain] and [Broker].Close stop in two stages. The first ends
// the intake: no further message is taken, a waiting receive is cancelled, and
// messages that have not started are released. Running handlers continue, on a
// live context, until they return or the context given to Drain ends. In the
// second stage they are cancelled with [ErrDraining] as the cause and have 5 s
// to return. The [Report] accounts for every message. Close never closes a
// connection or client that was passed to the broker.
//
//	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//	defer stop()
//	sub, err := b.Subscribe(ctx, "orders", handle, broker.Group("billing"))
//	…
//	<-ctx.Done()
//	stop() // a second signal ends the process at once
//	deadline, cancel := context.WithTimeout(context.Background(), 20*time.Second)
//	defer cancel()
//	report, err := sub.Drain(deadline)
//
// A release counts as an attempt on SQS and JetStream. Since no more messages
// are received than can start, a drain causes few releases: on SQS FIFO, where
// one receive may return several messages of a key, those that wait for their
// turn.
//
// # Errors
//
// Bad input is a [*FieldError], returned before any I/O. An operation that a
// destination does not support is an [*UnsupportedError] that names the reason
// and the alternative. A backend's failure is an [*Error]: [errors.Is] finds
// its category ([ErrThrottled], [ErrNotFound], …), [errors.As] the native
// error. Calls for many messages report each failure in a [*BatchError].
// [ErrOutcomeUnknown] marks an operation that may have taken effect. Failures
// that no caller waits for (a handler's error on a backend without settling, a
// failed heartbeat, a dropped message) are reported to the subscription's
// [OnError], its [Counts] and its logger.
//
// # Security
//
// Bodies and header values are never logged and never part of an error. CR, LF
// and NUL in headers, and wildcards or spaces in a published subject, are
// refused. TLS and credentials are configured on the native clients.
//
// # Compatibility
//
// Interfaces are never extended: a new capability is a new role. Later versions
// may add fields to structs ([Message], [Delivery], [Receipt], [Counts],
// [Report], [Snapshot], [Event], [Semantics], [Health], [Usage], [Ensured],
// [Drift]), options, error categories, findings of Check and values of the
// semantics types: write composite literals with field names, and be prepared
// for unknown values. Outcomes, states and the codes of findings keep their
// meaning.
//
// # Writing a backend
//
// A backend without settling creates its subscriptions with [NewDispatcher]. A
// leased one implements Receiver and creates them with Consume; its [Handle]
// implements [Leased].
//
// # Design decisions
//
//   - Messages are values: in an experiment a call took 19 ns and no
//     allocation, against 61 ns and one allocation for a fresh pointer; and no
//     broker can modify its caller's message.
//   - Settling is on Receiver, not on Delivery: a Delete method on every
//     delivery would compile on core NATS, where it could not work. It takes
//     many deliveries, because ten deletes in one call cost a tenth on SQS.
//   - Delivery is one concrete struct that a test can write as a literal; the
//     small interface [Handle] leads back to the backend.
//   - Outcome is a scale and not a bool, because SQS FIFO does not distinguish
//     a stored message from a duplicate, and core NATS confirms nothing at all.
//   - Options of calls are plain values ([Group], [Concurrency], …), typed for
//     the calls they apply to: Wait in Subscribe does not compile. A backend
//     refuses options it does not know, so none is silently ignored.
//   - A subscription is drained, not cancelled by its context, because a
//     cancelled context does not report what became of the messages in hand.
//   - Concurrency is 1 by default: handlers not declared safe for concurrent
//     use are not called concurrently, on any backend.
//   - An address is the backend's native one, or a name in the typed table of
//     its options. Nothing is translated behind the caller's back.
package broker
