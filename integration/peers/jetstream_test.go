package peers

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

type (
	// streamPublisher publishes to "orders", each message acknowledged by the
	// server before the call returns.
	streamPublisher func(tb testing.TB, s *stream) publishFunc
	// streamConsumer consumes from "orders" through the durable consumer "c", so
	// many messages at a time. A worker acknowledges what it has handled, and
	// goes on when the server has confirmed that.
	streamConsumer func(tb testing.TB, s *stream, workers int, handle handleFunc)
)

// The Go CDK is not here: its natspubsub knows core NATS only.
var (
	streamPublishers = []entry[streamPublisher]{
		{"raw-nats.go", rawStreamPublish},
		{"candidmq", candidStreamPublish},
		{"watermill-nats", watermillStreamPublish},
	}
	streamConsumers = []entry[streamConsumer]{
		{"raw-nats.go", rawStreamConsume},
		{"candidmq", candidStreamConsume()},
		{"candidmq-prefetch", candidStreamConsume(rawPrefetch)},
		{"watermill-nats", watermillStreamConsume},
	}
)

// rawPrefetch is what nats.go holds by default; candidmq holds nothing that it
// cannot start at once.
const rawPrefetch = broker.Prefetch(jetstream.DefaultMaxMessages)

// stream is "orders", for the subject "orders", on a server of its own.
type stream struct {
	server *server.Server
	js     jetstream.JetStream
	jetstream.Stream
}

func newStream(tb testing.TB) *stream {
	tb.Helper()
	s := &stream{server: startServer(tb, &server.Options{JetStream: true, StoreDir: tb.TempDir()})}
	var err error
	if s.js, err = jetstream.New(dial(tb, s.server)); err != nil {
		tb.Fatal(err)
	}
	if s.Stream, err = s.js.CreateStream(tb.Context(), jetstream.StreamConfig{
		Name: orders, Subjects: []string{orders}, Storage: jetstream.MemoryStorage,
	}); err != nil {
		tb.Fatal(err)
	}
	return s
}

// pull makes the consumer, for those that do not do it themselves.
func (s *stream) pull(tb testing.TB) {
	tb.Helper()
	_, err := s.CreateConsumer(tb.Context(), jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		tb.Fatal(err)
	}
}

// fill publishes n messages, no more of them at a time than a client has in
// flight without stalling.
func (s *stream) fill(b *testing.B, n int) {
	b.Helper()
	for ; n > 0; n -= window {
		for range min(n, window) {
			if _, err := s.js.PublishAsync(orders, body); err != nil {
				b.Fatal(err)
			}
		}
		select {
		case <-s.js.PublishAsyncComplete():
		case <-time.After(patience):
			b.Fatal("not acknowledged")
		}
	}
}

// settled waits until the server knows n messages to be acknowledged.
func (s *stream) settled(t *testing.T, n uint64) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); s.acknowledged(t) != n; {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%d acknowledged, want %d", s.acknowledged(t), n)
		}
	}
}

// acknowledged is up to where the one consumer, pull or push, has all messages
// acknowledged.
func (s *stream) acknowledged(t *testing.T) uint64 {
	t.Helper()
	consumers := s.ListConsumers(t.Context())
	var floor uint64
	for c := range consumers.Info() {
		floor = c.AckFloor.Stream
	}
	if err := consumers.Err(); err != nil {
		t.Fatal(err)
	}
	return floor
}

// Each publisher publishes for nats.go's consumer.
func TestJetStreamPublish(t *testing.T) {
	for _, e := range streamPublishers {
		t.Run(e.name, func(t *testing.T) { testStream(t, e.way, rawStreamConsume) })
	}
}

// Each consumer consumes what nats.go publishes.
func TestJetStreamConsume(t *testing.T) {
	for _, e := range streamConsumers {
		t.Run(e.name, func(t *testing.T) { testStream(t, rawStreamPublish, e.way) })
	}
}

func testStream(t *testing.T, from streamPublisher, to streamConsumer) {
	t.Helper()
	s, in := newStream(t), newInbox()
	to(t, s, 2, in.handle)
	publish := from(t, s)
	for _, body := range bodies(20) {
		if err := publish(t.Context(), body); err != nil {
			t.Fatal(err)
		}
	}
	in.want(t, 20)
	s.settled(t, 20)
}

