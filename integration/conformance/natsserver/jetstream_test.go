package natsserver

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/broker/brokertest"
	"github.com/candidmq/candidmq/integration/containers"
	"github.com/candidmq/candidmq/natsbroker"
)

// Every destination is made by natsbroker's own Ensure calls. What a second
// client changes or publishes (Settings, Foreign) is compared on the server in
// process, by natsbroker's tests.
func TestJetStream(t *testing.T) {
	s := streams{containers.NATS(t, "-js")}
	brokertest.Run(t, brokertest.Harness{
		Name:        "nats-jetstream",
		Open:        s.open,
		Destination: s.destination,
		Roles:       brokertest.RoleReceiver | brokertest.RolePinger | brokertest.RoleFlusher,
		Lease:       500 * time.Millisecond,
		Poll:        100 * time.Millisecond,
		Slack:       2 * time.Second, // a container shares its processors with whatever else runs
		Missing:     "missing",
		Unknown: map[string]string{
			"atRest":          "a client cannot see whether the server encrypts its store",
			"publish.readers": "a stream's consumers may read or not",
		},
	})
}

// streams makes work queues, each with one consumer. One name stands for both in
// the broker's tables.
type streams struct{ url string }

// made counts the destinations of all tests and of their repetitions, so that no
// name is used twice on the server that they share.
var made int

// ahead is how many destinations a case may make of a broker that is open.
const ahead = 60

func (s streams) open(tb testing.TB) broker.Broker {
	tb.Helper()
	o := &natsbroker.JetStreamOptions{Subjects: map[string]string{}, Queues: map[string]string{"missing": "MISSING/all"}}
	for n := made; n < made+ahead; n++ {
		name := destinationName(n)
		o.Subjects[name] = name + ".subject"
		o.Queues[name] = streamName(n) + "/all"
		o.Queues[name+".dead"] = deadName(n) + "/all"
	}
	j, err := natsbroker.NewJetStream(dial(tb, s.url), o)
	if err != nil {
		tb.Fatal(err)
	}
	return j
}

func destinationName(n int) string { return fmt.Sprint("jetstream-", n) }
func streamName(n int) string      { return fmt.Sprint("WORK", n) }
func deadName(n int) string        { return fmt.Sprint("DEAD", n) }

func (streams) destination(tb testing.TB, b broker.Broker, want brokertest.Config) (string, bool) {
	tb.Helper()
	if want.QueueDelay != 0 || want.ByContent || want.DedupByKey {
		return "", false // no stream has those
	}
	n := made
	made++
	j, name := b.(*natsbroker.JetStream), destinationName(n)
	all := jetstream.ConsumerConfig{Durable: "all", AckPolicy: jetstream.AckExplicitPolicy}
	c := all
	c.AckWait, c.FilterSubject = want.Lease, name+".subject"
	if want.MaxAttempts > 0 || want.DeadLetter {
		dead := natsbroker.DeadLetters{Subject: name + ".dead", MaxAttempts: want.MaxAttempts}
		c.Metadata = dead.Metadata(nil)
		ensure(tb, j, jetstream.StreamConfig{Name: deadName(n), Subjects: []string{dead.Subject}}, all)
	}
	ensure(tb, j, jetstream.StreamConfig{
		Name: streamName(n), Subjects: []string{c.FilterSubject, natsbroker.ScheduleSubject(streamName(n))},
		MaxAge: want.Retention, MaxMsgSize: int32(want.MaxMessage), AllowMsgSchedules: true, AllowMsgTTL: true,
	}, c)
	return name, true
}

func ensure(tb testing.TB, j *natsbroker.JetStream, s jetstream.StreamConfig, c jetstream.ConsumerConfig) {
	tb.Helper()
	s.Retention = jetstream.WorkQueuePolicy
	if found, err := j.EnsureStream(tb.Context(), s); err != nil || !found.Created {
		tb.Fatalf("stream %s: %+v, %v", s.Name, found, err)
	}
	if found, err := j.EnsureConsumer(tb.Context(), s.Name, c); err != nil || !found.Created {
		tb.Fatalf("consumer %s of %s: %+v, %v", c.Durable, s.Name, found, err)
	}
}
