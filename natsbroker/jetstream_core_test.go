package natsbroker_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/micro"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
	"github.com/candidmq/candidmq/natsbroker"
)

// role finds a role that only As gives.
func role[T any](t *testing.T, b broker.Broker) T {
	t.Helper()
	r, err := broker.As[T](b)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func echoing(_ context.Context, d *broker.Delivery) (broker.Message, error) {
	return broker.Message{Body: d.Body}, nil
}

func TestJetStreamServiceIsFound(t *testing.T) {
	r := newRig(t, &natsbroker.JetStreamOptions{Service: natsbroker.Service{Name: "prices", Version: "1.0.0"}})
	if _, err := role[broker.Responder](t, r.JetStream).Respond(soon(t), "price", echoing); err != nil {
		t.Fatal(err)
	}
	info := ask[micro.Info](t, dial(t, r.server), "$SRV.INFO.prices")
	if len(info.Endpoints) != 1 || info.Endpoints[0].Subject != "price" {
		t.Errorf("got %+v, want the endpoint", info)
	}
	_, err := natsbroker.NewJetStream(dial(t, r.server), &natsbroker.JetStreamOptions{Service: natsbroker.Service{Name: "prices"}})
	if field, ok := errors.AsType[*broker.FieldError](err); !ok || field.Field != "Service.Version" {
		t.Errorf("got %v, want a FieldError of Service.Version", err)
	}
}

// While the connection is down nothing waits for it, whatever it is.
func TestJetStreamRefuseWhileDown(t *testing.T) {
	refusing := &natsbroker.JetStreamOptions{RefuseWhileDown: true}
	store := withJetStream(t)
	s := startServer(t, store)
	r := rigOn(t, s, nil)
	r.orders()
	j, err := natsbroker.ConnectJetStream(soon(t), s.ClientURL(), refusing, quick)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close(context.WithoutCancel(t.Context())) })
	m := broker.Message{Subject: "orders.a"}
	if _, err := j.Publish(soon(t), m); err != nil {
		t.Fatal(err)
	}
	ds, err := j.Receive(soon(t), "ORDERS/c", 1)
	if err != nil || len(ds) != 1 {
		t.Fatalf("got %d and %v", len(ds), err)
	}
	port := s.Addr().(*net.TCPAddr).Port
	stopServer(s)
	eventually(t, "the connection is down", func() bool { return !j.Conn().IsConnected() })
	for name, call := range map[string]func() error{
		"Publish": func() error { _, err := j.Publish(soon(t), m); return err },
		"Request": func() error { _, err := role[broker.Requester](t, j).Request(soon(t), m); return err },
		"Delete":  func() error { return broker.ItemError(j.Delete(soon(t), ds...), 0) },
	} {
		err := call()
		if !errors.Is(err, broker.ErrUnavailable) || !strings.Contains(err.Error(), "RefuseWhileDown") {
			t.Errorf("%s: got %v, want ErrUnavailable that says why", name, err)
		}
		if name != "Delete" && errors.Is(err, broker.ErrOutcomeUnknown) {
			t.Errorf("%s: got %v, and nothing was sent", name, err)
		}
	}
	s = startServer(t, store, onPort(port))
	_, err = natsbroker.NewJetStream(dial(t, s), refusing)
	if field, ok := errors.AsType[*broker.FieldError](err); !ok || field.Field != "RefuseWhileDown" {
		t.Errorf("a connection that buffers: got %v, want a FieldError", err)
	}
	if _, err := natsbroker.NewJetStream(nil, refusing); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("no connection: got %v", err)
	}
}

// A reply that no round trip has confirmed when the connection is lost is told.
// One may come in between, so this is tried until it does not.
func TestJetStreamOnLoss(t *testing.T) {
	losses := make(chan natsbroker.Loss, 100)
	r := rigOn(t, startServer(t, withJetStream(t)), &natsbroker.JetStreamOptions{OnLoss: func(l natsbroker.Loss) { losses <- l }}, quick)
	if _, err := role[broker.Responder](t, r.JetStream).Respond(soon(t), "price", echoing); err != nil {
		t.Fatal(err)
	}
	foreign := dial(t, r.server)
	eventually(t, "a loss", func() bool {
		if _, err := foreign.Request("price", nil, patience); err != nil {
			return false
		}
		before := r.Conn().Stats().Reconnects
		if err := r.Conn().ForceReconnect(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the reconnect", func() bool { return r.Conn().Stats().Reconnects > before })
		return len(losses) > 0
	})
	if l := <-losses; l.Uncertain == 0 || l.Discarded != 0 {
		t.Errorf("told %+v, want replies of which nobody knows", l)
	}
}

// What Ignore names is dropped of requests too, on NATS and where memory plays
// it; their reply address is not.
func TestJetStreamIgnoreOfRequests(t *testing.T) {
	const ignored = broker.FieldReplyTo | broker.FieldKey
	stored := newRig(t, &natsbroker.JetStreamOptions{Ignore: ignored}).JetStream
	played := memory.NewJetStream(&memory.JetStreamOptions{Ignore: ignored})
	t.Cleanup(func() { _ = played.Close(context.WithoutCancel(t.Context())) })
	for name, b := range map[string]broker.Broker{"NATS": stored, "memory": played} {
		if _, err := role[broker.Responder](t, b).Respond(soon(t), "price", echoing); err != nil {
			t.Fatal(err)
		}
		requester := role[broker.Requester](t, b)
		if d, err := requester.Request(soon(t), broker.Message{Subject: "price", Body: []byte("x"), Key: "k"}); err != nil || string(d.Body) != "x" {
			t.Errorf("%s: got %v, %v", name, d, err)
		}
		if _, err := requester.Request(soon(t), broker.Message{Subject: "price", Tenant: "t"}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: got %v of a field that is not ignored", name, err)
		}
	}
}
