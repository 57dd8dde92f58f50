package cluster

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/integration/containers"
	"github.com/candidmq/candidmq/natsbroker"
)

// fault is something that happens to a node.
type fault struct {
	name       string
	begin, end func(*containers.Node, context.Context) error
}

var faults = []fault{
	{"SIGKILL", (*containers.Node).Kill, (*containers.Node).Start},
	{"pause", (*containers.Node).Pause, (*containers.Node).Resume},
	{"cut off", (*containers.Node).Disconnect, (*containers.Node).Connect},
}

// Acknowledged messages outlive the death, the freezing and the isolation of a
// leader, in order and once each, as far as JetStream promises that.
func TestFaults(t *testing.T) {
	r := newRun(t)
	r.begin(t)
	began := time.Now()
	hits := 0
	targets := []string{"", shared}
	for ; hits < len(faults) || time.Since(began).Minutes() < *minutes; hits++ {
		r.strike(t, faults[hits%len(faults)], targets[hits/len(faults)%len(targets)])
	}
	took := time.Since(began)
	h := r.end(t)
	v := judge(h)
	t.Logf("%d faults in %.1f s (%.1f a minute)", hits, took.Seconds(), float64(hits)/took.Minutes())
	r.figures(t, h, v)
	if want := max(len(faults), int(3**minutes)); hits < want {
		t.Errorf("%d faults have hit, want at least %d", hits, want)
	}
	for what, found := range map[string][]string{"lost": v.lost, "unexplained duplicates": v.duplicates, "out of order": v.disorder} {
		if len(found) > 0 {
			t.Errorf("%d %s: %s", len(found), what, strings.Join(found[:min(len(found), 20)], "; "))
		}
	}
}

// run is a cluster under load.
type run struct {
	cluster *containers.Cluster
	admin   *natsbroker.JetStream

	publishers []*publisher
	receivers  []*receiver
	logs       []*consumerLog

	faults  []window
	stop    chan struct{}
	abandon context.CancelFunc // ends publishers that wait in vain
	running sync.WaitGroup
}

func newRun(t *testing.T) *run {
	t.Helper()
	r := &run{cluster: containers.NATSCluster(t, 3)}
	// Quick to notice that its server is the one that is paused.
	r.admin = connect(t, r.cluster.URL(), &natsbroker.JetStreamOptions{RequestTimeout: time.Second},
		nats.PingInterval(500*time.Millisecond), nats.MaxPingsOutstanding(2), nats.ReconnectWait(100*time.Millisecond))
	r.topology(t)
	return r
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
		r.consumer(t, jetstream.ConsumerConfig{Durable: strictName(key), FilterSubject: subject(key), MaxAckPending: 1}, key)
	}
	r.consumer(t, jetstream.ConsumerConfig{Durable: shared, FilterSubject: "orders.*"}, all...)
}

func (r *run) consumer(t *testing.T, c jetstream.ConsumerConfig, keys ...int) {
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
	r.logs = append(r.logs, l)
}

// begin starts publishers and receivers, each on a connection of its own, and
// returns when all of them work.
func (r *run) begin(t *testing.T) {
	t.Helper()
	ctx, abandon := context.WithCancel(context.Background())
	r.abandon, r.stop = abandon, make(chan struct{})
	for key := range keys {
		rec := &receiver{number: key, js: connect(t, r.cluster.URL(), nil), errors: map[string]int{}}
		rec.subscribe(t, r.logs[key])
		rec.subscribe(t, r.logs[keys])
		r.receivers = append(r.receivers, rec)
		p := &publisher{key: key, js: connect(t, r.cluster.URL(), &natsbroker.JetStreamOptions{StreamWait: try})}
		r.publishers = append(r.publishers, p)
		r.running.Go(func() { p.run(ctx, r.stop) })
	}
	t.Cleanup(func() {
		if t.Failed() {
			r.state(t)
		}
		abandon()
		r.running.Wait()
	})
	r.progress(t)
}

