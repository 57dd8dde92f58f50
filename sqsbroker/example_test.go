package sqsbroker_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/sqsbroker"
	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// The queue is published to, received from and deleted from, on an endpoint
// in the process.
func Example() {
	server := sqstest.NewServer(nil)
	defer server.Close()
	client := server.Client()
	ctx := context.Background()
	if _, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("orders-placed")}); err != nil {
		fmt.Println(err)
		return
	}

	b, err := sqsbroker.New(client, &sqsbroker.Options{
		Queues: map[string]string{"orders.placed": "orders-placed"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	receipt, err := b.Publish(ctx, broker.Message{Subject: "orders.placed", Body: []byte("order 17")})
	fmt.Println(receipt.Outcome, err)

	ds, err := b.Receive(ctx, "orders.placed", 10, broker.Lease(time.Minute))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, d := range ds {
		fmt.Printf("%s from %s, attempt %d\n", d.Body, d.Source, d.Attempt)
	}
	fmt.Println(b.Delete(ctx, ds...))

	_, err = b.Publish(ctx, broker.Message{Subject: "orders.placed", Body: []byte("order 18"), Key: "customer-1"})
	fmt.Println(errors.Is(err, errors.ErrUnsupported), err)
	// Output:
	// stored <nil>
	// order 17 from orders-placed, attempt 1
	// <nil>
	// true sqs does not support Key on a Standard queue: it keeps no order; instead: a FIFO queue, or Tenant for fairness without order
}

// Handlers of one key run in order; Close waits for the work in hand.
func ExampleBroker_Subscribe() {
	server := sqstest.NewServer(nil)
	defer server.Close()
	client := server.Client()
	ctx := context.Background()
	_, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{
		QueueName:  aws.String("orders.fifo"),
		Attributes: map[string]string{"FifoQueue": "true", "ContentBasedDeduplication": "true"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	b, err := sqsbroker.New(client, nil)
	if err != nil {
		fmt.Println(err)
		return
	}

	done := make(chan string)
	_, err = b.Subscribe(ctx, "orders.fifo", func(_ context.Context, d *broker.Delivery) error {
		done <- d.Key + ": " + string(d.Body)
		return nil
	}, broker.Group("billing"), broker.Concurrency(8))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = b.PublishBatch(ctx, []broker.Message{
		{Subject: "orders.fifo", Key: "customer-1", Body: []byte("placed")},
		{Subject: "orders.fifo", Key: "customer-1", Body: []byte("paid")},
		{Subject: "orders.fifo", Key: "customer-1", Body: []byte("shipped")},
	})
	if err != nil {
		fmt.Println(err)
	}
	for range 3 {
		fmt.Println(<-done)
	}
	fmt.Println(b.Close(ctx))
	// Output:
	// customer-1: placed
	// customer-1: paid
	// customer-1: shipped
	// <nil>
}

// A service does not start on a queue that lacks what it relies on.
func ExampleBroker_Describe() {
	server := sqstest.NewServer(nil)
	defer server.Close()
	client := server.Client()
	ctx := context.Background()
	if _, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("orders")}); err != nil {
		fmt.Println(err)
		return
	}
	b, err := sqsbroker.New(client, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := b.Describe(ctx, "orders")
	fmt.Println(s.Kind, s.Receive.Guarantee, s.Receive.Lease, err)
	fmt.Println(broker.Require(ctx, b, "orders", broker.NeedAtLeastOnce(), broker.NeedDeadLetter()))
	// Output:
	// standard queue at-least-once 30s <nil>
	// "orders" does not offer what is needed:
	//   needs a dead-letter destination / has none / because RedrivePolicy is absent
}

// Every option of the AWS configuration passes through unchanged.
func ExampleConnect() {
	server := sqstest.NewServer(nil)
	defer server.Close()
	ctx := context.Background()
	b, err := sqsbroker.Connect(ctx, nil,
		config.WithRegion("us-east-1"),
		config.WithBaseEndpoint(server.URL()),
		config.WithCredentialsProvider(server.Config().Credentials),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(b.Ping(ctx))
	_, err = b.Publish(ctx, broker.Message{Subject: "orders", Body: []byte("order 17")})
	fmt.Println(errors.Is(err, broker.ErrNotFound))
	// Output:
	// <nil>
	// true
}
