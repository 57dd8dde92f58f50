package natsbroker_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// A consumer that is deleted and made anew has settings of its own, from its first
// delivery on.
func TestJetStreamReceiveFromAConsumerMadeAnew(t *testing.T) {
	r := newRig(t, nil)
	r.orders(func(_ *jetstream.StreamConfig, c *jetstream.ConsumerConfig) { c.AckWait = time.Hour })
	r.put("orders.new", "a", "b", "c")
	r.lease("ORDERS/c", 2)
	if err := r.js.DeleteConsumer(soon(t), "ORDERS", "c"); err != nil {
		t.Fatal(err)
	}
	r.consumer("ORDERS", jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute})
	for range 3 {
		if left := time.Until(r.lease("ORDERS/c", 1)[0].LeaseEnd); left > time.Minute {
			t.Errorf("leased for %v, where ack_wait is a minute", left)
		}
	}
}