// progress waits until each publisher has published and each consumer delivered
// what it had not before.
func (r *run) progress(t *testing.T) {
	t.Helper()
	const some = 20
	var goals []func() bool
	for _, p := range r.publishers {
		goal := p.done.Load() + some
		goals = append(goals, func() bool { return p.done.Load() >= goal })
	}
	for _, l := range r.logs {
		goal := l.handled() + some
		goals = append(goals, func() bool { return l.handled() >= goal })
	}
	for i, reached := range goals {
		await(t, fmt.Sprintf("progress of %d of the publishers and consumers", i), reached)
	}
}

// strike lets a fault happen to the leader of the stream, or of one of its
// consumers, waits until the cluster works without it, and ends the fault.
func (r *run) strike(t *testing.T, f fault, consumer string) {
	t.Helper()
	r.healthy(t)
	var leader string
	await(t, "a leader", func() bool { leader = r.leader(t, consumer); return leader != "" })
	node := r.cluster.Node(leader)
	began := time.Now()
	if err := f.begin(node, t.Context()); err != nil {
		t.Fatalf("%s: %v", f.name, err)
	}
	await(t, "another leader", func() bool {
		next := r.leader(t, consumer)
		return next != "" && next != node.Name
	})
	elected := time.Since(began)
	r.progress(t)
	worked := time.Since(began)
	if err := f.end(node, t.Context()); err != nil {
		t.Fatalf("end of %s: %v", f.name, err)
	}
	r.healthy(t)
	r.faults = append(r.faults, window{began, time.Now()})
	t.Logf("%s of %s, leader of %s: another one after %.1f s, all publish and consume after %.1f s, all replicas current after %.1f s",
		f.name, node.Name, cmp.Or(consumer, "the stream"), elected.Seconds(), worked.Seconds(), time.Since(began).Seconds())
}

// leader is "" while nobody answers, or there is none.
func (r *run) leader(t *testing.T, consumer string) string {
	t.Helper()
	if consumer == "" {
		if info := r.info(t); info != nil {
			return info.Cluster.Leader
		}
		return ""
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	c, err := r.admin.API().Consumer(ctx, stream, consumer)
	if err != nil || c.CachedInfo().Cluster == nil {
		return ""
	}
	return c.CachedInfo().Cluster.Leader
}

// healthy waits until the stream has a leader and all replicas are current.
func (r *run) healthy(t *testing.T) {
	t.Helper()
	await(t, "a leader and two current replicas", func() bool {
		info := r.info(t)
		if info == nil || info.Cluster.Leader == "" || len(info.Cluster.Replicas) != 2 {
			return false
		}
		for _, peer := range info.Cluster.Replicas {
			if peer.Offline || !peer.Current {
				return false
			}
		}
		return true
	})
}

// info is nil while nobody answers.
func (r *run) info(t *testing.T) *jetstream.StreamInfo {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Second)
	defer cancel()
	s, err := r.admin.API().Stream(ctx, stream)
	if err != nil || s.CachedInfo().Cluster == nil {
		return nil
	}
	return s.CachedInfo()
}

