package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/integration/containers"
)

// fault is something that happens to a node.
type fault struct {
	name       string
	begin, end func(*containers.Node, context.Context) error
	survived   bool // by the server's process
	reachable  bool // for clients, all the while
}

var faults = []fault{
	{"SIGKILL", (*containers.Node).Kill, (*containers.Node).Start, false, false},
	{"pause", (*containers.Node).Pause, (*containers.Node).Resume, true, false},
	{"cut off", (*containers.Node).Disconnect, (*containers.Node).Connect, true, false},
	{"isolation", (*containers.Node).Isolate, (*containers.Node).Rejoin, true, true},
}

// Acknowledged messages outlive the death, the freezing and the separation of a
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
	t.Logf("%d faults in %.1f s, %.1f s of which it took to be reported by Inspect, and until replicas were current again", hits, took.Seconds(), r.aside.Seconds())
	r.figures(t, h, v)
	want := len(faults)
	if *minutes > 0 {
		want = max(want, int(3*(took-r.aside).Minutes()))
	}
	if hits < want {
		t.Errorf("%d faults have hit, want at least %d", hits, want)
	}
	for what, found := range map[string][]string{"lost": v.lost, "unexplained duplicates": v.duplicates, "out of order": v.disorder} {
		if len(found) > 0 {
			t.Errorf("%d %s: %s", len(found), what, strings.Join(found[:min(len(found), 20)], "; "))
		}
	}
}

// progress waits until each publisher has published and each consumer delivered
// what it had not before, but for those that are connected to one node.
func (r *run) progress(t *testing.T, except string) {
	t.Helper()
	var goals []func() bool
	var sources, sinks bool // outside
	for i, p := range r.publishers {
		source := p.js.Conn().ConnectedServerName() != except
		sink := r.receivers[i].js.Conn().ConnectedServerName() != except
		if source {
			goals = append(goals, p.advances())
		}
		if source && sink {
			goals = append(goals, r.logs[i].advances())
		}
		sources, sinks = sources || source, sinks || sink
	}
	if sources && sinks {
		goals = append(goals, r.logs[keys].advances())
	}
	for i, reached := range goals {
		await(t, fmt.Sprintf("progress of %d of %d publishers and consumers", i, len(goals)), reached)
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
	r.lookFromOutside(node)
	except := "" // nobody
	if f.reachable {
		r.inside.begin(r.life, t, node)
		except = node.Name
	}
	began := time.Now()
	if err := f.begin(node, t.Context()); err != nil {
		t.Fatalf("%s: %v", f.name, err)
	}
	r.inside.publisher.cutOff.Store(f.reachable)
	await(t, "another leader", func() bool {
		next := r.leader(t, consumer)
		return next != "" && next != node.Name
	})
	elected := time.Since(began)
	working := time.Now()
	r.reported(t, node)
	r.aside += time.Since(working)
	heal := func() {}
	if f.reachable {
		heal = r.inside.isolated(t)
	}
	r.progress(t, except)
	worked := time.Since(began)
	heal()
	w := window{began: began}
	if f.survived {
		w.healed = time.Now()
	}
	if err := f.end(node, t.Context()); err != nil {
		t.Fatalf("end of %s: %v", f.name, err)
	}
	ended := time.Now()
	r.healthy(t)
	w.whole = time.Now()
	r.aside += w.whole.Sub(ended)
	if f.reachable {
		r.inside.end(t, r)
		r.progress(t, "")
	}
	r.faults = append(r.faults, w)
	t.Logf("%s of %s, leader of %s: another one after %.1f s, all publish and consume after %.1f s, all replicas current after %.1f s",
		f.name, node.Name, cmp.Or(consumer, "the stream"), elected.Seconds(), worked.Seconds(), w.whole.Sub(began).Seconds())
}

// reported waits until Inspect says that a node is missing, of the stream and of a
// consumer.
func (r *run) reported(t *testing.T, node *containers.Node) {
	t.Helper()
	for _, destination := range []string{subject(0), stream + "/" + shared} {
		await(t, "a finding on "+destination, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), patience/6) // a server that is paused owes a part of a trace
			defer cancel()
			found, err := r.admin.Inspect(ctx, destination)
			return err == nil && slices.ContainsFunc(found, func(f broker.Finding) bool {
				return f.Code == "replica-offline" && strings.Contains(f.Cause, " on "+node.Name+" ")
			})
		})
	}
}

// figures prints what was seen.
func (r *run) figures(t *testing.T, h history, v verdict) {
	t.Helper()
	outcomes := map[string]int{}
	var failures []map[string]int
	var longest time.Duration
	for _, p := range append(r.publishers, r.inside.publisher) {
		for o, n := range p.outcomes {
			outcomes[o.String()] += n
		}
		failures = append(failures, p.errors)
		longest = max(longest, p.gap)
	}
	t.Logf("%d messages acknowledged: %s; failed tries: %s; longest without one: %.1f s",
		len(h.acked), sum(outcomes), sum(failures...), longest.Seconds())
	t.Logf("client of a node that is cut off from its peers: %d messages acknowledged, %d tries failed while it was; all failed tries: %s; errors of its consumer: %s",
		r.inside.publisher.done.Load(), r.inside.publisher.refused.Load(), sum(r.inside.publisher.errors), sum(r.inside.errors))
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
	t.Logf("%d stored; %d lost, %d unexplained duplicates, %d out of order", len(h.stored), len(v.lost), len(v.duplicates), len(v.disorder))
	t.Logf("%d deliveries repeated, %d of them before the lease ended, %d whose delete was confirmed when it had, %d from a former leader after the delete; %d deletes were confirmed within a second before a fault",
		v.repeated, v.early, v.crossed, v.stale, v.fresh)
}
