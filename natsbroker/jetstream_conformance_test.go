package natsbroker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/broker/brokertest"
	"github.com/candidmq/candidmq/natsbroker"
)

func TestJetStreamConformance(t *testing.T) {
	e := &streams{server: startServer(t, withJetStream(t))}
	h := brokertest.Harness{
		Name:        "nats-jetstream",
		Open:        e.open,
		Destination: e.destination,
		Roles:       brokertest.RoleReceiver | brokertest.RolePinger | brokertest.RoleFlusher,
		Lease:       time.Second, // a busy machine may take a third of it to renew a lease
		Poll:        100 * time.Millisecond,
		Slack:       500 * time.Millisecond,
		Missing:     "missing",
		Unknown: map[string]string{
			"atRest":          "a client cannot see whether the server encrypts its store",
			"publish.readers": "a stream's consumers may read or not",
		},
		Foreign:  e.foreign,
		Settings: e.settings(),
	}
	brokertest.CheckColumn(t, "../broker/brokertest/testdata/"+h.Name+".tsv", *updateConformance, h, brokertest.Run(t, h))
}

func withJetStream(tb testing.TB) func(*server.Options) {
	tb.Helper()
	dir := tb.TempDir()
	return func(o *server.Options) {
		o.JetStream = true
		o.StoreDir = dir
	}
}

// streams makes streams with one consumer each. The names of all that a case may
// want are in the broker's tables from the beginning.
type streams struct {
	server *server.Server
	made   int
	js     jetstream.JetStream
}

const perCase = 60

func (e *streams) open(tb testing.TB) broker.Broker {
	tb.Helper()
	o := &natsbroker.JetStreamOptions{Subjects: map[string]string{}, Queues: map[string]string{"missing": "MISSING/group"}}
	for i := range perCase {
		n := e.made + i
		o.Subjects[e.name(n)] = e.subject(n)
		o.Queues[e.name(n)] = e.stream(n) + "/group"
		o.Queues["dead."+e.subject(n)] = "DEAD" + e.stream(n) + "/group"
	}
	nc := dial(tb, e.server)
	js, err := jetstream.New(nc)
	if err != nil {
		tb.Fatal(err)
	}
	e.js = js
	j, err := natsbroker.NewJetStream(nc, o)
	if err != nil {
		tb.Fatal(err)
	}
	return j
}

func (*streams) name(n int) string    { return fmt.Sprint("orders-", n) }
func (*streams) subject(n int) string { return fmt.Sprint("orders.", n) }
func (*streams) stream(n int) string  { return fmt.Sprint("ORDERS", n) }

func (e *streams) destination(tb testing.TB, _ broker.Broker, want brokertest.Config) (string, bool) {
	tb.Helper()
	if want.QueueDelay != 0 || want.ByContent || want.DedupByKey {
		return "", false
	}
	n := e.made
	e.made++
	c := jetstream.ConsumerConfig{Durable: "group", AckPolicy: jetstream.AckExplicitPolicy, AckWait: want.Lease, FilterSubject: e.subject(n)}
	if want.MaxAttempts > 0 || want.DeadLetter {
		dead := natsbroker.DeadLetters{Subject: "dead." + e.subject(n), MaxAttempts: want.MaxAttempts}
		c.Metadata = dead.Metadata(nil)
		e.create(tb, jetstream.StreamConfig{Name: "DEAD" + e.stream(n), Subjects: []string{dead.Subject}, Retention: jetstream.WorkQueuePolicy},
			jetstream.ConsumerConfig{Durable: "group", AckPolicy: jetstream.AckExplicitPolicy})
	}
	e.create(tb, jetstream.StreamConfig{
		Name: e.stream(n), Subjects: []string{e.subject(n), natsbroker.ScheduleSubject(e.stream(n))}, Retention: jetstream.WorkQueuePolicy,
		MaxAge: want.Retention, MaxMsgSize: int32(want.MaxMessage), AllowMsgSchedules: true, AllowMsgTTL: true,
	}, c)
	return e.name(n), true
}

