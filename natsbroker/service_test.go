package natsbroker_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// ask decodes the only answer to a request of a foreign client.
func ask[T any](t *testing.T, nc *nats.Conn, subject string) (answer T) {
	t.Helper()
	msg, err := nc.Request(subject, nil, patience)
	if err == nil {
		err = json.Unmarshal(msg.Data, &answer)
	}
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	return answer
}

// Other clients find our responders by the conventions of NATS services, with
// what they have done.
func TestCoreServiceIsFound(t *testing.T) {
	s := startServer(t)
	foreign := dial(t, s)
	b := newBroker(t, s, &natsbroker.Options{
		Service:  natsbroker.Service{Name: "prices", Version: "1.4.0-rc.1", Description: "what things cost", Metadata: map[string]string{"team": "shop"}},
		Subjects: map[string]string{"ask": "eu.price.*"},
	})
	if _, err := foreign.Request("$SRV.PING", nil, patience); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("got %v before there is a responder", err)
	}
	respond(t, b, "ask", func(_ context.Context, d *broker.Delivery) (broker.Message, error) {
		switch string(d.Body) {
		case "gold":
			return broker.Message{}, &broker.ReplyError{Code: "404", Description: "no such price"}
		case "secret":
			return broker.Message{}, errSecret
		case "panic":
			panic(errSecret)
		}
		return broker.Message{Body: []byte("3.20")}, nil
	}, broker.Group("prices"))
	plain := respond(t, b, "plain", answer("x"))

	ping := ask[micro.Ping](t, foreign, "$SRV.PING")
	if ping.Name != "prices" || ping.Version != "1.4.0-rc.1" || ping.Metadata["team"] != "shop" || ping.ID == "" || ping.Type != micro.PingResponseType {
		t.Errorf("got %+v", ping)
	}
	if again := ask[micro.Ping](t, foreign, "$SRV.PING.prices."+ping.ID); again.ID != ping.ID {
		t.Errorf("got %+v from instance %s", again, ping.ID)
	}
	info := ask[micro.Info](t, foreign, "$SRV.INFO.prices")
	if info.Description != "what things cost" || info.Type != micro.InfoResponseType || len(info.Endpoints) != 2 {
		t.Fatalf("got %+v", info)
	}
	if e := info.Endpoints[0]; e.Name != "eu_price__" || e.Subject != "eu.price.*" || e.QueueGroup != "prices" {
		t.Errorf("got %+v", e)
	}
	if e := info.Endpoints[1]; e.Name != "plain" || e.QueueGroup != "" {
		t.Errorf("got %+v", e)
	}

	for _, body := range []string{"tea", "secret", "panic", "gold"} {
		if _, err := foreign.Request("eu.price.x", []byte(body), patience); err != nil {
			t.Fatal(err)
		}
	}
	var stats micro.Stats
	eventually(t, "four requests are counted", func() bool {
		stats = ask[micro.Stats](t, foreign, "$SRV.STATS.prices."+ping.ID)
		return len(stats.Endpoints) == 2 && stats.Endpoints[0].NumRequests == 4
	})
	if e := stats.Endpoints[0]; e.NumErrors != 3 || e.LastError != "404:no such price" || e.ProcessingTime <= 0 || e.AverageProcessingTime != e.ProcessingTime/4 {
		t.Errorf("got %+v", e)
	}
	if stats.Type != micro.StatsResponseType || stats.Started.IsZero() || stats.Endpoints[1].NumRequests != 0 {
		t.Errorf("got %+v", stats)
	}

	if _, err := plain.Drain(soon(t)); err != nil {
		t.Error(err)
	}
	if info := ask[micro.Info](t, foreign, "$SRV.INFO"); len(info.Endpoints) != 1 {
		t.Errorf("an endpoint that has ended is listed: %+v", info.Endpoints)
	}
	if err := b.Close(soon(t)); err != nil {
		t.Error(err)
	}
	for _, subject := range []string{"$SRV.PING", "$SRV.INFO.prices", "$SRV.STATS.prices." + ping.ID} {
		if _, err := foreign.Request(subject, nil, patience); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s: got %v after Close", subject, err)
		}
	}
}

