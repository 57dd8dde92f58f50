package natsbroker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// Each mistake is a typed error that names its remedy.
func TestJetStreamErrorsNameTheRemedy(t *testing.T) {
	r := newRig(t, nil)
	r.orders(func(_ *jetstream.StreamConfig, c *jetstream.ConsumerConfig) { c.FilterSubject = "orders.new" })
	r.stream(jetstream.StreamConfig{Name: "MSGS", Subjects: []string{"msgs"}, MaxMsgs: 1, Discard: jetstream.DiscardNew})
	r.stream(jetstream.StreamConfig{Name: "BYTES", Subjects: []string{"bytes"}, MaxBytes: 100, Discard: jetstream.DiscardNew})
	r.stream(jetstream.StreamConfig{
		Name: "EACH", Subjects: []string{"each.*"}, MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true,
	})
	r.put("msgs", "fits")
	r.put("each.a", "fits")
	put := func(subject string) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := r.Publish(ctx, broker.Message{Subject: subject, Body: make([]byte, 100)})
			return err
		}
	}
	join := func(subject string, opts ...broker.SubscribeOption) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := r.Subscribe(ctx, subject, discard, opts...)
			return err
		}
	}
	ensure := func(stream string, filters ...string) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			_, err := r.EnsureConsumer(ctx, stream, jetstream.ConsumerConfig{Durable: "made", FilterSubjects: filters})
			return err
		}
	}
	for name, test := range map[string]struct {
		do   func(ctx context.Context) error
		want error
		says string
	}{
		"publish: subject not captured": {put("nobody"), broker.ErrNotFound, "EnsureStream"},
		"batch: subject not captured": {func(ctx context.Context) error {
			_, err := r.PublishBatch(ctx, []broker.Message{{Subject: "nobody"}})
			return err
		}, broker.ErrNotFound, "EnsureStream"},
		"publish: too many messages":      {put("msgs"), natsbroker.ErrFull, "max_msgs"},
		"publish: too many bytes":         {put("bytes"), natsbroker.ErrFull, "max_bytes"},
		"publish: too many of a subject":  {put("each.a"), natsbroker.ErrFull, "per subject"},
		"full can be tried again":         {put("msgs"), broker.ErrThrottled, "delete some"},
		"receive: stream missing":         {func(ctx context.Context) error { _, err := r.Receive(ctx, "NONE/c", 1); return err }, broker.ErrNotFound, "EnsureStream"},
		"receive: consumer missing":       {func(ctx context.Context) error { _, err := r.Receive(ctx, "ORDERS/none", 1); return err }, broker.ErrNotFound, "EnsureConsumer"},
		"receive: a subject":              {func(ctx context.Context) error { _, err := r.Receive(ctx, "orders.new", 1); return err }, broker.ErrInvalid, "stream/consumer"},
		"subscribe: stream missing":       {join("nobody"), broker.ErrNotFound, "EnsureStream"},
		"subscribe: no such stream":       {join("NONE/c", broker.Group("c")), broker.ErrNotFound, "EnsureStream"},
		"subscribe: consumer missing":     {join("orders.new", broker.Group("none")), broker.ErrNotFound, "EnsureConsumer"},
		"subscribe: another filter":       {join("orders.old", broker.Group("c")), errors.ErrUnsupported, "filter_subject"},
		"subscribe: more than the filter": {join("orders.>", broker.Group("c")), errors.ErrUnsupported, "ORDERS/c in place of the subject"},
		"subscribe: several streams":      {join(">"), errors.ErrUnsupported, "one stream"},
		"ensure: stream missing":          {ensure("NONE"), broker.ErrNotFound, "EnsureStream"},
		"ensure: filter that is dead":     {ensure("ORDERS", "orders.new", "order.new"), broker.ErrInvalid, `orders.>`},
		"health: consumer missing":        {func(ctx context.Context) error { _, err := r.Health(ctx, "ORDERS/none"); return err }, broker.ErrNotFound, "EnsureConsumer"},
		"describe: stream missing":        {func(ctx context.Context) error { _, err := r.Describe(ctx, "NONE/c"); return err }, broker.ErrNotFound, "EnsureStream"},
	} {
		err := test.do(soon(t))
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, want %v that says %q", name, err, test.want, test.says)
		}
	}
}

// A consumer whose filter matches nothing of its stream is made by others: it is
// told by Describe, and found by the checklist.
func TestJetStreamDescribesADeadFilter(t *testing.T) {
	r := newRig(t, nil)
	r.orders(func(_ *jetstream.StreamConfig, c *jetstream.ConsumerConfig) { c.FilterSubject = "order.new" })
	if s := describe(t, r, "ORDERS/c"); s.Receive.Offered.V || !strings.Contains(s.Receive.Offered.From, "order.new") {
		t.Errorf("got %+v", s.Receive.Offered)
	}
	checked, err := broker.Check(soon(t), r, "ORDERS/c", broker.Usage{Receives: true, Idempotent: true})
	if err != nil || !strings.Contains(checked.String(), "not-offered") {
		t.Errorf("got %s, %v", checked, err)
	}
}

// A settlement that no connection takes was certainly not sent.
func TestJetStreamSettlementsWhileDownAreNotSent(t *testing.T) {
	for name, unconfirmed := range map[string]bool{"confirmed": false, "unconfirmed": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			r.orders()
			j, err := natsbroker.ConnectJetStream(soon(t), r.server.ClientURL(),
				&natsbroker.JetStreamOptions{RefuseWhileDown: true, Unconfirmed: unconfirmed}, nats.ReconnectWait(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = j.Close(context.WithoutCancel(t.Context())) })
			r.put("orders.new", "a")
			ds, err := j.Receive(soon(t), "ORDERS/c", 1)
			if err != nil || len(ds) != 1 {
				t.Fatalf("%d messages, %v", len(ds), err)
			}
			stopServer(r.server)
			eventually(t, "the connection is down", func() bool { return !j.Conn().IsConnected() })
			for call, err := range map[string]error{
				"Delete":  j.Delete(soon(t), ds...),
				"Extend":  j.Extend(soon(t), 0, ds...),
				"Release": j.Release(soon(t), 0, ds...),
			} {
				if err := broker.ItemError(err, 0); !errors.Is(err, broker.ErrUnavailable) || errors.Is(err, broker.ErrOutcomeUnknown) {
					t.Errorf("%s: got %v, want ErrUnavailable and nothing sent", call, err)
				}
			}
		})
	}
}
