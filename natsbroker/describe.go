package natsbroker

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// Describe reports what core NATS promises for a subject. Most of the facts are
// constants of the protocol. Four are read on each call: max_payload; the
// encryption of the connection; which JetStream stream, if any, stores the
// subject (see StoredBy, WithoutReader and RequestReply); and who would receive
// a message now (see Readers, where a queue group counts as one). A message to
// a subject that no stream stores is lost unless somebody is listening at that
// moment.
//
// The last two take two round trips: a STREAM.LIST, which needs permission to
// publish to $JS.API.STREAM.LIST, and, from nats-server 2.11 on, a trace, which
// asks the servers what they would do with a message without delivering or
// storing one, and needs permission to publish to the subject. A missing
// permission looks like no answer, so each is waited for at most 2 s. Facts
// that could not be read are unknown, with the reason. On an older server, a
// subject that no stream lists is unknown too, because mappings of the account
// are not visible, and so are its readers. The connection's own error handler
// is called when the server denies a request.
//
// [Options].Confirm is reflected in Confirm: confirmed messages are received,
// but no more stored than sent ones.
//
// A wildcard has no single answer and is refused.
func (b *Broker) Describe(ctx context.Context, destination string) (broker.Semantics, error) {
	const op = "describe"
	if err := b.ready(ctx, op, destination); err != nil {
		return broker.Semantics{}, err
	}
	native := b.address(destination)
	if err := natsrules.CheckSubject(native); err != nil {
		return broker.Semantics{}, err
	}
	ctx, cancel := b.withDeadline(ctx)
	defer cancel()
	stored, err := b.capture(ctx, native)
	if err != nil {
		return broker.Semantics{}, b.failure(op, destination, err)
	}
	return broker.Semantics{
		Destination: destination,
		Backend:     backend,
		Kind:        "subject",
		Durability:  broker.None[broker.Durability](docs),
		Replicas:    broker.None[int](docs),
		Retention:   broker.None[time.Duration](docs),
		WhenFull:    broker.None[broker.Full](docs),
		AtRest:      broker.None[broker.AtRest](docs),
		InTransit:   b.inTransit(),
		Publish:     b.publishing(&stored),
		Receive:     receiving(),
	}, nil
}

// Documents that define the constants.
const (
	docs      = "core NATS stores nothing, docs.nats.io/nats-concepts/core-nats"
	docsSend  = "core NATS is fire-and-forget, docs.nats.io/nats-concepts/core-nats"
	docsQueue = "docs.nats.io/nats-concepts/core-nats/queue"
	docsAsk   = "docs.nats.io/nats-concepts/core-nats/reqreply"
	docsSlow  = "docs.nats.io/using-nats/developer/connecting/events/slow"
	docsRate  = "no setting limits the rate of publishing, docs.nats.io/running-a-nats-service/configuration"
	docsWire  = "docs.nats.io/reference/reference-protocols/nats-protocol"
)

func (b *Broker) publishing(stored *capture) broker.Publishing {
	return broker.Publishing{
		Offered:       broker.Known(true, docsSend),
		StoredBy:      stored.storedBy(),
		Confirm:       b.confirmation(),
		WithoutReader: stored.withoutReader(),
		Readers:       stored.listeners(),
		Ordering:      broker.Known(broker.OrderingPerPublisher, docsSend),
		KeyRequired:   broker.Known(false, docsSend),
		IDRequired:    broker.Known(false, docsSend),
		DedupBy:       broker.None[broker.DedupBy](docs),
		DedupWindow:   broker.None[time.Duration](docs),
		DedupScope:    broker.None[broker.Scope](docs),
		RateScope:     broker.Unlimited[broker.Scope](docsRate),
		MaxDelay:      broker.None[time.Duration](docs),
		QueueDelay:    broker.None[time.Duration](docs),
		MessageTTL:    broker.None[time.Duration](docs),
		Schedule:      broker.Known(false, docs),
		MaxMessage:    b.maxMessage(),
		MaxHeaders:    broker.Unlimited[int](docsWire + ", within max_payload"),
		MaxHeaderSize: b.maxMessage(),
		MaxBatch:      broker.None[int](docsWire),
		MaxBatchSize:  broker.None[int64](docsWire),
		BatchAtomic:   broker.Known(false, docsWire),
		RequestReply:  stored.requestReply(),
	}
}

// confirmation returns what a nil error from Publish means on this broker.
func (b *Broker) confirmation() broker.Fact[broker.Confirm] {
	if b.confirm {
		return broker.Known(broker.ConfirmReceived, "Options.Confirm: a round trip after what was published")
	}
	return broker.Known(broker.ConfirmSent, docsSend)
}

func receiving() broker.Receiving {
	return broker.Receiving{
		Offered:      broker.Known(true, docsSend),
		Guarantee:    broker.Known(broker.GuaranteeAtMostOnce, docsSend),
		Ordering:     broker.Known(broker.OrderingPerPublisher, docsSend),
		Strict:       broker.Known(false, docsQueue),
		Distribution: broker.Known(broker.DistributionBoth, docsQueue),
		Redelivery:   broker.None[broker.Redelivery](docs),
		Lease:        broker.None[time.Duration](docs),
		MaxLease:     broker.None[time.Duration](docs),
		MaxAttempts:  broker.Known(1, docsSend),
		Exhausted:    broker.None[broker.Exhausted](docs),
		DeadLetter:   broker.None[string](docs),
		Replay:       broker.Known(false, docs),
		InFlight:     broker.None[int](docs),
		Slow:         broker.Known(broker.SlowDrops, docsSlow),
		MaxBatch:     broker.None[int](docsWire),
		Wait:         broker.None[time.Duration](docsWire),
	}
}

func (b *Broker) maxMessage() broker.Fact[int64] {
	if limit := b.conn.MaxPayload(); limit > 0 {
		return broker.Known(limit, "max_payload in the server's INFO")
	}
	return broker.Unknown[int64]("there was no connection yet")
}

func (b *Broker) inTransit() broker.Fact[string] {
	const from = "the connection's state"
	if !b.conn.IsConnected() {
		return broker.Unknown[string](nats.ErrDisconnected.Error())
	}
	state, err := b.conn.TLSConnectionState()
	if err != nil {
		return broker.None[string](from)
	}
	return broker.Known(tls.VersionName(state.Version), fmt.Sprintf("%s, %s", from, tls.CipherSuiteName(state.CipherSuite)))
}
