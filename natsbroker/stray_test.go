package natsbroker_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// capturing runs a server with JetStream and the given streams.
func capturing(t *testing.T, configs ...jetstream.StreamConfig) *server.Server {
	t.Helper()
	s := startServer(t, func(o *server.Options) { o.JetStream, o.StoreDir = true, t.TempDir() })
	js, err := jetstream.New(dial(t, s))
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range configs {
		config.Storage = jetstream.MemoryStorage
		if _, err := js.CreateStream(soon(t), config); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// A request on a subject that a stream captures is not answered by a nil error.
func TestCoreRequestOnAStream(t *testing.T) {
	s := capturing(t,
		jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}},
		jetstream.StreamConfig{Name: "FULL", Subjects: []string{"full"}, MaxMsgs: 1, Discard: jetstream.DiscardNew},
	)
	b := newBroker(t, s, &natsbroker.Options{Subjects: map[string]string{"named": "orders.named"}})
	js, err := natsbroker.NewJetStream(dial(t, s), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = js.Close(context.WithoutCancel(t.Context())) })
	throughJetStream, err := broker.As[broker.Requester](js)
	if err != nil {
		t.Fatal(err)
	}
	publish(t, b, broker.Message{Subject: "full"})
	if err := b.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name      string
		requester broker.Requester
		m         broker.Message
		want      natsbroker.StrayAckError
	}{
		{"plain", b, broker.Message{Subject: "orders.a"}, natsbroker.StrayAckError{Stream: "ORDERS", Sequence: 1}},
		{"with headers", b, broker.Message{Subject: "orders.a", Header: broker.Header{"k": "v"}}, natsbroker.StrayAckError{Stream: "ORDERS", Sequence: 2}},
		{"by a name", b, broker.Message{Subject: "named"}, natsbroker.StrayAckError{Stream: "ORDERS", Sequence: 3}},
		{"through a JetStream", throughJetStream, broker.Message{Subject: "orders.a"}, natsbroker.StrayAckError{Stream: "ORDERS", Sequence: 4}},
		{"refused", b, broker.Message{Subject: "full"}, natsbroker.StrayAckError{Stream: "FULL", Refusal: "maximum messages exceeded"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := tt.requester.Request(soon(t), tt.m)
			if d != nil {
				t.Errorf("got %s as an answer", d.Body)
			}
			wantStray(t, err, tt.want)
		})
	}
	var stray int
	for _, err := range b.Gather(soon(t), broker.Message{Subject: "orders.a"}, broker.Replies(1)) {
		wantStray(t, err, natsbroker.StrayAckError{Stream: "ORDERS", Sequence: 5})
		stray++
	}
	if stray != 1 {
		t.Errorf("Gather yields %d acknowledgements, want 1", stray)
	}
}

func wantStray(t *testing.T, err error, want natsbroker.StrayAckError) {
	t.Helper()
	stray, ok := errors.AsType[*natsbroker.StrayAckError](err)
	if !ok || !errors.Is(err, errors.ErrUnsupported) || errors.Is(err, broker.ErrOutcomeUnknown) {
		t.Fatalf("got %v, want a StrayAckError of the kind ErrUnsupported", err)
	}
	if stray.Stream != want.Stream || stray.Sequence != want.Sequence || stray.Refusal != want.Refusal || stray.Reply == nil {
		t.Errorf("got %+v, want %+v", stray, want)
	}
	if !strings.Contains(err.Error(), "no_ack") || !strings.Contains(err.Error(), want.Stream) {
		t.Errorf("got %v, want it to name the stream and what helps", err)
	}
}

// A service whose answer has the form of an acknowledgement is a service, where
// the server says that no such stream captures the subject.
func TestCoreAnswersThatLookLikeAcknowledgements(t *testing.T) {
	const ack = `{"stream":"ORDERS","seq":7}`
	for name, s := range map[string]*server.Server{
		"with JetStream":    capturing(t, jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}}),
		"without JetStream": startServer(t),
	} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t, s, nil)
			for _, body := range []string{
				ack, `{"stream":"ORDERS","seq":0}`, `{"stream":"","seq":1}`, `{"stream":"ORDERS","seq":1,"price":3}`,
				`{"stream":3}`, `{"stream":"ORDERS"`, ``, `text "stream": 1`,
			} {
				sub := respond(t, b, "gateway", answer(body))
				d, err := b.Request(soon(t), broker.Message{Subject: "gateway"})
				if err != nil || string(d.Body) != body {
					t.Errorf("%s: got %v", body, err)
				}
				if _, err := sub.Drain(soon(t)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// Where the server does not say, it is taken for what it looks like.
func TestCoreRequestOnAStreamThatMayNotBeAskedFor(t *testing.T) {
	s := startServer(t, func(o *server.Options) {
		o.JetStream, o.StoreDir = true, t.TempDir()
		o.Users = []*server.User{{Username: "all", Password: "p"}, {Username: "few", Password: "p", Permissions: &server.Permissions{
			Publish: &server.SubjectPermission{Deny: []string{"$JS.API.>"}},
		}}}
	})
	js, err := jetstream.New(dial(t, s, nats.UserInfo("all", "p")))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(soon(t), jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders"}, Storage: jetstream.MemoryStorage}); err != nil {
		t.Fatal(err)
	}
	b := newBroker(t, s, nil, nats.UserInfo("few", "p"), nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	ctx, cancel := context.WithTimeout(t.Context(), patience/100)
	defer cancel()
	_, err = b.Request(ctx, broker.Message{Subject: "orders"})
	wantStray(t, err, natsbroker.StrayAckError{Stream: "ORDERS", Sequence: 1})
}
