package peers

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"gocloud.dev/pubsub/natspubsub"

	"github.com/candidmq/candidmq/natsbroker"
)

// cores publish and subscribe on core NATS. Each has a server in this process
// to itself, a connection to publish and one to subscribe. Nobody acknowledges
// anything.
var cores = []entry[flow]{
	{"raw-nats.go", rawCore},
	{"candidmq", candidCore},
	{"watermill-nats", watermillCore},
	{"gocloud-natspubsub", gocloudCore},
}

func TestCoreNATS(t *testing.T) { testFlows(t, cores) }

// BenchmarkCoreNATS is publish to handler over TCP on the loopback interface.
func BenchmarkCoreNATS(b *testing.B) { contest(b, cores, benchmarkFlow) }

// startServer runs a server in this process until tb ends.
func startServer(tb testing.TB, o *server.Options) *server.Server {
	tb.Helper()
	o.Host, o.Port, o.NoLog, o.NoSigs = "127.0.0.1", server.RANDOM_PORT, true, true
	s, err := server.NewServer(o)
	if err != nil {
		tb.Fatal(err)
	}
	s.Start()
	tb.Cleanup(func() {
		s.Shutdown()
		s.WaitForShutdown()
	})
	if !s.ReadyForConnections(patience) {
		tb.Fatal("the server does not start")
	}
	return s
}

// dial connects until tb ends.
func dial(tb testing.TB, s *server.Server) *nats.Conn {
	tb.Helper()
	closed := make(chan struct{})
	nc, err := nats.Connect(s.ClientURL(), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		nc.Close()
		<-closed
	})
	return nc
}

// flush has the server know of a connection's subscriptions.
func flush(tb testing.TB, nc *nats.Conn) {
	tb.Helper()
	if err := nc.Flush(); err != nil {
		tb.Fatal(err)
	}
}

func rawCore(tb testing.TB, handle handleFunc) publishFunc {
	tb.Helper()
	s := startServer(tb, &server.Options{})
	from, to := dial(tb, s), dial(tb, s)
	if _, err := to.Subscribe(orders, func(m *nats.Msg) { handle(m.Data) }); err != nil {
		tb.Fatal(err)
	}
	flush(tb, to)
	return func(_ context.Context, body []byte) error { return from.Publish(orders, body) }
}

func candidCore(tb testing.TB, handle handleFunc) publishFunc {
	tb.Helper()
	s := startServer(tb, &server.Options{})
	from, to := newCore(tb, s), newCore(tb, s)
	subscribe(tb, to, orders, handle)
	tb.Cleanup(func() { closeBroker(tb, from) })
	return publishTo(from)
}

func newCore(tb testing.TB, s *server.Server) *natsbroker.Broker {
	tb.Helper()
	b, err := natsbroker.New(dial(tb, s), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// watermillCore is the package's Publisher and Subscriber with JetStream
// disabled, its way to core NATS.
func watermillCore(tb testing.TB, handle handleFunc) publishFunc {
	tb.Helper()
	s := startServer(tb, &server.Options{})
	to, core := dial(tb, s), wmnats.JetStreamConfig{Disabled: true}
	sub, err := wmnats.NewSubscriberWithNatsConn(to, wmnats.SubscriberSubscriptionConfig{JetStream: core}, watermill.NopLogger{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(watermillRoute(tb, sub, 1, handle))
	flush(tb, to)
	return watermillNATSPublish(tb, s, core)
}

// watermillNATSPublish uses the default marshaler, which writes headers.
func watermillNATSPublish(tb testing.TB, s *server.Server, js wmnats.JetStreamConfig) publishFunc {
	tb.Helper()
	pub, err := wmnats.NewPublisherWithNatsConn(dial(tb, s), wmnats.PublisherPublishConfig{
		Marshaler:         &wmnats.NATSMarshaler{},
		SubjectCalculator: wmnats.DefaultSubjectCalculator,
		JetStream:         js,
	}, watermill.NopLogger{})
	if err != nil {
		tb.Fatal(err)
	}
	return watermillPublish(tb, pub)
}

// gocloudCore is the second version of the encoding, which the package
// recommends. There is nothing to acknowledge, but a message that is not is
// complained about.
func gocloudCore(tb testing.TB, handle handleFunc) publishFunc {
	tb.Helper()
	s := startServer(tb, &server.Options{})
	to := dial(tb, s)
	sub, err := natspubsub.OpenSubscriptionV2(to, orders, nil)
	if err != nil {
		tb.Fatal(err)
	}
	flush(tb, to)
	tb.Cleanup(gocloudHandle(tb, sub, 1, handle))
	topic, err := natspubsub.OpenTopicV2(dial(tb, s), orders, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return gocloudPublish(tb, topic)
}
