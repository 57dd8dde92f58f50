package natsbroker_test

import (
	"context"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
)

// A leader that was frozen answers, when it runs again, what it was asked
// meanwhile. Those answers belong to no request that waits now: they must neither
// fail a Receive, nor end it, with a message on its way to it.
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
	former := receive(t, inbox, "the first request")
	r.put("orders.new", "zero")
	if ds := receive(t, got, "a message"); !slices.Equal(texts(ds), []string{"zero"}) {
		t.Fatalf("got %q", texts(ds))
	}
	for i, want := range []string{"first", "second"} {
		begin()
		reply := receive(t, inbox, "a request")
		if i == 0 && (reply == former || path.Dir(strings.ReplaceAll(reply, ".", "/")) != path.Dir(strings.ReplaceAll(former, ".", "/"))) {
			t.Fatalf("requests at %s and %s, want one subscription and two addresses", former, reply)
		}
		eventually(t, "the receive waits", func() bool { return r.info("ORDERS/c").NumWaiting == 1 })
		late := nats.NewMsg(former)
		late.Header.Set("Status", "408")
		late.Header.Set("Description", "Requests Pending")
		for range 30 {
			if err := other.PublishMsg(late); err != nil {
				t.Fatal(err)
			}
		}
		if err := other.Flush(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		r.put("orders.new", want)
		ds := receive(t, got, "the message")
		if !slices.Equal(texts(ds), []string{want}) || ds[0].Attempt != 1 || time.Since(began) > patience/2 {
			t.Fatalf("got %q after %v, want %q", texts(ds), time.Since(began), want)
		}
	}
	if len(inbox) > 0 {
		t.Errorf("%d further requests", len(inbox))
	}
}
