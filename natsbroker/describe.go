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

// Describe tells what core NATS promises for a subject. It reads max_payload
// and the connection's encryption; the rest are constants of the protocol.
// Which stream stores the subject, if any, is not read. It does no I/O, needs
// no permission, and refuses wildcards: a wildcard has no one answer.
func (b *Broker) Describe(ctx context.Context, destination string) (broker.Semantics, error) {
	if err := b.ready(ctx, "describe", destination); err != nil {
		return broker.Semantics{}, err
	}
	native := b.address(destination)
	if err := natsrules.CheckSubject(native); err != nil {
		return broker.Semantics{}, err
	}
	const stored = "this broker does not read the streams"
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
		Publish:     b.publishing(stored),
		Receive:     receiving(),
	}, nil
}

// The documents that fix what is constant.
const (
	docs      = "core NATS stores nothing, docs.nats.io/nats-concepts/core-nats"
	docsSend  = "core NATS is fire-and-forget, docs.nats.io/nats-concepts/core-nats"
	docsQueue = "docs.nats.io/nats-concepts/core-nats/queue"
	docsAsk   = "docs.nats.io/nats-concepts/core-nats/reqreply"
	docsSlow  = "docs.nats.io/using-nats/developer/connecting/events/slow"
	docsWire  = "docs.nats.io/reference/reference-protocols/nats-protocol"
)

func (b *Broker) publishing(stored string) broker.Publishing {
	return broker.Publishing{
		Offered:       broker.Known(true, docsSend),
		StoredBy:      broker.Unknown[string](stored),
		Confirm:       broker.Known(broker.ConfirmSent, docsSend),
		WithoutReader: broker.Known(false, docsSend),
		Readers:       broker.Unknown[int]("the server does not tell a client"),
		Ordering:      broker.Known(broker.OrderingPerPublisher, docsSend),
		KeyRequired:   broker.Known(false, docsSend),
		IDRequired:    broker.Known(false, docsSend),
		DedupBy:       broker.None[broker.DedupBy](docs),
		DedupWindow:   broker.None[time.Duration](docs),
		DedupScope:    broker.None[broker.Scope](docs),
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
		RequestReply:  broker.Known(true, docsAsk+", unless a stream captures the subject"),
	}
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
