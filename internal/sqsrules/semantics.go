package sqsrules

import (
	"time"

	"github.com/candidmq/candidmq/broker"
)

// Contract is what SQS promises of every queue of a kind, whatever its
// attributes, each fact with its document behind prefix. What an attribute
// says is unknown here: see the functions named Set…, and Lease, Retention,
// QueueDelay, AtRest and InTransit, which the broker fills.
func Contract(fifo bool, prefix string) broker.Semantics {
	c := cite(prefix)
	s := broker.Semantics{
		Kind:       "standard queue",
		Durability: broker.Known(broker.DurabilityManaged, c("AWS promises it, DG welcome")),
		Replicas:   broker.Unknown[int](c("AWS does not tell")),
		WhenFull:   broker.None[broker.Full](c("the backlog is unlimited, DG quotas-queues")),
		Publish:    publishing(c),
		Receive:    receiving(c),
	}
	if fifo {
		s.Kind = "fifo queue"
		orderByGroup(&s, c)
	}
	return s
}

type citation func(document string) string

func cite(prefix string) citation {
	return func(document string) string { return prefix + document }
}

func publishing(c citation) broker.Publishing {
	return broker.Publishing{
		Offered:       broker.Known(true, c("API SendMessage")),
		Confirm:       broker.Known(broker.ConfirmStored, c("API SendMessage")),
		WithoutReader: broker.Known(true, c("DG sqs-basic-architecture")),
		Readers:       broker.Unknown[int](c("SQS does not tell who polls")),
		Ordering:      broker.Known(broker.OrderingBestEffort, c("DG standard-queues")),
		KeyRequired:   broker.Known(false, c("DG standard-queues")),
		IDRequired:    broker.Known(false, c("DG standard-queues")),
		DedupBy:       broker.None[broker.DedupBy](c("DG standard-queues")),
		DedupWindow:   broker.None[time.Duration](c("DG standard-queues")),
		DedupScope:    broker.None[broker.Scope](c("DG standard-queues")),
		RateScope:     broker.Unlimited[broker.Scope](c("nearly unlimited calls a second, DG standard-queues")),
		MaxDelay:      broker.Known(MaxDelay, c("API SendMessage, DelaySeconds")),
		MessageTTL:    broker.None[time.Duration](c("API SendMessage")),
		Schedule:      broker.Known(false, c("API SendMessage")),
		MaxHeaders:    broker.Unlimited[int](c("10 are attributes, DG sqs-message-metadata; the others are packed into one of them")),
		MaxBatch:      broker.Known(MaxBatch, c("API SendMessageBatch")),
		MaxBatchSize:  broker.Known(int64(MaxBatchSize), c("API SendMessageBatch")),
		BatchAtomic:   broker.Known(false, c("API SendMessageBatch")),
		RequestReply:  broker.Known(false, c("SQS has none")),
	}
}

func receiving(c citation) broker.Receiving {
	return broker.Receiving{
		Offered:      broker.Known(true, c("API ReceiveMessage")),
		Guarantee:    broker.Known(broker.GuaranteeAtLeastOnce, c("DG standard-queues-at-least-once-delivery")),
		Ordering:     broker.Known(broker.OrderingBestEffort, c("DG standard-queues")),
		Strict:       broker.Known(false, c("DG standard-queues")),
		Distribution: broker.Known(broker.DistributionCompeting, c("DG sqs-visibility-timeout")),
		Redelivery:   broker.Known(broker.RedeliveryOnLeaseExpiryOrRelease, c("DG sqs-visibility-timeout")),
		MaxLease:     broker.Known(MaxLease, c("API ChangeMessageVisibility")),
		Replay:       broker.Known(false, c("API DeleteMessage")),
		InFlight:     broker.Known(MaxInFlight, c("DG quotas-queues")),
		Slow:         broker.Known(broker.SlowWaits, c("DG quotas-queues")),
		MaxBatch:     broker.Known(MaxBatch, c("API ReceiveMessage")),
		Wait:         broker.Known(MaxWait, c("this SDK's default")),
	}
}

// orderByGroup changes what a FIFO queue promises beyond a Standard one.
func orderByGroup(s *broker.Semantics, c citation) {
	const logic = "DG FIFO-queues-understanding-logic"
	s.Publish.Ordering = broker.Known(broker.OrderingPerKey, c(logic))
	s.Publish.KeyRequired = broker.Known(true, c("API SendMessage, MessageGroupId"))
	s.Publish.IDRequired = broker.Fact[bool]{}
	s.Publish.DedupBy = broker.Fact[broker.DedupBy]{}
	s.Publish.DedupWindow = broker.Known(DedupWindow, c("DG FIFO-queues-exactly-once-processing"))
	s.Publish.DedupScope = broker.Fact[broker.Scope]{}
	s.Publish.RateScope = broker.Fact[broker.Scope]{}
	s.Publish.MaxDelay = broker.None[time.Duration](c("API SendMessage, DelaySeconds"))
	s.Receive.Guarantee.From = c("DG FIFO-queues-understanding-logic")
	s.Receive.Ordering = broker.Known(broker.OrderingPerKey, c(logic))
	s.Receive.Strict = broker.Known(true, c(logic))
	s.Receive.InFlight.From = c("DG quotas-fifo")
}

// SetMaxMessage fills in the attribute MaximumMessageSize. Headers count
// towards it, and the body takes at least one byte of it.
func SetMaxMessage(s *broker.Semantics, n int64, from string) {
	s.Publish.MaxMessage = broker.Known(n, from)
	s.Publish.MaxHeaderSize = broker.Known(n-1, from)
}

// SetContentDedup fills in a FIFO queue's attribute ContentBasedDeduplication.
func SetContentDedup(s *broker.Semantics, on bool, from string) {
	s.Publish.IDRequired = broker.Known(!on, from)
	s.Publish.DedupBy = broker.Known(broker.DedupByID, from)
	if on {
		s.Publish.DedupBy = broker.Known(broker.DedupByIDOrContent, from)
	}
}

// SetDeadLetter fills in the attribute RedrivePolicy: the dead-letter queue, ""
// if there is none, and its maxReceiveCount.
func SetDeadLetter(s *broker.Semantics, target string, receives int, from string) {
	if target == "" {
		s.Receive.MaxAttempts = broker.Unlimited[int](from)
		s.Receive.Exhausted = broker.None[broker.Exhausted](from)
		s.Receive.DeadLetter = broker.None[string](from)
		return
	}
	s.Receive.MaxAttempts = broker.Known(receives, from)
	s.Receive.Exhausted = broker.Known(broker.ExhaustedDeadLettered, from)
	s.Receive.DeadLetter = broker.Known(target, from)
}
