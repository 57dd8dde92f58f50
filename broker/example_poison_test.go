package broker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// A message that cannot be decoded can never succeed: the handler, which knows
// the encoding, rejects it, and it rests in the dead-letter queue after one
// attempt. The others go on.
func ExampleReject() {
	ctx := context.Background()
	b := memory.NewSQS(nil)
	defer func() { _ = b.Close(ctx) }()
	err := errors.Join(
		b.CreateQueue("dead", memory.QueueOptions{}),
		b.CreateQueue("orders", memory.QueueOptions{DeadLetter: "dead", MaxReceives: 5}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, body := range []string{`{"number":1}`, `{number: none}`, `{"number":2}`} {
		if _, err := b.Publish(ctx, broker.Message{Subject: "orders", Body: []byte(body)}); err != nil {
			fmt.Println(err)
		}
	}

	_, err = b.Subscribe(ctx, "orders", func(_ context.Context, d *broker.Delivery) error {
		var o struct{ Number int }
		if err := json.Unmarshal(d.Body, &o); err != nil {
			return broker.Reject(fmt.Errorf("not an order: %w", err))
		}
		fmt.Println("order", o.Number)
		return nil
	}, broker.Group("billing"))
	if err != nil {
		fmt.Println(err)
		return
	}

	if err := b.WaitIdle(ctx); err != nil {
		fmt.Println(err)
	}
	state, err := b.Contents("orders")
	for _, d := range state.DeadLetters {
		fmt.Printf("at rest after %d attempt: %s, %v\n", d.Attempt, d.Body, err)
	}
	// Output:
	// order 1
	// order 2
	// at rest after 1 attempt: {number: none}, <nil>
}
