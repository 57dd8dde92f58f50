// Package billing is a small service as one would write it on the SDK: it takes
// orders from a queue and bills each once. Its test runs it on memory, in
// virtual time; in production it gets sqsbroker and natsbroker.
package billing

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/candidmq/candidmq/broker"
)

// Orders is what the service needs of its queue.
type Orders interface {
	broker.Subscriber
	broker.Describer
}

// Ledger remembers what has been billed. Production has a database with a
// unique key here.
type Ledger interface {
	// Bill bills an order, and does nothing if that was done before.
	Bill(ctx context.Context, id string, cents int64) error
}

// Service bills orders.
type Service struct {
	Orders Orders
	Events broker.Publisher
	Ledger Ledger
}

// Start begins to take orders; drain what it returns.
func (s *Service) Start(ctx context.Context) (*broker.Subscription, error) {
	// A destination that can lose orders is not one to start on.
	err := broker.Require(ctx, s.Orders, "orders",
		broker.NeedAtLeastOnce(), broker.NeedStored(), broker.NeedDeadLetter())
	if err != nil {
		return nil, err
	}
	return s.Orders.Subscribe(ctx, "orders", s.bill, broker.Group("billing"), broker.Concurrency(8))
}

// bill handles one order: nil deletes it, an error has it delivered again, and
// Reject moves it to the dead-letter queue.
func (s *Service) bill(ctx context.Context, d *broker.Delivery) error {
	var order struct {
		ID    string
		Cents int64
	}
	if err := json.Unmarshal(d.Body, &order); err != nil {
		return broker.Reject(fmt.Errorf("not an order: %w", err))
	}
	// An order may be delivered more than once, so the ledger is idempotent. Its key
	// is the order's id, since a publisher that retries creates a new message.
	if err := s.Ledger.Bill(ctx, order.ID, order.Cents); err != nil {
		return err
	}
	// If this fails the order is delivered again, is not billed again, and gets here.
	_, err := s.Events.Publish(ctx, broker.Message{Subject: "invoice.created", Body: d.Body})
	return err
}
