package natsbroker_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
)

// responders answer on "ask", each with its number.
func responders(t *testing.T, b broker.Responder, n int) {
	t.Helper()
	for i := range n {
		if _, err := b.Respond(soon(t), "ask", func(context.Context, *broker.Delivery) (broker.Message, error) {
			return broker.Message{Body: []byte(fmt.Sprint(i))}, nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}

// gather takes all that is yielded.
func gather(ctx context.Context, g broker.Gatherer, opts ...broker.GatherOption) (answers []string, err error) {
	for d, e := range g.Gather(ctx, broker.Message{Subject: "ask"}, opts...) {
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		answers = append(answers, string(d.Body))
	}
	slices.Sort(answers)
	return answers, err
}

func TestGatherEnds(t *testing.T) {
	b := newBroker(t, startServer(t), nil)
	responders(t, b, 3)
	all := []string{"0", "1", "2"}

	got, err := gather(soon(t), b, broker.Replies(3))
	if !slices.Equal(got, all) || err != nil {
		t.Errorf("by count: got %q, %v", got, err)
	}
	if got, err := gather(soon(t), b, broker.Replies(2)); len(got) != 2 || err != nil {
		t.Errorf("by a smaller count: got %q, %v", got, err)
	}
	got, err = gather(soon(t), b, broker.Silence(50*time.Millisecond))
	if !slices.Equal(got, all) || err != nil {
		t.Errorf("by silence: got %q, %v", got, err)
	}
	short := func() context.Context {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		t.Cleanup(cancel)
		return ctx
	}
	got, err = gather(short(), b)
	if !slices.Equal(got, all) || err != nil {
		t.Errorf("by the deadline: got %q, %v", got, err)
	}
	got, err = gather(short(), b, broker.Replies(4))
	if !slices.Equal(got, all) {
		t.Errorf("with too few: got %q", got)
	}
	wantErr(t, err, context.DeadlineExceeded, broker.ErrOutcomeUnknown)
	if n := b.Conn().NumSubscriptions(); n != 3 {
		t.Errorf("%d subscriptions are left, want those of the responders", n)
	}
}

func TestGatherIsLazyAndCanBeLeft(t *testing.T) {
	b := newBroker(t, startServer(t), nil)
	asked := make(chan struct{}, 10)
	if _, err := b.Respond(soon(t), "ask", func(context.Context, *broker.Delivery) (broker.Message, error) {
		asked <- struct{}{}
		return broker.Message{}, nil
	}); err != nil {
		t.Fatal(err)
	}
	seq := b.Gather(soon(t), broker.Message{Subject: "ask"})
	if err := b.Flush(soon(t)); err != nil || len(asked) > 0 {
		t.Errorf("asked before the loop, or %v", err)
	}
	for range 2 {
		for _, err := range seq {
			if err != nil {
				t.Error(err)
			}
			break
		}
		receive(t, asked, "the question")
	}
	if n := b.Conn().NumSubscriptions(); n != 1 {
		t.Errorf("%d subscriptions are left", n)
	}
}

func TestGatherErrors(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil)
	began := time.Now()
	_, err := gather(soon(t), b)
	wantErr(t, err, broker.ErrNoResponders)
	if time.Since(began) > patience/2 {
		t.Errorf("it took %v", time.Since(began))
	}
	_, err = gather(soon(t), b, broker.Replies(0), broker.Silence(-1))
	wantErr(t, err, broker.ErrInvalid)
	for _, e := range b.Gather(soon(t), broker.Message{Subject: "ask", ReplyTo: "there"}) {
		wantErr(t, e, broker.ErrInvalid)
	}
	if _, err := b.Respond(soon(t), "ask", func(context.Context, *broker.Delivery) (broker.Message, error) {
		return broker.Message{}, &broker.ReplyError{Code: "404", Description: "no"}
	}); err != nil {
		t.Fatal(err)
	}
	responders(t, b, 1)
	got, err := gather(soon(t), b, broker.Replies(2))
	if e, ok := errors.AsType[*broker.ReplyError](err); !ok || e.Code != "404" || !slices.Equal(got, []string{"0"}) {
		t.Errorf("got %q, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var last error
	for _, err := range b.Gather(ctx, broker.Message{Subject: "ask"}) {
		cancel()
		last = err
	}
	cancel()
	wantErr(t, last, context.Canceled)
	_, err = gather(ctx, b)
	wantErr(t, err, context.Canceled)
}

// More answers than there is room for, while the loop does something else.
func TestGatherTellsOfDrops(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	other := dial(t, s)
	flooded := make(chan error, 1)
	if _, err := other.Subscribe("ask", func(m *nats.Msg) {
		for range 3 * 4096 {
			if err := m.Respond(nil); err != nil {
				flooded <- err
			}
		}
		flooded <- other.Flush()
	}); err != nil {
		t.Fatal(err)
	}
	if err := other.Flush(); err != nil {
		t.Fatal(err)
	}
	var last error
	first := true
	for _, err := range b.Gather(soon(t), broker.Message{Subject: "ask"}) {
		last = err
		if first {
			first = false
			if err := receive(t, flooded, "the flood"); err != nil {
				t.Fatal(err)
			}
			if err := b.Flush(soon(t)); err != nil { // all of it has arrived
				t.Fatal(err)
			}
		}
	}
	wantErr(t, last, broker.ErrDropped)
}
