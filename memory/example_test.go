package memory_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// placeOrder is the code under test: in production it is given a
// *natsbroker.Broker.
func placeOrder(ctx context.Context, p broker.Publisher, id string) error {
	_, err := p.Publish(ctx, broker.Message{Subject: "orders.placed", Body: []byte(id)})
	return err
}

// A service that asks for a role is given the type that plays its backend.
func Example() {
	ctx := context.Background()
	b := memory.NewCoreNATS(nil)
	defer func() { _ = b.Close(ctx) }()
	_, err := b.Subscribe(ctx, "orders.*", func(_ context.Context, d *broker.Delivery) error {
		fmt.Printf("%s: %s\n", d.Subject, d.Body)
		return nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	fmt.Println(placeOrder(ctx, b, "4711"))
	fmt.Println(b.WaitIdle(ctx))

	b.FailNext(memory.OpPublish, 1, broker.ErrUnavailable)
	fmt.Println(placeOrder(ctx, b, "4712"))
	// Unordered output:
	// orders.placed: 4711
	// <nil>
	// <nil>
	// unavailable
}

// A message whose handler keeps failing ends in the dead-letter queue.
func ExampleSQS() {
	ctx := context.Background()
	b := memory.NewSQS(nil)
	defer func() { _ = b.Close(ctx) }()
	err := errors.Join(
		b.CreateQueue("orders-dead", memory.QueueOptions{}),
		b.CreateQueue("orders", memory.QueueOptions{DeadLetter: "orders-dead", MaxReceives: 3}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = b.Subscribe(ctx, "orders", func(_ context.Context, d *broker.Delivery) error {
		if string(d.Body) == "poison" {
			return broker.RetryAfter(0, errors.New("cannot be read"))
		}
		return nil
	}, broker.Group("billing"))
	if err != nil {
		fmt.Println(err)
		return
	}

	for _, body := range []string{"tea", "poison", "coffee"} {
		if _, err := b.Publish(ctx, broker.Message{Subject: "orders", Body: []byte(body)}); err != nil {
			fmt.Println(err)
		}
	}
	if err := b.WaitIdle(ctx); err != nil {
		fmt.Println(err)
	}
	state, err := b.Contents("orders")
	fmt.Println(len(state.Ready), "ready", err)
	for _, d := range state.DeadLetters {
		fmt.Printf("%s after %d attempts\n", d.Body, d.Attempt)
	}
	// Output:
	// 0 ready <nil>
	// poison after 3 attempts
}

// What a destination cannot honour is refused, as in production.
func ExampleSQS_Publish() {
	b := memory.NewSQS(nil)
	defer func() { _ = b.Close(context.Background()) }()
	if err := b.CreateQueue("orders", memory.QueueOptions{}); err != nil {
		fmt.Println(err)
		return
	}
	_, err := b.Publish(context.Background(), broker.Message{Subject: "orders", Body: []byte("tea"), Key: "customer-1"})
	fmt.Println(err)
	// Output:
	// sqs does not support Key on a Standard queue: it keeps no order; instead: a FIFO queue, or Tenant for fairness without order
}

// A delivery made by hand tells what the code under test did with it.
func ExampleHandle() {
	ctx := context.Background()
	b := memory.NewSQS(nil)
	defer func() { _ = b.Close(ctx) }()

	h := &memory.Handle{}
	d := &broker.Delivery{Message: broker.Message{Body: []byte("tea")}, Handle: h}
	fmt.Println(h.Settled())
	fmt.Println(b.Reject(ctx, "sold out", d))
	fmt.Println(h.Settled(), h.Reason())
	// Output:
	// unsettled
	// <nil>
	// rejected sold out
}
