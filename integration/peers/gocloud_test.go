package peers

import (
	"context"
	"sync"
	"testing"

	"gocloud.dev/pubsub"
)

// gocloudPublish sends as the Go CDK's guide does. Send returns when the
// message is sent.
func gocloudPublish(tb testing.TB, topic *pubsub.Topic) publishFunc {
	tb.Helper()
	tb.Cleanup(func() {
		if err := topic.Shutdown(context.WithoutCancel(tb.Context())); err != nil {
			tb.Error(err)
		}
	})
	return func(ctx context.Context, body []byte) error {
		return topic.Send(ctx, &pubsub.Message{Body: body})
	}
}

// gocloudHandle receives and acknowledges as the guide does, on so many
// goroutines, which Receive is made for. stop waits for what was acknowledged
// to be sent.
func gocloudHandle(tb testing.TB, sub *pubsub.Subscription, workers int, handle handleFunc) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for {
				m, err := sub.Receive(ctx)
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					tb.Error(err)
					return
				}
				handle(m.Body)
				m.Ack()
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
		if err := sub.Shutdown(context.WithoutCancel(ctx)); err != nil {
			tb.Error(err)
		}
	}
}
