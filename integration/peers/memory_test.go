package peers

import (
	"context"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
	"gocloud.dev/pubsub/mempubsub"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// memoryHandlers have a handler called. That of candidmq-core acknowledges
// nothing, as with core NATS; the others acknowledge, and hand out again what
// is not.
var memoryHandlers = []entry[flow]{
	{"raw-channel", channelFlow},
	{"candidmq-core", memoryCore},
	{"candidmq-queue", memoryQueue},
	{"watermill-gochannel", watermillRouter},
	{"gocloud-mempubsub", gocloudMemory},
}

// memoryReceivers receive and acknowledge one message after the other.
var memoryReceivers = []entry[flow]{
	{"raw-channel", channelFlow},
	{"candidmq-queue", memoryReceive},
	{"watermill-gochannel", watermillChannel},
	{"gocloud-mempubsub", gocloudMemory},
}

func TestMemoryHandler(t *testing.T) { testFlows(t, memoryHandlers) }
func TestMemoryReceive(t *testing.T) { testFlows(t, memoryReceivers) }

// BenchmarkMemoryHandler is publish to handler within a process, beside a
// channel with one reader.
func BenchmarkMemoryHandler(b *testing.B) { contest(b, memoryHandlers, benchmarkFlow) }

// BenchmarkMemoryReceiveDelete is publish, receive and delete by one worker
// with the publisher alongside.
func BenchmarkMemoryReceiveDelete(b *testing.B) { contest(b, memoryReceivers, benchmarkFlow) }

func channelFlow(tb testing.TB, handle handleFunc) publishFunc {
	tb.Helper()
	messages, done := make(chan []byte, window), make(chan struct{})
	go func() {
		defer close(done)
		for m := range messages {
			handle(m)
		}
	}()
	tb.Cleanup(func() {
		close(messages)
		<-done
	})
	return func(_ context.Context, body []byte) error {
		messages <- body
		return nil
	}
}

func memoryCore(tb testing.TB, handle handleFunc) publishFunc {
	tb.Helper()
	m := memory.NewCoreNATS(nil)
	subscribe(tb, m, orders, handle)
	return publishTo(m)
}

func memoryQueue(tb testing.TB, handle handleFunc) publishFunc {
	tb.Helper()
	m := newQueue(tb)
	subscribe(tb, m, orders, handle, broker.Group("g"))
	return publishTo(m)
}

func newQueue(tb testing.TB) *memory.SQS {
	tb.Helper()
	m := memory.NewSQS(nil)
	if err := m.CreateQueue(orders, memory.QueueOptions{}); err != nil {
		tb.Fatal(err)
	}
	return m
}

func memoryReceive(tb testing.TB, handle handleFunc) publishFunc {
	tb.Helper()
	m := newQueue(tb)
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			ds, err := m.Receive(ctx, orders, 1)
			if ctx.Err() != nil {
				return
			}
			if err == nil {
				err = m.Delete(ctx, ds...)
			}
			if err != nil {
				tb.Error(err)
				return
			}
			for _, d := range ds {
				handle(d.Body) // last, since ctx ends when all are handled
			}
		}
	}()
	tb.Cleanup(func() {
		cancel()
		<-done
		closeBroker(tb, m)
	})
	return publishTo(m)
}

// subscribe lasts until tb ends, and so does the broker.
func subscribe(tb testing.TB, b broker.Broker, subject string, handle handleFunc, opts ...broker.SubscribeOption) {
	tb.Helper()
	tb.Cleanup(func() { closeBroker(tb, b) })
	_, err := b.Subscribe(tb.Context(), subject, func(_ context.Context, d *broker.Delivery) error {
		handle(d.Body)
		return nil
	}, opts...)
	if err != nil {
		tb.Fatal(err)
	}
}

func closeBroker(tb testing.TB, b broker.Broker) {
	tb.Helper()
	if err := b.Close(context.WithoutCancel(tb.Context())); err != nil {
		tb.Error(err)
	}
}

func publishTo(p broker.Publisher) publishFunc {
	return func(ctx context.Context, body []byte) error {
		_, err := p.Publish(ctx, broker.Message{Subject: orders, Body: body})
		return err
	}
}

// newGoChannel has a buffer of the publisher's window, as the raw channel has.
func newGoChannel() *gochannel.GoChannel {
	return gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: window}, nil)
}

func watermillRouter(tb testing.TB, handle handleFunc) publishFunc {
	tb.Helper()
	c := newGoChannel()
	tb.Cleanup(watermillRoute(tb, c, 1, handle))
	return watermillPublish(tb, c)
}

func watermillChannel(tb testing.TB, handle handleFunc) publishFunc {
	tb.Helper()
	c := newGoChannel()
	messages, err := c.Subscribe(tb.Context(), orders)
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for m := range messages {
			handle(m.Payload)
			m.Ack()
		}
	}()
	tb.Cleanup(func() { <-done }) // after Close, which publishing ends with
	return watermillPublish(tb, c)
}

// gocloudMemory redelivers what is not acknowledged within a minute, the
// default of its URL opener.
func gocloudMemory(tb testing.TB, handle handleFunc) publishFunc {
	tb.Helper()
	topic := mempubsub.NewTopic()
	tb.Cleanup(gocloudHandle(tb, mempubsub.NewSubscription(topic, time.Minute), 1, handle))
	return gocloudPublish(tb, topic)
}
