package peers

import (
	"context"
	"fmt"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
)

// watermillPublish sends with a UUID each, as all of Watermill's documentation
// does. The publisher has no use for a context.
func watermillPublish(tb testing.TB, p message.Publisher) publishFunc {
	tb.Helper()
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	return func(_ context.Context, body []byte) error {
		return p.Publish(orders, message.NewMessage(watermill.NewUUID(), body))
	}
}

// watermillRoute handles with a Router, which is Watermill's way from messages
// to handlers and acknowledges what they return nil for. It subscribes as often
// as there are workers. stop closes the subscriber too.
func watermillRoute(tb testing.TB, s message.Subscriber, workers int, handle handleFunc) (stop func()) {
	tb.Helper()
	router, err := message.NewRouter(message.RouterConfig{}, watermill.NopLogger{})
	if err != nil {
		tb.Fatal(err)
	}
	for i := range workers {
		router.AddConsumerHandler(fmt.Sprint("worker-", i), orders, s, func(m *message.Message) error {
			handle(m.Payload)
			return nil
		})
	}
	done := make(chan error, 1)
	go func() { done <- router.Run(context.WithoutCancel(tb.Context())) }()
	select {
	case <-router.Running():
	case err := <-done:
		tb.Fatal("router: ", err)
	}
	return func() {
		if err := router.Close(); err != nil {
			tb.Error(err)
		}
		if err := <-done; err != nil {
			tb.Error(err)
		}
	}
}
