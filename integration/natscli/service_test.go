package natscli

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/micro"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// A service of ours is listed, described, counted and asked by the tool. The
// discovery is made with Respond as well, by the subjects and answers of ADR-32;
// natsbroker has none of its own.
func TestToolFindsOurService(t *testing.T) {
	c := start(t)
	s := newService(t, c.core(t), "order-desk", "1.2.3")
	has(t, c.run(t, "service", "list"), s.info.Name, s.info.Version, s.info.ID)
	has(t, c.run(t, "service", "info", s.info.Name), s.info.ID, s.info.Description, "place", "orders.place", "desks")
	has(t, c.run(t, "service", "ping", s.info.Name), s.info.Name)

	has(t, c.run(t, "service", "request", s.info.Name, "place", "7 apples"), "placed 7 apples")
	has(t, c.run(t, "request", "orders.place", "nothing"), "Nats-Service-Error-Code: 400")
	out, err := c.command(soon(t), "service", "stats", s.info.Name, "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	has(t, strings.ReplaceAll(string(out), " ", ""), `"num_requests":2`, `"num_errors":1`)
}

// service is one endpoint and what ADR-32 wants told of it.
type service struct {
	info     micro.Info
	started  time.Time
	requests atomic.Int64
	errors   atomic.Int64
}

func newService(t *testing.T, b *natsbroker.Broker, name, version string) *service {
	t.Helper()
	s := &service{started: time.Now()}
	s.info = micro.Info{
		ServiceIdentity: micro.ServiceIdentity{Name: name, ID: "desk-1", Version: version, Metadata: map[string]string{}},
		Type:            micro.InfoResponseType, Description: "takes orders",
		Endpoints: []micro.EndpointInfo{{Name: "place", Subject: "orders.place", QueueGroup: "desks"}},
	}
	endpoint := s.info.Endpoints[0]
	respond(t, b, endpoint.Subject, s.place, broker.Group(endpoint.QueueGroup))
	for verb, answer := range map[string]func() any{"PING": s.ping, "INFO": func() any { return s.info }, "STATS": s.stats} {
		h := func(context.Context, *broker.Delivery) (broker.Message, error) {
			body, err := json.Marshal(answer())
			return broker.Message{Body: body}, err
		}
		for _, subject := range []string{"", "." + name, "." + name + "." + s.info.ID} {
			respond(t, b, "$SRV."+verb+subject, h)
		}
	}
	return s
}

func respond(t *testing.T, b *natsbroker.Broker, subject string, h broker.ReplyHandler, opts ...broker.SubscribeOption) {
	t.Helper()
	if _, err := b.Respond(soon(t), subject, h, opts...); err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
}

func (s *service) place(_ context.Context, d *broker.Delivery) (broker.Message, error) {
	s.requests.Add(1)
	if string(d.Body) == "nothing" {
		s.errors.Add(1)
		return broker.Message{}, &broker.ReplyError{Code: "400", Description: "order something"}
	}
	return broker.Message{Body: append([]byte("placed "), d.Body...)}, nil
}

func (s *service) ping() any {
	return micro.Ping{ServiceIdentity: s.info.ServiceIdentity, Type: micro.PingResponseType}
}

func (s *service) stats() any {
	e := s.info.Endpoints[0]
	return micro.Stats{
		ServiceIdentity: s.info.ServiceIdentity, Type: micro.StatsResponseType, Started: s.started,
		Endpoints: []*micro.EndpointStats{{
			Name: e.Name, Subject: e.Subject, QueueGroup: e.QueueGroup,
			NumRequests: int(s.requests.Load()), NumErrors: int(s.errors.Load()),
		}},
	}
}
