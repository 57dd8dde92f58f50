package natsbroker_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

func TestJetStreamBatchKeepsOrderAndResults(t *testing.T) {
	r := newRig(t, &natsbroker.JetStreamOptions{MaxInFlight: 7})
	r.orders()
	var ms []broker.Message
	var want []string
	for i := range 300 {
		body := fmt.Sprint(i)
		want = append(want, body)
		ms = append(ms, broker.Message{Subject: "orders.new", Body: []byte(body)})
	}
	receipts, err := r.PublishBatch(soon(t), ms)
	if err != nil {
		t.Fatal(err)
	}
	for i, receipt := range receipts {
		if receipt.Outcome != broker.OutcomeStored || receipt.Sequence != broker.NewSequence(uint64(i+1)) {
			t.Fatalf("receipt %d is %+v", i, receipt)
		}
	}
	if got := texts(r.lease("ORDERS/c", 300)); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// With one in flight, nothing of a subject is sent after a failure.
func TestJetStreamBatchStopsAtAFailure(t *testing.T) {
	r := newRig(t, &natsbroker.JetStreamOptions{MaxInFlight: 1})
	r.orders()
	wrong := broker.Header{jetstream.ExpectedLastSeqHeader: "77"}
	receipts, err := r.PublishBatch(soon(t), []broker.Message{
		{Subject: "orders.a", Body: []byte("first")},
		{Subject: "orders.a", Header: wrong},
		{Subject: "orders.a", Body: []byte("after a failure")},
		{Subject: "orders.b", Body: []byte("another subject")},
	})
	for i, want := range []error{nil, natsbroker.ErrExpectation, broker.ErrSkipped, nil} {
		if got := broker.ItemError(err, i); !errors.Is(got, want) || (receipts[i].Outcome == broker.OutcomeStored) != (want == nil) {
			t.Errorf("item %d: got %v and %+v, want %v", i, got, receipts[i], want)
		}
	}
	if mayPass(broker.ItemError(err, 2)) {
		t.Error("what stands behind a failed expectation may not pass")
	}
	if got := texts(r.lease("ORDERS/c", 2)); !slices.Equal(got, []string{"first", "another subject"}) {
		t.Errorf("stored: %q", got)
	}
}
