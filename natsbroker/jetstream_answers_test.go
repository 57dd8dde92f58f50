package natsbroker_test

import (
	"context"
	"testing"

	"github.com/candidmq/candidmq/broker"
)

// A connection that is closed for good ends the waits for answers on it.
func TestJetStreamWaitsEndWithTheConnection(t *testing.T) {
	for name, ask := range map[string]func(context.Context, broker.Broker, *broker.Delivery) error{
		"publish": func(ctx context.Context, b broker.Broker, _ *broker.Delivery) error {
			_, err := b.Publish(ctx, broker.Message{Subject: "orders.new"})
			return err
		},
		"batch": func(ctx context.Context, b broker.Broker, _ *broker.Delivery) error {
			_, err := b.PublishBatch(ctx, []broker.Message{{Subject: "orders.new"}, {Subject: "orders.new"}})
			return broker.ItemError(err, 1)
		},
		"delete": func(ctx context.Context, b broker.Broker, d *broker.Delivery) error {
			return broker.ItemError(b.(broker.Receiver).Delete(ctx, d), 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			r.orders()
			r.put("orders.new", "a")
			j, l := r.slowly()
			ds, err := j.Receive(soon(t), "ORDERS/c", 1)
			if err != nil || len(ds) != 1 {
				t.Fatal(ds, err)
			}
			l.silence()
			before := j.Conn().Stats().OutMsgs
			ended := make(chan error)
			ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 3*patience)
			defer cancel()
			go func() { ended <- ask(ctx, j, ds[0]) }()
			eventually(t, "it is sent", func() bool { return j.Conn().Stats().OutMsgs > before })
			j.Conn().Close()
			wantErr(t, receive(t, ended, "the wait to end"), broker.ErrClosed, broker.ErrOutcomeUnknown)
		})
	}
}
