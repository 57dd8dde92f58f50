package natsbroker_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// Answers that are lost with the connection are not taken for none.
func TestGatherTellsOfALostConnection(t *testing.T) {
	for name, test := range map[string]struct {
		meanwhile func(*testing.T, *server.Server, *natsbroker.Broker) // after the first answer
		want      []error
	}{
		"undisturbed": {func(*testing.T, *server.Server, *natsbroker.Broker) {}, nil},
		"lost": {func(t *testing.T, s *server.Server, b *natsbroker.Broker) {
			t.Helper()
			takeDown(t, s, b)
		}, []error{broker.ErrUnavailable, broker.ErrOutcomeUnknown}},
		"made again": {func(t *testing.T, s *server.Server, b *natsbroker.Broker) {
			t.Helper()
			startServer(t, onPort(takeDown(t, s, b)))
			eventually(t, "the connection is made again", b.Conn().IsConnected)
		}, []error{broker.ErrUnavailable, broker.ErrOutcomeUnknown}},
		"closed": {func(_ *testing.T, _ *server.Server, b *natsbroker.Broker) {
			b.Conn().Close()
		}, []error{broker.ErrClosed, broker.ErrOutcomeUnknown}},
	} {
		for end, opts := range map[string][]broker.GatherOption{"deadline": nil, "silence": {broker.Silence(50 * time.Millisecond)}} {
			t.Run(name+"/"+end, func(t *testing.T) {
				t.Parallel()
				s := startServer(t)
				b := newBroker(t, s, nil, quick, nats.MaxReconnects(-1))
				responders(t, brokerOn(t, dial(t, s), nil), 1)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				answers := 0
				var last error
				for _, err := range b.Gather(ctx, broker.Message{Subject: "ask"}, opts...) {
					if last = err; err == nil {
						answers++
						test.meanwhile(t, s, b)
					}
				}
				if answers != 1 {
					t.Errorf("%d answers", answers)
				}
				if test.want == nil && last != nil {
					t.Errorf("got %v", last)
				}
				wantErr(t, last, test.want...)
			})
		}
	}
}

// A question that waits for the reconnect has been heard by nobody.
func TestGatherWhileDown(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil, quick, nats.MaxReconnects(-1))
	takeDown(t, s, b)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	got, err := gather(ctx, b)
	if len(got) > 0 {
		t.Errorf("got %q", got)
	}
	wantErr(t, err, broker.ErrUnavailable, broker.ErrOutcomeUnknown)
}