func (e *streams) create(tb testing.TB, s jetstream.StreamConfig, c jetstream.ConsumerConfig) {
	tb.Helper()
	ctx := soon(tb)
	if _, err := e.js.CreateStream(ctx, s); err != nil {
		tb.Fatal(err)
	}
	if _, err := e.js.CreateConsumer(ctx, s.Name, c); err != nil {
		tb.Fatal(err)
	}
}

// number is that of a destination.
func (e *streams) number(tb testing.TB, name string) int {
	tb.Helper()
	for n := range e.made {
		if e.name(n) == name {
			return n
		}
	}
	tb.Fatalf("no destination %s", name)
	return 0
}

// settings change streams and consumers through nats.go.
func (e *streams) settings() []brokertest.Setting {
	stream := func(fact string, words []string, change func(c *jetstream.StreamConfig, i int)) brokertest.Setting {
		return brokertest.Setting{Fact: fact, Values: words, Set: func(tb testing.TB, _ broker.Broker, name string, i int) {
			tb.Helper()
			s, err := e.js.Stream(tb.Context(), e.stream(e.number(tb, name)))
			if err != nil {
				tb.Fatal(err)
			}
			c := s.CachedInfo().Config
			change(&c, i)
			if _, err := e.js.UpdateStream(tb.Context(), c); err != nil {
				tb.Error(err)
			}
		}}
	}
	consumer := func(fact string, words []string, change func(c *jetstream.ConsumerConfig, i int)) brokertest.Setting {
		return brokertest.Setting{Fact: fact, Values: words, Set: func(tb testing.TB, _ broker.Broker, name string, i int) {
			tb.Helper()
			s := e.stream(e.number(tb, name))
			old, err := e.js.Consumer(tb.Context(), s, "group")
			if err != nil {
				tb.Fatal(err)
			}
			c := old.CachedInfo().Config
			change(&c, i)
			if _, err := e.js.UpdateConsumer(tb.Context(), s, c); err != nil {
				tb.Error(err)
			}
		}}
	}
	return []brokertest.Setting{
		stream("retention", []string{"10m", "1h"}, func(c *jetstream.StreamConfig, i int) { c.MaxAge = []time.Duration{10 * time.Minute, time.Hour}[i] }),
		stream("publish.maxMessage", []string{"1000", "2000"}, func(c *jetstream.StreamConfig, i int) { c.MaxMsgSize = int32(1000 * (i + 1)) }),
		stream("publish.dedupWindow", []string{"1m", "2m"}, func(c *jetstream.StreamConfig, i int) { c.Duplicates = time.Duration(i+1) * time.Minute }),
		stream("whenFull", []string{"drops-oldest", "none"}, func(c *jetstream.StreamConfig, i int) { c.MaxMsgs = []int64{100, -1}[i] }),
		consumer("receive.lease", []string{"45s", "1h"}, func(c *jetstream.ConsumerConfig, i int) { c.AckWait = []time.Duration{45 * time.Second, time.Hour}[i] }),
		consumer("receive.inFlight", []string{"5", "77"}, func(c *jetstream.ConsumerConfig, i int) { c.MaxAckPending = []int{5, 77}[i] }),
		consumer("receive.maxAttempts", []string{"3", "unlimited"}, func(c *jetstream.ConsumerConfig, i int) { c.MaxDeliver = []int{3, -1}[i] }),
	}
}

// foreign publishes through nats.go: headers with several values, with names of
// the server's, and none.
func (e *streams) foreign(tb testing.TB, _ broker.Broker, name string) []broker.Message {
	tb.Helper()
	subject := e.subject(e.number(tb, name))
	several := &nats.Msg{Subject: subject, Data: []byte("several"), Header: nats.Header{"K": {"first", "second"}, "k": {"100%"}, "Nats-Msg-Id": {"id"}}}
	noHeader := &nats.Msg{Subject: subject, Data: []byte{0, 0xff}}
	for _, m := range []*nats.Msg{several, noHeader} {
		if _, err := e.js.PublishMsg(tb.Context(), m); err != nil {
			tb.Fatal(err)
		}
	}
	return []broker.Message{
		{Body: several.Data, Header: broker.Header{"K": "first", "k": "100%"}},
		{Body: noHeader.Data},
	}
}