// Ours and foreign services are found together, also by Gather.
func TestCoreServicesAmongForeignOnes(t *testing.T) {
	s := startServer(t)
	foreign := dial(t, s)
	service, err := micro.AddService(foreign, micro.Config{Name: "theirs", Version: "2.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Stop() })
	if err := foreign.Flush(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		b := newBroker(t, s, &natsbroker.Options{Service: natsbroker.Service{Name: "ours", Version: "1.0.0"}})
		respond(t, b, "a", answer("x"), broker.Group("g"))
	}
	silent := newBroker(t, s, nil) // no service
	respond(t, silent, "b", answer("x"))
	found, ids := map[string]int{}, map[string]bool{}
	for d, err := range silent.Gather(soon(t), broker.Message{Subject: "$SRV.PING"}, broker.Silence(100*time.Millisecond)) {
		if err != nil {
			t.Fatal(err)
		}
		var ping micro.Ping
		if err := json.Unmarshal(d.Body, &ping); err != nil {
			t.Fatal(err)
		}
		found[ping.Name]++
		ids[ping.ID] = true
	}
	if found["ours"] != 2 || found["theirs"] != 1 || len(ids) != 3 {
		t.Errorf("found %v with %d ids", found, len(ids))
	}
}

// A Respond that waits for another to make the service known waits within its
// context.
func TestCoreServiceStartsWithinTheContext(t *testing.T) {
	l := linkTo(t, startServer(t).Addr().String())
	b := connectTo(t, l.url(), &natsbroker.Options{Service: natsbroker.Service{Name: "prices", Version: "1.0.0"}}, quick)
	l.refuse()
	eventually(t, "the connection is down", func() bool { return !b.Conn().IsConnected() })
	first := make(chan error, 1)
	go func() {
		_, err := b.Respond(soon(t), "a", answer("x"))
		first <- err
	}()
	eventually(t, "the first has begun", func() bool { return b.Conn().NumSubscriptions() > 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.Respond(ctx, "b", answer("x")); !errors.Is(err, context.DeadlineExceeded) || len(first) > 0 {
		t.Errorf("got %v, want the end of its context while the first waits", err)
	}
	l.refusing.Store(false)
	if err := receive(t, first, "the first"); err != nil {
		t.Error(err)
	}
	respond(t, b, "b", answer("x"))
}

func TestCoreServiceRefusesBadInput(t *testing.T) {
	nc := dial(t, startServer(t))
	tests := []struct {
		service natsbroker.Service
		field   string // "": it is fine
	}{
		{natsbroker.Service{}, ""},
		{natsbroker.Service{Name: "a-B_9", Version: "0.0.1"}, ""},
		{natsbroker.Service{Name: "a", Version: "1.2.3+build.5"}, ""},
		{natsbroker.Service{Version: "1.0.0"}, "Service.Name"},
		{natsbroker.Service{Description: "nameless", Version: "1.0.0"}, "Service.Name"},
		{natsbroker.Service{Name: "a.b", Version: "1.0.0"}, "Service.Name"},
		{natsbroker.Service{Name: "a b", Version: "1.0.0"}, "Service.Name"},
		{natsbroker.Service{Name: "a"}, "Service.Version"},
		{natsbroker.Service{Name: "a", Version: "1.0"}, "Service.Version"},
		{natsbroker.Service{Name: "a", Version: "v1.0.0"}, "Service.Version"},
		{natsbroker.Service{Name: "a", Version: "1.01.0"}, "Service.Version"},
		{natsbroker.Service{Name: "a", Version: "1.0.0-"}, "Service.Version"},
	}
	for _, tt := range tests {
		b, err := natsbroker.New(nc, &natsbroker.Options{Service: tt.service})
		if tt.field == "" {
			if err != nil {
				t.Errorf("%+v: %v", tt.service, err)
			} else {
				closeAtEnd(t, b)
			}
			continue
		}
		if field, ok := errors.AsType[*broker.FieldError](err); !ok || field.Field != tt.field {
			t.Errorf("%+v: got %v, want a FieldError for %s", tt.service, err, tt.field)
		}
	}
}
