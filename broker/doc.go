// Package broker is one small interface for publish, subscribe, request-reply
// and receive-delete. NATS, Amazon SQS and an in-memory backend implement it,
// and each shows its real semantics: what is fire-and-forget stays visibly so.
//
// # Where to start
//
//	send                     Publisher, Message, Receipt
//	handle what comes        Subscriber, Handler, Group, Concurrency
//	read again, in order     Start (FromFirst, …), Ordered; where Replay is offered
//	fail, on purpose         return an error, RetryAfter, Reject
//	look at what failed      RejectReasonHeader and the other headers of dead letters
//	stop                     Subscription.Drain, Draining
//	ask and answer           Requester, Responder, ReplyError
//	receive and delete       Receiver; by hand, where Subscribe will not do
//	know what one relies on  Describer, Semantics, Require, Check
//	choose at run time       Broker, As
//	watch                    OnError, Counts, Snapshot, Observer, Logger
//	write a backend          NewDispatcher, Consume, Handle, package brokertest
//
// # Roles
//
// Each verb is a role, a small interface: [Publisher], [Subscriber],
// [Requester] and [Responder], [Receiver]; beside them [Describer], [Flusher]
// and [Pinger]. A backend's concrete type has the methods whose promise it
// keeps and no others, so handing SQS to code that needs a Requester does not
// compile. A function should ask for the narrowest role that it needs:
//
//	func placeOrder(ctx context.Context, p broker.Publisher, o Order) error
//
// Where the backend is chosen at run time, [As] finds a role or says why it is
// absent, and [Require] compares what the code relies on with what the
// destination really offers. What cannot be known before is an error at the
// call that matches [errors.ErrUnsupported]: compile time, start-up, call, in
// this order; never a panic, never a silent no-op.
//
// # Delivery
//
// There are two guarantees, and no exactly-once. Core NATS delivers at most
// once: a message that nobody listens for, or that comes faster than a
// subscriber takes it, is gone. SQS and JetStream deliver at least once: a
// message is leased to a receiver and comes again unless it is deleted before
// the lease (the visibility timeout, the ack wait) ends, so every handler must
// be idempotent. A
// deduplication window at the destination spares some duplicates and never all
// of them. Idempotent means: the effect is tied to a key of the message's own
// making, such as an order's number in the body, in one transaction with the
// effect, as by a unique key in a database. [Delivery].ID will not do for
// that, since a publisher that tries again makes a new message, and neither will
// noting the key before the effect: a crash in between loses it.
//
// A role says what can be called, not what is promised: core NATS is a
// Subscriber too. Code that must not lose messages says so with Require.
// [Receipt.Outcome] says for each published message what is known of
// it, and [Describer] what the destination promises.
//
// [Consume] is the one runtime under all leased backends. It takes no more than
// it can start, keeps leases alive with heartbeats, cancels the handler of a
// lost lease, and settles by what the handler returns; see there.
//
// A message that cannot be decoded is that message's problem: its handler
// returns [Reject], and it rests in the dead-letter queue while the others go
// on. There is no codec here: a handler decodes in three lines, as the example
// of Reject shows.
//
// # Ordering
//
// Order is what Semantics says it is, and its scope is named. On core NATS the
// messages of one connection arrive in the order in which it published them,
// for each subscription. On SQS FIFO the messages of one [Message.Key] do, and
// the runtime keeps that: one at a time for each key, and a failure holds back
// its own key only. A busy key takes no slots from the others. SQS Standard promises no order. [Concurrency] above 1 gives
// up the order between messages without a key. Asking for an order that the
// destination cannot give (a Key on SQS Standard) is refused.
//
// # Concurrency
//
// All methods of brokers and subscriptions may be called concurrently.
// Handlers of one subscription run one at a time unless Concurrency allows
// more; those of different subscriptions run at once. A handler may call any
// method, Drain of its own subscription included. A panic in a handler is one
// failed delivery, recovered in one place and told with its stack; it never
// ends the process or the subscription.
//
// Every goroutine has an owner that joins it. A subscription on a leased
// backend has one for its heartbeats, one for each handler that runs, and, while
// there is an idle slot, one that polls; under load a few more poll. One on core
// NATS has none beyond the client's own.
//
// # Ownership of bytes
//
// Publishing copies: the caller may reuse body and header as soon as the call
// returns. What is delivered belongs to whoever receives it, to keep for ever
// and to change never, since fan-out may share it.
//
// # Contexts
//
// The context of a call bounds that call. The context given to Subscribe,
// Respond or Consume bounds the set-up only; handlers inherit its values, not
// its end. A context without a deadline bounds nothing, except where waiting
// for ever would be a hang: requests, flushes and pings get
// [DefaultRequestTimeout].
//
// # Shutdown
//
// [Subscription.Drain] and [Broker].Close stop in two stages. First the intake:
// no further message is taken, a waiting receive is cancelled, what has not
// started goes back. Work in flight goes on, on a live context, until it is
// done or the context given to Drain ends; then handlers are cancelled with
// [ErrDraining] as the cause and have 5 s to return. The [Report] says what
// became of every message. Close never closes a connection or client that the
// broker was given.
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
// A release counts as an attempt on SQS and JetStream. Since no more is taken than
// can start, a drain causes few of them: on SQS FIFO, where one receive may bring
// several messages of a key, those that wait for their turn.
//
// # Errors
//
// Bad input is a [*FieldError] before any I/O. What a destination cannot do is
// an [*UnsupportedError] that names the reason and the alternative. A backend's
// failure is an [*Error]: [errors.Is] finds its category ([ErrThrottled],
// [ErrNotFound], …), [errors.As] the native error. Calls for many messages
// report each in a [*BatchError]. [ErrOutcomeUnknown] marks what may have taken
// effect. What goes wrong where nobody waits for a result (a handler's error on
// a backend without settling, a failed heartbeat, a dropped message) goes to
// the subscription's [OnError], its [Counts] and its logger.
//
// # Security
//
// Bodies and header values are never logged and never part of an error. CR, LF
// and NUL in headers, and wildcards or spaces in a published subject, are
// refused. TLS and credentials are the native clients' own options.
//
// # Compatibility
//
// Interfaces are never extended: a new capability is a new role. Later versions
// may add fields to structs ([Message], [Delivery], [Receipt], [Counts],
// [Report], [Snapshot], [Event], [Semantics], [Health], [Usage], [Ensured], [Drift]), options, error
// categories, findings of Check and words of the semantics vocabulary: write
// composite literals with field names, and handle a word that is unknown.
// Outcomes, states and the codes of findings keep their meaning.
//
// # Why it is like this
//
//   - Messages are values: 19 ns and no allocation a call in an experiment,
//     against 61 ns and one allocation for a fresh pointer; and no broker can
//     change its caller's message.
//   - Settling is on Receiver, not on Delivery: a Delete method on every
//     delivery would compile on core NATS, where it could only lie. It takes
//     many, because ten deletes in one call cost a tenth on SQS.
//   - Delivery is one concrete struct that a test can write as a literal; the
//     way back to the backend is the small interface [Handle].
//   - Outcome is a scale and not a bool, because SQS FIFO does not tell a
//     stored message from a duplicate, and core NATS tells nothing at all.
//   - Options of calls are plain values ([Group], [Concurrency], …), typed for
//     the calls that they fit: Wait in Subscribe does not compile. A backend
//     refuses what it does not know, so none is ignored in silence.
//   - A subscription is drained, not cancelled by its context, because a
//     context that ends tells nobody what became of the messages in hand.
//   - Concurrency is 1 by default: handlers that nobody declared safe for
//     concurrent use are not called concurrently, on any backend.
//   - An address is the backend's native one, or a name in the typed table of
//     its options. Nothing is translated behind the caller's back.
//
// # Writing a backend
//
// A backend without settling makes its subscriptions with [NewDispatcher]. A
// leased one implements Receiver and makes them with Consume; its [Handle]
// implements [Leased].
package broker
