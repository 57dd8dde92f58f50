package memory

import (
	"context"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// Describe implements [broker.Describer]: the contract of core NATS, for a
// subject without wildcards, with the current number of subscriptions.
func (b *CoreNATS) Describe(ctx context.Context, destination string) (broker.Semantics, error) {
	if err := b.open(ctx, OpDescribe, destination); err != nil {
		return broker.Semantics{}, err
	}
	native := b.address(destination)
	if err := natsrules.CheckSubject(native); err != nil {
		return broker.Semantics{}, err
	}
	if err := b.failure(OpDescribe); err != nil {
		return broker.Semantics{}, err
	}
	const nothingStored = contract + "core NATS stores nothing"
	s := broker.Semantics{
		Destination: destination, Backend: backend, Kind: "subject",
		Durability: broker.None[broker.Durability](nothingStored),
		Replicas:   broker.None[int](nothingStored),
		Retention:  broker.None[time.Duration](nothingStored),
		WhenFull:   broker.None[broker.Full](nothingStored),
		AtRest:     broker.None[broker.AtRest](nothingStored),
		InTransit:  broker.Known(inProcess, "memory: there is no connection"),
		Publish:    b.publishing(),
		Receive:    b.receiving(),
	}
	s.Publish.Readers = broker.Known(b.readers(native), "memory: subscriptions now")
	return s, nil
}

func (b *CoreNATS) publishing() broker.Publishing {
	const (
		stores = contract + "core NATS stores nothing"
		sends  = contract + "core NATS is fire-and-forget"
	)
	return broker.Publishing{
		Offered:       broker.Known(true, sends),
		StoredBy:      broker.None[string](stores),
		Confirm:       broker.Known(b.confirmation(), sends),
		WithoutReader: broker.Known(false, stores),
		Ordering:      broker.Known(broker.OrderingPerPublisher, contract+"NATS keeps each connection's order"),
		KeyRequired:   broker.Known(false, sends),
		IDRequired:    broker.Known(false, sends),
		DedupBy:       broker.None[broker.DedupBy](stores),
		DedupWindow:   broker.None[time.Duration](stores),
		DedupScope:    broker.None[broker.Scope](stores),
		RateScope:     broker.Unlimited[broker.Scope](contract + "no setting limits the rate of publishing"),
		MaxDelay:      broker.None[time.Duration](stores),
		QueueDelay:    broker.None[time.Duration](stores),
		MessageTTL:    broker.None[time.Duration](stores),
		Schedule:      broker.Known(false, stores),
		MaxMessage:    broker.Known(b.maxPayload, contract+"max_payload"),
		MaxHeaders:    broker.Unlimited[int](contract + "headers count against max_payload alone"),
		MaxHeaderSize: broker.Known(b.maxPayload, contract+"max_payload"),
		MaxBatch:      broker.None[int](contract + "core NATS has no batches"),
		MaxBatchSize:  broker.None[int64](contract + "core NATS has no batches"),
		BatchAtomic:   broker.Known(false, contract+"core NATS has no batches"),
		RequestReply:  broker.Known(true, contract+"core NATS has request-reply"),
	}
}

// confirmation is what a nil error of Publish means.
func (b *CoreNATS) confirmation() broker.Confirm {
	if b.confirm {
		return broker.ConfirmReceived
	}
	return broker.ConfirmSent
}

func (b *CoreNATS) receiving() broker.Receiving {
	const (
		once   = contract + "core NATS delivers at most once"
		leases = contract + "core NATS leases nothing"
	)
	return broker.Receiving{
		Offered:      broker.Known(true, once),
		Guarantee:    broker.Known(broker.GuaranteeAtMostOnce, once),
		Ordering:     broker.Known(broker.OrderingPerPublisher, contract+"NATS keeps each connection's order"),
		Strict:       broker.Known(false, contract+"members of a queue group work at the same time"),
		Distribution: broker.Known(broker.DistributionBoth, contract+"queue groups"),
		Redelivery:   broker.None[broker.Redelivery](once),
		Lease:        broker.None[time.Duration](leases),
		MaxLease:     broker.None[time.Duration](leases),
		MaxAttempts:  broker.Known(1, once),
		Exhausted:    broker.None[broker.Exhausted](once),
		DeadLetter:   broker.None[string](once),
		Replay:       broker.Known(false, contract+"core NATS stores nothing"),
		InFlight:     broker.None[int](leases),
		Slow:         broker.Known(broker.SlowDrops, contract+"pending limit of a subscription"),
		MaxBatch:     broker.None[int](leases),
		Wait:         broker.None[time.Duration](leases),
	}
}

func (b *CoreNATS) readers(native string) int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return len(b.index.Lookup(native, nil))
}
