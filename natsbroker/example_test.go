package natsbroker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// exampleServer stands in for a server that is there already.
func exampleServer() *server.Server {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoLog: true, NoSigs: true})
	if err != nil {
		panic(err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		panic("the server does not start")
	}
	return s
}

// New stands on a connection that the program dials as it likes.
func ExampleNew() {
	s := exampleServer()
	defer s.Shutdown()
	ctx := context.Background()

	nc, err := nats.Connect(s.ClientURL(), nats.Name("billing"))
	if err != nil {
		panic(err)
	}
	defer nc.Close()
	b, err := natsbroker.New(nc, nil)
	if err != nil {
		panic(err)
	}
	receipt, err := b.Publish(ctx, broker.Message{Subject: "orders.placed", Body: []byte("tea")})
	fmt.Println(receipt.Outcome, err)
	_, err = b.Publish(ctx, broker.Message{Subject: "orders.*"})
	fmt.Println(err)
	fmt.Println(b.Close(ctx), nc.IsClosed())
	// Output:
	// sent <nil>
	// invalid Subject "orders.*": want no wildcard: wildcards are only for subscribing
	// <nil> false
}

// The members of a group share the messages; a drain handles what has arrived.
func ExampleBroker_Subscribe() {
	s := exampleServer()
	defer s.Shutdown()
	ctx := context.Background()

	b, err := natsbroker.Connect(ctx, s.ClientURL(), nil)
	if err != nil {
		panic(err)
	}
	defer func() { _ = b.Close(ctx) }()
	handled := make(chan string)
	for range 2 {
		_, err := b.Subscribe(ctx, "orders.>", func(_ context.Context, d *broker.Delivery) error {
			handled <- d.Subject + " " + string(d.Body)
			return nil
		}, broker.Group("billing"))
		if err != nil {
			panic(err)
		}
	}
	if _, err := b.Publish(ctx, broker.Message{Subject: "orders.placed", Body: []byte("tea")}); err != nil {
		panic(err)
	}
	fmt.Println(<-handled)
	// Output: orders.placed tea
}

func ExampleBroker_Respond() {
	s := exampleServer()
	defer s.Shutdown()
	ctx := context.Background()

	b, err := natsbroker.Connect(ctx, s.ClientURL(), nil)
	if err != nil {
		panic(err)
	}
	defer func() { _ = b.Close(ctx) }()
	_, err = b.Respond(ctx, "price", func(_ context.Context, d *broker.Delivery) (broker.Message, error) {
		if string(d.Body) != "tea" {
			return broker.Message{}, &broker.ReplyError{Code: "404", Description: "no such price"}
		}
		return broker.Message{Body: []byte("3.20")}, nil
	}, broker.Group("prices"))
	if err != nil {
		panic(err)
	}
	reply, err := b.Request(ctx, broker.Message{Subject: "price", Body: []byte("tea")})
	if err != nil {
		panic(err)
	}
	fmt.Println(string(reply.Body))
	_, err = b.Request(ctx, broker.Message{Subject: "price", Body: []byte("gold")})
	fmt.Println(err)
	_, err = b.Request(ctx, broker.Message{Subject: "nobody"})
	fmt.Println(err)
	// Output:
	// 3.20
	// responder answered with error 404: no such price
	// nats request "nobody": no responders: nats: no responders available for request
}

// With Confirm, a receipt says that the server has the message.
func ExampleOptions_confirm() {
	s := exampleServer()
	defer s.Shutdown()
	ctx := context.Background()

	b, err := natsbroker.Connect(ctx, s.ClientURL(), &natsbroker.Options{
		Confirm:         true,
		RefuseWhileDown: true,
		OnLoss:          func(lost natsbroker.Loss) { fmt.Println("lost:", lost) },
	})
	if err != nil {
		panic(err)
	}
	defer func() { _ = b.Close(ctx) }()
	receipt, err := b.Publish(ctx, broker.Message{Subject: "orders.placed", Body: []byte("tea")})
	fmt.Println(receipt.Outcome, err, b.Losses())
	// Output: received <nil> {0 0}
}

// A responder with a Service is found by other clients of NATS, such as
// `nats micro list`; here by one that asks everybody.
func ExampleService() {
	s := exampleServer()
	defer s.Shutdown()
	ctx := context.Background()

	b, err := natsbroker.Connect(ctx, s.ClientURL(), &natsbroker.Options{
		Service: natsbroker.Service{Name: "prices", Version: "1.0.0", Description: "what things cost"},
	})
	if err != nil {
		panic(err)
	}
	defer func() { _ = b.Close(ctx) }()
	_, err = b.Respond(ctx, "price", func(context.Context, *broker.Delivery) (broker.Message, error) {
		return broker.Message{Body: []byte("3.20")}, nil
	}, broker.Group("prices"))
	if err != nil {
		panic(err)
	}
	for answer, err := range b.Gather(ctx, broker.Message{Subject: "$SRV.INFO"}, broker.Silence(100*time.Millisecond)) {
		if err != nil {
			panic(err)
		}
		var info micro.Info
		if err := json.Unmarshal(answer.Body, &info); err != nil {
			panic(err)
		}
		fmt.Println(info.Name, info.Version, info.Endpoints[0].Subject, info.Endpoints[0].QueueGroup)
	}
	// Output: prices 1.0.0 price prices
}
