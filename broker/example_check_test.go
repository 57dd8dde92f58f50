package broker_test

import (
	"context"
	"fmt"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// queueWithoutRedrive is what a queue may look like that was made by hand.
type queueWithoutRedrive struct{}

func (queueWithoutRedrive) Describe(_ context.Context, destination string) (broker.Semantics, error) {
	const api = "API ReceiveMessage"
	s := broker.Semantics{Destination: destination, Backend: "sqs", Kind: "standard queue"}
	s.InTransit = broker.Known("TLS", "the client's endpoint")
	s.AtRest = broker.Known(broker.AtRestSSESQS, "SqsManagedSseEnabled")
	s.Durability = broker.Known(broker.DurabilityManaged, "AWS")
	s.WhenFull = broker.None[broker.Full]("the backlog is unlimited")
	s.Retention = broker.Known(96*time.Hour, "MessageRetentionPeriod")
	s.Receive.Offered = broker.Known(true, api)
	s.Receive.Guarantee = broker.Known(broker.GuaranteeAtLeastOnce, "Developer Guide")
	s.Receive.Slow = broker.Known(broker.SlowWaits, "Developer Guide")
	s.Receive.Lease = broker.Known(30*time.Second, "VisibilityTimeout")
	s.Receive.MaxLease = broker.Known(12*time.Hour, "quotas")
	s.Receive.MaxAttempts = broker.Unlimited[int]("RedrivePolicy is absent")
	s.Receive.DeadLetter = broker.None[string]("RedrivePolicy is absent")
	s.Receive.Wait = broker.Known(20*time.Second, "the broker's default")
	return s, nil
}

func (queueWithoutRedrive) Health(_ context.Context, destination string) (broker.Health, error) {
	h := broker.Health{Destination: destination}
	h.Ready = broker.Known[int64](12, "ApproximateNumberOfMessages")
	h.OldestAge = broker.Unknown[time.Duration]("SQS does not tell it")
	h.DeadLetterExists = broker.None[bool]("RedrivePolicy is absent")
	return h, nil
}

// A service that receives with its own loop, so that no heartbeat renews the
// lease of an order, looks at its queue before it starts.
func ExampleCheck() {
	found, err := broker.Check(context.Background(), queueWithoutRedrive{}, "orders", broker.Usage{
		Receives:     true,
		Idempotent:   true,
		NoHeartbeat:  true,
		WorstHandler: 2 * time.Minute,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(found)
	if len(found) > 0 && found[0].Severity == broker.SeverityError {
		fmt.Println("not fit for production")
	}
	// Output:
	// orders
	//   error    lease-too-short    the lease is 30s (VisibilityTimeout) and a handler may take 2m: the
	//                               message is delivered again while it is being handled
	//                               > raise the lease (visibility timeout, ack_wait), renew it while
	//                               > handling (Consume does), or shorten the work
	//   error    no-dead-letter     there is no dead-letter destination (RedrivePolicy is absent): a
	//                               message that always fails has nowhere to go
	//                               > create a dead-letter queue, and name it with 3 to 10 attempts in the
	//                               > redrive policy
	//   warning  backlog-old        the age of the oldest message is unknown: SQS does not tell it
	//                               > check that consumers run and keep up; where the age is unknown,
	//                               > monitor the backend's own metric
	// not fit for production
}
