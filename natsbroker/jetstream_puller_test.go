package natsbroker_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
)

// A leader that was frozen answers, when it runs again, what it was asked
// meanwhile. Those answers belong to no request that waits now: they must neither
// fail a Receive, nor keep a message waiting behind them until its lease is over.
func TestJetStreamReceiveIgnoresAnswersOfBefore(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	inbox := make(chan string, 100)
	other := dial(t, r.server)
	if _, err := other.Subscribe("$JS.API.CONSUMER.MSG.NEXT.>", func(m *nats.Msg) { inbox <- m.Reply }); err != nil {
		t.Fatal(err)
	}
	if err := other.Flush(); err != nil {
		t.Fatal(err)
	}
	got := make(chan []*broker.Delivery)
	begin := func() {
		go func() {
			ds, err := r.Receive(context.WithoutCancel(t.Context()), "ORDERS/c", 1, broker.Wait(patience))
			if err != nil {
				t.Error(err)
			}
			got <- ds
		}()
	}
	begin()
	late := nats.NewMsg(receive(t, inbox, "the request"))
	late.Header.Set("Status", "408")
	late.Header.Set("Description", "Requests Pending")
	eventually(t, "the receive waits", func() bool { return r.info("ORDERS/c").NumWaiting == 1 })
	for range 30 {
		if err := other.PublishMsg(late); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Flush(); err != nil {
		t.Fatal(err)
	}
	receive(t, inbox, "another request")
	for _, want := range []string{"first", "second"} {
		began := time.Now()
		r.put("orders.new", want)
		ds := receive(t, got, "the message")
		if !slices.Equal(texts(ds), []string{want}) || ds[0].Attempt != 1 || time.Since(began) > time.Second {
			t.Fatalf("got %q after %v, want %q", texts(ds), time.Since(began), want)
		}
		begin()
	}
	r.put("orders.new", "third")
	receive(t, got, "the last message")
}
