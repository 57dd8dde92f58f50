package memory_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// Two consumers of one stream, as in production: each gets every order, and the
// ones that bill share theirs.
func ExampleJetStream() {
	ctx := context.Background()
	b := memory.NewJetStream(nil)
	defer func() { _ = b.Close(ctx) }()
	err := errors.Join(
		b.CreateStream(memory.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}}),
		b.CreateConsumer("ORDERS", memory.ConsumerConfig{Durable: "billing"}),
		b.CreateConsumer("ORDERS", memory.ConsumerConfig{Durable: "shipping"}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, id := range []string{"4711", "4712", "4711"} {
		r, err := b.Publish(ctx, broker.Message{Subject: "orders.placed", Body: []byte(id), DedupID: id})
		fmt.Println(r.Outcome, r.ID, err)
	}
	for _, consumer := range []string{"ORDERS/billing", "ORDERS/shipping"} {
		ds, err := b.Receive(ctx, consumer, 10)
		fmt.Println(consumer, len(ds), err, b.Delete(ctx, ds...))
	}
	// Output:
	// stored ORDERS:1 <nil>
	// stored ORDERS:2 <nil>
	// duplicate ORDERS:1 <nil>
	// ORDERS/billing 2 <nil> <nil>
	// ORDERS/shipping 2 <nil> <nil>
}

// A subscription without a Group reads what the stream has had before, too.
func ExampleJetStream_Subscribe() {
	ctx := context.Background()
	b := memory.NewJetStream(nil)
	defer func() { _ = b.Close(ctx) }()
	if err := b.CreateStream(memory.StreamConfig{Name: "PRICES", Subjects: []string{"prices.*"}}); err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range []broker.Message{
		{Subject: "prices.tea", Body: []byte("3")}, {Subject: "prices.tea", Body: []byte("4")}, {Subject: "prices.coffee", Body: []byte("5")},
	} {
		if _, err := b.Publish(ctx, m); err != nil {
			fmt.Println(err)
		}
	}
	_, err := b.Subscribe(ctx, "prices.*", func(_ context.Context, d *broker.Delivery) error {
		fmt.Printf("%s: %s\n", d.Subject, d.Body)
		return nil
	}, broker.FromLastPerSubject())
	if err != nil {
		fmt.Println(err)
	}
	if err := b.WaitIdle(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// prices.tea: 4
	// prices.coffee: 5
}

// A message that was tried too often moves to the dead-letter subject, whence it can
// be sent back.
func ExampleJetStream_Redrive() {
	ctx := context.Background()
	b := memory.NewJetStream(nil)
	defer func() { _ = b.Close(ctx) }()
	err := errors.Join(
		b.CreateStream(memory.StreamConfig{Name: "DEAD", Subjects: []string{"dead.orders"}, Retention: memory.WorkQueueRetention}),
		b.CreateConsumer("DEAD", memory.ConsumerConfig{Durable: "inspection"}),
		b.CreateStream(memory.StreamConfig{Name: "ORDERS", Subjects: []string{"orders"}, Retention: memory.WorkQueueRetention}),
		b.CreateConsumer("ORDERS", memory.ConsumerConfig{
			Durable: "billing", DeadLetters: memory.DeadLetters{Subject: "dead.orders", MaxAttempts: 3},
		}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := b.Publish(ctx, broker.Message{Subject: "orders", Body: []byte("poison")}); err != nil {
		fmt.Println(err)
	}
	sub, err := b.Subscribe(ctx, "orders", func(context.Context, *broker.Delivery) error {
		return broker.RetryAfter(time.Millisecond, errors.New("cannot be read"))
	}, broker.Group("billing"))
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := b.WaitIdle(ctx); err != nil {
		fmt.Println(err)
	}
	if _, err := sub.Drain(ctx); err != nil {
		fmt.Println(err)
	}
	state, err := b.Contents("ORDERS/billing")
	for _, d := range state.DeadLetters {
		fmt.Printf("%s, %s, %s\n", d.Body, d.Header[broker.RejectReasonHeader], d.Header[broker.RejectSubjectHeader])
	}
	fmt.Println(err)
	fmt.Println(b.Redrive(ctx, "DEAD/inspection", 10))
	// Output:
	// poison, tried 3 times, orders
	// <nil>
	// 1 <nil>
}

// A transfer is both of its messages or none.
func ExampleJetStream_PublishAtomic() {
	ctx := context.Background()
	b := memory.NewJetStream(nil)
	defer func() { _ = b.Close(ctx) }()
	accounts := memory.StreamConfig{Name: "ACCOUNTS", Subjects: []string{"accounts.*"}, AllowAtomicPublish: true}
	if _, err := b.EnsureStream(ctx, accounts); err != nil {
		fmt.Println(err)
		return
	}
	receipts, err := b.PublishAtomic(ctx, []broker.Message{
		{Subject: "accounts.anna", Body: []byte("-5"), DedupID: "transfer-1-from"},
		{Subject: "accounts.bert", Body: []byte("+5"), DedupID: "transfer-1-to"},
	})
	fmt.Println(len(receipts), "stored:", err)
	_, err = b.PublishAtomic(ctx, []broker.Message{
		{Subject: "accounts.anna", Body: []byte("-7")},
		{Subject: "accounts.bert", Body: []byte("+5"), DedupID: "transfer-1-to"},
	})
	fmt.Println("a duplicate:", errors.Is(err, memory.ErrDuplicate))
	// Output:
	// 2 stored: <nil>
	// a duplicate: true
}

// What is there and differs is told, in the words of JetStream's API, and left as it
// is.
func ExampleJetStream_EnsureStream() {
	ctx := context.Background()
	b := memory.NewJetStream(nil)
	defer func() { _ = b.Close(ctx) }()
	for _, age := range []time.Duration{time.Hour, 2 * time.Hour} {
		e, err := b.EnsureStream(ctx, memory.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}, MaxAge: age})
		fmt.Println(e.Created, e.Drift, err)
	}
	// Output:
	// true [] <nil>
	// false [max_age is 1h0m0s, want 2h0m0s] <nil>
}
