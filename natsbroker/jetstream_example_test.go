package natsbroker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// exampleStreams stands in for a server with JetStream.
func exampleStreams() (url string, stop func()) {
	dir, err := os.MkdirTemp("", "jetstream")
	if err != nil {
		panic(err)
	}
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true, JetStream: true, StoreDir: dir,
	})
	if err != nil {
		panic(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		panic("the server does not start")
	}
	return s.ClientURL(), func() {
		s.Shutdown()
		s.WaitForShutdown()
		_ = os.RemoveAll(dir)
	}
}

// A work queue: publish, receive, delete.
func ExampleConnectJetStream() {
	url, stop := exampleStreams()
	defer stop()
	ctx := context.Background()

	j, err := natsbroker.ConnectJetStream(ctx, url, &natsbroker.JetStreamOptions{
		Queues: map[string]string{"billing": "ORDERS/billing"},
	})
	if err != nil {
		panic(err)
	}
	defer func() { _ = j.Close(ctx) }()

	_, err = j.Publish(ctx, broker.Message{Subject: "orders.placed"})
	fmt.Println("without a stream:", err != nil)

	stream, err := j.EnsureStream(ctx, jetstream.StreamConfig{
		Name: "ORDERS", Subjects: []string{"orders.>"}, Retention: jetstream.WorkQueuePolicy, Discard: jetstream.DiscardNew,
	})
	fmt.Println("stream created:", stream.Created, err)
	consumer, err := j.EnsureConsumer(ctx, "ORDERS", jetstream.ConsumerConfig{
		Durable: "billing", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute,
	})
	fmt.Println("consumer created:", consumer.Created, err)

	m := broker.Message{Subject: "orders.placed", Body: []byte("tea"), DedupID: "order-1"}
	for range 2 {
		receipt, err := j.Publish(ctx, m)
		fmt.Println(receipt.Outcome, receipt.ID, err)
	}
	ds, err := j.Receive(ctx, "billing", 10)
	if err != nil {
		panic(err)
	}
	for _, d := range ds {
		fmt.Printf("%s %s, attempt %d\n", d.ID, d.Body, d.Attempt)
	}
	fmt.Println(j.Delete(ctx, ds...))
	// Output:
	// without a stream: true
	// stream created: true <nil>
	// consumer created: true <nil>
	// stored ORDERS:1 <nil>
	// duplicate ORDERS:1 <nil>
	// ORDERS:1 tea, attempt 1
	// <nil>
}

// Read everything that a stream has, and then what comes.
func ExampleFromFirst() {
	url, stop := exampleStreams()
	defer stop()
	ctx := context.Background()
	j, err := natsbroker.ConnectJetStream(ctx, url, nil)
	if err != nil {
		panic(err)
	}
	defer func() { _ = j.Close(ctx) }()
	if _, err := j.EnsureStream(ctx, jetstream.StreamConfig{Name: "LOG", Subjects: []string{"log.*"}}); err != nil {
		panic(err)
	}
	for _, line := range []string{"one", "two"} {
		if _, err := j.Publish(ctx, broker.Message{Subject: "log.a", Body: []byte(line)}); err != nil {
			panic(err)
		}
	}
	lines := make(chan string)
	sub, err := j.Subscribe(ctx, "log.*", func(_ context.Context, d *broker.Delivery) error {
		lines <- string(d.Body)
		return nil
	}, broker.FromFirst())
	if err != nil {
		panic(err)
	}
	fmt.Println(<-lines, <-lines)
	_, err = sub.Drain(ctx)
	fmt.Println(err)
	// Output:
	// one two
	// <nil>
}

// Store all of some messages or none, and read a stream strictly in its order.
func ExampleJetStream_PublishAtomic() {
	url, stop := exampleStreams()
	defer stop()
	ctx := context.Background()
	j, err := natsbroker.ConnectJetStream(ctx, url, nil)
	if err != nil {
		panic(err)
	}
	defer func() { _ = j.Close(ctx) }()
	if _, err := j.EnsureStream(ctx, jetstream.StreamConfig{
		Name: "ACCOUNTS", Subjects: []string{"accounts.*"}, AllowAtomicPublish: true,
	}); err != nil {
		panic(err)
	}
	receipts, err := j.PublishAtomic(ctx, []broker.Message{
		{Subject: "accounts.anna", Body: []byte("-5"), DedupID: "transfer-1-from"},
		{Subject: "accounts.bert", Body: []byte("+5"), DedupID: "transfer-1-to"},
	})
	fmt.Println(len(receipts), "stored:", err)
	_, err = j.PublishAtomic(ctx, []broker.Message{
		{Subject: "accounts.anna", Body: []byte("-7")},
		{Subject: "accounts.bert", Body: []byte("+5"), DedupID: "transfer-1-to"},
	})
	fmt.Println("a duplicate:", errors.Is(err, natsbroker.ErrDuplicate))

	lines := make(chan string)
	_, err = j.Subscribe(ctx, "accounts.*", func(_ context.Context, d *broker.Delivery) error {
		lines <- d.ID + " " + d.Subject + " " + string(d.Body)
		return nil
	}, broker.Ordered{}, broker.FromFirst())
	if err != nil {
		panic(err)
	}
	fmt.Println(<-lines)
	fmt.Println(<-lines)
	// Output:
	// 2 stored: <nil>
	// a duplicate: true
	// ACCOUNTS:1 accounts.anna -5
	// ACCOUNTS:2 accounts.bert +5
}
