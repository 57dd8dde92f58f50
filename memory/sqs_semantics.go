package memory

import (
	"context"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// contract marks the source of facts in Describe: the documents of the
// simulated backend.
const contract = "contract: "

// inProcess is how messages travel here: nobody can listen in.
const inProcess = "in process"

// Describe implements [broker.Describer]: the contract of SQS for a queue of
// that kind, with the queue's current options. Durability is the contract's;
// the messages in this process are gone when it ends.
func (b *SQS) Describe(ctx context.Context, subject string) (broker.Semantics, error) {
	q, err := b.begin(ctx, OpDescribe, subject)
	if err != nil {
		return broker.Semantics{}, err
	}
	if err := b.failure(OpDescribe); err != nil {
		return broker.Semantics{}, err
	}
	o := q.options
	s := sqsrules.Contract(q.rules.FIFO, contract)
	s.Destination, s.Backend = subject, backend
	s.Retention = broker.Known(o.Retention, contract+"MessageRetentionPeriod")
	s.AtRest = broker.Known(broker.AtRestSSESQS, contract+"SqsManagedSseEnabled, on in a new queue")
	s.InTransit = broker.Known(inProcess, "memory: there is no connection")
	s.Publish.StoredBy = broker.Known(q.name, contract+"QueueArn")
	s.Publish.QueueDelay = broker.Known(o.Delay, contract+"DelaySeconds")
	s.Receive.Lease = broker.Known(o.Visibility, contract+"VisibilityTimeout")
	sqsrules.SetMaxMessage(&s, int64(o.MaxMessage), contract+"MaximumMessageSize")
	sqsrules.SetDeadLetter(&s, o.DeadLetter, o.MaxReceives, contract+"RedrivePolicy")
	if o.DeadLetter != "" && b.settingsOf(o.DeadLetter).name == "" {
		s.Receive.DeadLetter = broker.Unknown[string]("RedrivePolicy names queue " + o.DeadLetter + ", which does not exist")
	}
	if q.rules.FIFO {
		sqsrules.SetContentDedup(&s, o.ContentBasedDedup, contract+"ContentBasedDeduplication")
		s.Publish.DedupScope = broker.Known(o.DedupScope, contract+"DeduplicationScope")
		s.Publish.RateScope = broker.Known(o.DedupScope, contract+"FifoThroughputLimit, which goes with DedupScope")
	}
	return s, nil
}
