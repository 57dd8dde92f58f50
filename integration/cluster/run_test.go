package cluster

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/integration/containers"
	"github.com/candidmq/candidmq/natsbroker"
)

// run is a cluster under load.
type run struct {
	cluster *containers.Cluster
	admins  []*natsbroker.JetStream // of each node
	admin   *natsbroker.JetStream   // the one to ask

	publishers []*publisher
	receivers  []*receiver
	logs       []*consumerLog // of each receiver, and of the shared consumer
	inside     *insider

	faults  []window
	aside   time.Duration // until faults were reported, and from their ends until all replicas were current
	stop    chan struct{}
	life    context.Context
	abandon context.CancelFunc // ends life, and publishers that wait in vain
	running sync.WaitGroup
}

func newRun(t *testing.T) *run {
	t.Helper()
	r := &run{cluster: containers.NATSCluster(t, 3), stop: make(chan struct{})}
	r.life, r.abandon = context.WithCancel(context.Background())
	for _, node := range r.cluster.Nodes {
		// Quick to notice that its server is back.
		r.admins = append(r.admins, connect(t, node.URL, &natsbroker.JetStreamOptions{RequestTimeout: time.Second},
			nats.PingInterval(500*time.Millisecond), nats.MaxPingsOutstanding(2), nats.ReconnectWait(100*time.Millisecond)))
	}
	r.admin = r.admins[0]
	r.topology(t)
	return r
}

// lookFromOutside asks another node from now on: what a node says of the cluster
// is out of date while it is alone.
func (r *run) lookFromOutside(node *containers.Node) {
	outside := slices.IndexFunc(r.cluster.Nodes, func(n *containers.Node) bool { return n != node })
	r.admin = r.admins[outside]
}

// topology waits for the first election by trying.
func (r *run) topology(t *testing.T) {
	t.Helper()
	await(t, "a stream with three replicas", func() bool {
		_, err := r.admin.EnsureStream(t.Context(), jetstream.StreamConfig{Name: stream, Subjects: []string{"orders.*"}, Replicas: 3})
		return err == nil
	})
	all := []int{}
	for key := range keys {
		all = append(all, key)
		r.logs = append(r.logs, r.consumer(t, jetstream.ConsumerConfig{Durable: strictName(key), FilterSubject: subject(key), MaxAckPending: 1}, key))
	}
	r.inside = newInsider(t, r, keys)
	all = append(all, keys)
	r.logs = append(r.logs, r.consumer(t, jetstream.ConsumerConfig{Durable: shared, FilterSubject: "orders.*"}, all...))
}

func (r *run) consumer(t *testing.T, c jetstream.ConsumerConfig, keys ...int) *consumerLog {
	t.Helper()
	c.AckPolicy, c.AckWait = jetstream.AckExplicitPolicy, ackWait
	await(t, "consumer "+c.Durable, func() bool {
		_, err := r.admin.EnsureConsumer(t.Context(), stream, c)
		return err == nil
	})
	var s broker.Semantics
	await(t, "the semantics of "+c.Durable, func() (ok bool) {
		var err error
		s, err = r.admin.Describe(t.Context(), stream+"/"+c.Durable)
		return err == nil && s.Receive.Strict.State == broker.StateKnown
	})
	l := &consumerLog{name: c.Durable, keys: keys, strict: s.Receive.Strict.V}
	t.Logf("%s: %v, %v replicas, order %v, strict %v", c.Durable, s.Receive.Guarantee, s.Replicas, s.Receive.Ordering, s.Receive.Strict)
	if want := c.MaxAckPending == 1; l.strict != want || s.Receive.Guarantee.V != broker.GuaranteeAtLeastOnce || s.Receive.Ordering.V != broker.OrderingTotal {
		t.Errorf("Describe of %s says otherwise:\n%v", c.Durable, s)
	}
	return l
}

// begin starts publishers and receivers, each on a connection of its own, and
// returns when all of them work.
func (r *run) begin(t *testing.T) {
	t.Helper()
	for key := range keys {
		rec := &receiver{number: key, js: connect(t, r.cluster.URL(), nil), errors: map[string]int{}}
		rec.subscribe(t, r.logs[key])
		rec.subscribe(t, r.logs[keys])
		r.receivers = append(r.receivers, rec)
		p := &publisher{key: key, js: connectPublisher(t, r.cluster.URL())}
		r.publishers = append(r.publishers, p)
		r.running.Go(func() { p.run(r.life, r.stop) })
	}
	t.Cleanup(func() {
		if t.Failed() {
			r.state(t)
			r.serverLogs(t)
		}
		r.abandon()
		r.running.Wait()
		r.inside.running.Wait()
	})
	r.progress(t, "")
}

// end stops the publishers, waits until all is consumed, and collects what
// happened.
func (r *run) end(t *testing.T) history {
	t.Helper()
	close(r.stop)
	late := time.AfterFunc(patience, r.abandon)
	r.running.Wait()
	late.Stop()
	h := history{acked: map[message]bool{}, logs: append(r.logs, r.inside.log), faults: r.faults}
	for _, p := range append(r.publishers, r.inside.publisher) {
		if p.wrong != nil {
			t.Errorf("publisher %d ended with an error that says nothing of trying again: %v", p.key, p.wrong)
		}
		for n := range p.done.Load() {
			h.acked[message{p.key, int(n) + 1}] = true
		}
	}
	for _, l := range h.logs {
		await(t, "the end of consumer "+l.name, func() bool { return r.settled(t, l.name) })
	}
	for _, rec := range r.receivers {
		for _, sub := range rec.subs {
			if _, err := sub.Drain(t.Context()); err != nil {
				t.Errorf("Drain: %v", err)
			}
		}
	}
	h.stored = r.stored(t)
	return h
}