// BenchmarkJetStreamPublish has each of so many publishers wait for the
// acknowledgement before it sends the next message.
func BenchmarkJetStreamPublish(b *testing.B) {
	for _, publishers := range []int{1, 64} {
		b.Run(fmt.Sprint(publishers), func(b *testing.B) {
			contest(b, streamPublishers, func(b *testing.B, open streamPublisher) {
				publish := open(b, newStream(b))
				b.ReportAllocs()
				b.ResetTimer()
				if err := share(publishers, b.N, func(int) error { return publish(b.Context(), body) }); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// BenchmarkJetStreamConsume works off a stream with so many workers.
func BenchmarkJetStreamConsume(b *testing.B) {
	for _, workers := range []int{1, 8} {
		b.Run(fmt.Sprint(workers), func(b *testing.B) {
			contest(b, streamConsumers, func(b *testing.B, consume streamConsumer) {
				s, p := newStream(b), newPace(b)
				s.fill(b, b.N)
				p.sent = b.N
				b.ReportAllocs()
				b.ResetTimer()
				consume(b, s, workers, func([]byte) { p.handle() })
				p.finish(b)
			})
		})
	}
}

func rawStreamPublish(_ testing.TB, s *stream) publishFunc {
	return func(ctx context.Context, body []byte) error {
		_, err := s.js.Publish(ctx, orders, body)
		return err
	}
}

// rawStreamConsume has a Consume for each worker, with the prefetch that
// nats.go has by default.
func rawStreamConsume(tb testing.TB, s *stream, workers int, handle handleFunc) {
	tb.Helper()
	s.pull(tb)
	js, err := jetstream.New(dial(tb, s.server))
	if err != nil {
		tb.Fatal(err)
	}
	c, err := js.Consumer(tb.Context(), orders, "c")
	if err != nil {
		tb.Fatal(err)
	}
	ctx := context.WithoutCancel(tb.Context())
	for range workers {
		consuming, err := c.Consume(func(m jetstream.Msg) {
			handle(m.Data())
			if err := m.DoubleAck(ctx); err != nil {
				tb.Error(err)
			}
		})
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() {
			consuming.Stop()
			<-consuming.Closed()
		})
	}
}

func newJetStream(tb testing.TB, s *stream) *natsbroker.JetStream {
	tb.Helper()
	b, err := natsbroker.NewJetStream(dial(tb, s.server), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func candidStreamPublish(tb testing.TB, s *stream) publishFunc {
	tb.Helper()
	b := newJetStream(tb, s)
	tb.Cleanup(func() { closeBroker(tb, b) })
	return publishTo(b)
}

func candidStreamConsume(opts ...broker.SubscribeOption) func(testing.TB, *stream, int, handleFunc) {
	return func(tb testing.TB, s *stream, workers int, handle handleFunc) {
		tb.Helper()
		s.pull(tb)
		opts := append([]broker.SubscribeOption{broker.Group("c"), broker.Concurrency(workers)}, opts...)
		subscribe(tb, newJetStream(tb, s), orders+"/c", handle, opts...)
	}
}

// watermillStream is the Publisher and Subscriber that Watermill recommends for
// production, with the options of its documentation; but the stream is there
// already, so that it is not asked about before every message.
var watermillStream = wmnats.JetStreamConfig{
	SubscribeOptions: []nats.SubOpt{nats.DeliverAll(), nats.AckExplicit()},
	DurablePrefix:    "c",
}

func watermillStreamPublish(tb testing.TB, s *stream) publishFunc {
	tb.Helper()
	return watermillNATSPublish(tb, s.server, watermillStream)
}

func watermillStreamConsume(tb testing.TB, s *stream, workers int, handle handleFunc) {
	tb.Helper()
	sub, err := wmnats.NewSubscriberWithNatsConn(dial(tb, s.server), wmnats.SubscriberSubscriptionConfig{
		JetStream:        watermillStream,
		QueueGroupPrefix: "g",
		SubscribersCount: workers,
	}, watermill.NopLogger{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(watermillRoute(tb, sub, 1, handle))
}
