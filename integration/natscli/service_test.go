package natscli

import (
	"context"
	"strings"
	"testing"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// A service of ours is listed, described, pinged, asked and counted by the tool.
func TestToolFindsOurService(t *testing.T) {
	c := start(t)
	const name, version, description = "order-desk", "1.2.3", "takes orders"
	b, err := natsbroker.Connect(soon(t), c.url, &natsbroker.Options{
		Service: natsbroker.Service{Name: name, Version: version, Description: description},
	})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, b)
	_, err = b.Respond(soon(t), "orders.place", func(_ context.Context, d *broker.Delivery) (broker.Message, error) {
		if string(d.Body) == "nothing" {
			return broker.Message{}, &broker.ReplyError{Code: "400", Description: "order something"}
		}
		return broker.Message{Body: append([]byte("placed "), d.Body...)}, nil
	}, broker.Group("desks"))
	if err != nil {
		t.Fatal(err)
	}
	has(t, c.run(t, "service", "list"), name, version, description)
	has(t, c.run(t, "service", "info", name), version, description, "orders_place", "orders.place", "desks")
	has(t, c.run(t, "service", "ping", name), name)
	has(t, c.run(t, "service", "request", name, "orders_place", "7 apples"), "placed 7 apples")
	has(t, c.run(t, "request", "orders.place", "nothing"), "Nats-Service-Error-Code: 400", "order something")
	out, err := c.command(soon(t), "service", "stats", name, "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	has(t, strings.ReplaceAll(string(out), " ", ""), `"num_requests":2`, `"num_errors":1`)
}