// end stops the publishers, waits until all is consumed, and collects what
// happened.
func (r *run) end(t *testing.T) history {
	t.Helper()
	close(r.stop)
	late := time.AfterFunc(patience, r.abandon)
	r.running.Wait()
	late.Stop()
	h := history{acked: map[message]bool{}, logs: r.logs, faults: r.faults}
	for _, p := range r.publishers {
		if p.wrong != nil {
			t.Errorf("publisher %d ended with an error that says nothing of trying again: %v", p.key, p.wrong)
		}
		for n := range p.done.Load() {
			h.acked[message{p.key, int(n) + 1}] = true
		}
	}
	for _, l := range r.logs {
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

// settled reports whether a consumer has delivered everything and nothing comes
// again.
func (r *run) settled(t *testing.T, consumer string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	c, err := r.admin.API().Consumer(ctx, stream, consumer)
	if err != nil {
		return false
	}
	info := c.CachedInfo()
	return info.NumPending == 0 && info.NumAckPending == 0
}

// stored reads the stream with nats.go alone.
func (r *run) stored(t *testing.T) []message {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := r.admin.API().Stream(ctx, stream)
	if err != nil {
		t.Fatal(err)
	}
	c, err := s.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	next, err := c.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer next.Stop()
	var all []message
	for range s.CachedInfo().State.Msgs {
		msg, err := next.Next(jetstream.NextContext(ctx))
		if err != nil {
			t.Fatalf("reading the stream after %d messages: %v", len(all), err)
		}
		m, err := parse(msg.Subject(), msg.Data())
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

// state prints what a run that failed was waiting for.
func (r *run) state(t *testing.T) {
	t.Helper()
	if info := r.info(t); info != nil {
		t.Logf("stream: last %d, cluster %s", info.State.LastSeq, peers(info.Cluster))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
	defer cancel()
	for i, l := range r.logs {
		c, err := r.admin.API().Consumer(ctx, stream, l.name)
		if err != nil {
			t.Logf("%s: %v", l.name, err)
			continue
		}
		info := c.CachedInfo()
		t.Logf("%s: %d handled, delivered %+v, floor %+v, %d pending, %d to be acknowledged, %d pulls wait, cluster %s", l.name, l.handled(),
			info.Delivered, info.AckFloor, info.NumPending, info.NumAckPending, info.NumWaiting, peers(info.Cluster))
		if i < len(r.receivers) {
			rec := r.receivers[i]
			t.Logf("receiver %d: connection %v to %s, errors %s, strict %+v, shared %+v", i, rec.js.Conn().Status(),
				rec.js.Conn().ConnectedUrl(), sum(rec.errors), rec.subs[0].Counts(), rec.subs[1].Counts())
		}
	}
}

func peers(c *jetstream.ClusterInfo) string {
	if c == nil {
		return "unknown"
	}
	text := "leader " + c.Leader
	for _, p := range c.Replicas {
		text += fmt.Sprintf(", %s current %v offline %v active %v lag %d", p.Name, p.Current, p.Offline, p.Active, p.Lag)
	}
	return text
}

// figures prints what was seen.
func (r *run) figures(t *testing.T, h history, v verdict) {
	t.Helper()
	outcomes := map[string]int{}
	var failures []map[string]int
	var longest time.Duration
	for _, p := range r.publishers {
		for o, n := range p.outcomes {
			outcomes[o.String()] += n
		}
		failures = append(failures, p.errors)
		longest = max(longest, p.gap)
	}
	t.Logf("%d messages acknowledged: %s; failed tries: %s; longest without one: %.1f s",
		len(h.acked), sum(outcomes), sum(failures...), longest.Seconds())
	failures = nil
	var counts broker.Counts
	for _, rec := range r.receivers {
		failures = append(failures, rec.errors)
		for _, sub := range rec.subs {
			c := sub.Counts()
			counts.Received += c.Received
			counts.Redelivered += c.Redelivered
			counts.Deleted += c.Deleted
			counts.LeasesLost += c.LeasesLost
			counts.Released += c.Released
		}
	}
	t.Logf("%d deliveries to %d consumers: %d with an attempt above 1, %d deletes confirmed, %d leases lost, %d released; errors: %s",
		counts.Received, len(h.logs), counts.Redelivered, counts.Deleted, counts.LeasesLost, counts.Released, sum(failures...))
	for _, l := range h.logs {
		t.Logf("%s: longest without a delivery: %.1f s", l.name, l.gap.Seconds())
	}
	t.Logf("%d stored; %d lost, %d unexplained duplicates, %d out of order; %d deliveries repeated, %d of them within the lease, %d although a delete had been confirmed around the fault",
		len(h.stored), len(v.lost), len(v.duplicates), len(v.disorder), v.repeated, v.early, v.forgotten)
}
