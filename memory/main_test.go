package memory_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bubble runs a test in virtual time.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// closing closes b at the end of the test.
func closing[B broker.Broker](t *testing.T, b B) B {
	t.Helper()
	t.Cleanup(func() { must(t, b.Close(context.Background())) })
	return b
}

// newSQS has a queue "dead" (or "dead.fifo") and one with the given options.
func newSQS(t *testing.T, queue string, o memory.QueueOptions) *memory.SQS {
	t.Helper()
	b := closing(t, memory.NewSQS(nil))
	for _, dead := range []string{"dead", "dead.fifo"} {
		must(t, b.CreateQueue(dead, memory.QueueOptions{}))
	}
	must(t, b.CreateQueue(queue, o))
	return b
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantErr(t *testing.T, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("got error %v, want one that matches %v", err, target)
		}
	}
}

func wantField(t *testing.T, err error, field string) {
	t.Helper()
	wantErr(t, err, broker.ErrInvalid)
	if e, ok := errors.AsType[*broker.FieldError](err); ok && e.Field != field {
		t.Errorf("got %v, want field %s", err, field)
	}
}

func text(subject, body string) broker.Message {
	return broker.Message{Subject: subject, Body: []byte(body)}
}

func inGroup(subject, key, id, body string) broker.Message {
	return broker.Message{Subject: subject, Key: key, DedupID: id, Body: []byte(body)}
}

func publish(t *testing.T, p broker.Publisher, ms ...broker.Message) broker.Receipt {
	t.Helper()
	var last broker.Receipt
	for _, m := range ms {
		r, err := p.Publish(t.Context(), m)
		must(t, err)
		last = r
	}
	return last
}

// receive makes a short poll.
func receive(t *testing.T, b broker.Receiver, queue string, limit int, opts ...broker.ReceiveOption) []*broker.Delivery {
	t.Helper()
	ds, err := b.Receive(t.Context(), queue, limit, append([]broker.ReceiveOption{broker.Wait(0)}, opts...)...)
	must(t, err)
	return ds
}

// one receives the one message that there must be.
func one(t *testing.T, b broker.Receiver, queue string, opts ...broker.ReceiveOption) *broker.Delivery {
	t.Helper()
	ds := receive(t, b, queue, 10, opts...)
	if len(ds) != 1 {
		t.Fatalf("got %d messages %v, want 1", len(ds), bodies(ds))
	}
	return ds[0]
}

func none(t *testing.T, b broker.Receiver, queue string) {
	t.Helper()
	if ds := receive(t, b, queue, 10); len(ds) > 0 {
		t.Fatalf("got %v, want nothing", bodies(ds))
	}
}

func bodies(ds []*broker.Delivery) []string {
	var found []string
	for _, d := range ds {
		found = append(found, string(d.Body))
	}
	return found
}

func sleepUntil(at time.Time) { time.Sleep(time.Until(at)) }
