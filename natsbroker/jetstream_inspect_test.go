package natsbroker_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// settings are the codes of Broker.Inspect, on a connection with nats.go's
// defaults.
var settings = []string{"slow-write", "slow-notice", "gives-up"}

// inspect returns the findings of JetStream alone, one line each.
func inspect(t *testing.T, j *natsbroker.JetStream, destination string) []string {
	t.Helper()
	found, err := j.Inspect(soon(t), destination)
	if err != nil {
		t.Fatalf("Inspect of %s: %v", destination, err)
	}
	for _, code := range settings {
		if !slices.ContainsFunc(found, func(f broker.Finding) bool { return f.Code == code }) {
			t.Errorf("%s is not among the findings on %s", code, destination)
		}
	}
	return linesOf(found, destination)
}

func linesOf(found broker.Findings, destination string) (lines []string) {
	for _, f := range found {
		if !slices.Contains(settings, f.Code) {
			lines = append(lines, strings.Replace(f.String(), fmt.Sprintf(" %q", destination), "", 1))
		}
	}
	return lines
}

// remains is how long a pause lasts yet.
var remains = regexp.MustCompile(`another \S+`)

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	got = slices.Clone(got)
	for i := range got {
		got[i] = remains.ReplaceAllString(got[i], "another hour")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const (
	paused = "error consumer-shape: the consumer is paused and delivers nothing for another hour (pause_until); resume it (nats consumer resume), or wait"
	again  = "; check again while connected, with permission for CONSUMER.INFO, STREAM.INFO and STREAM.LIST of JetStream's API"
)

func unknownGroup(of, why string) []string {
	return []string{
		"warning no-leader: whether " + of + " has a leader is unknown: " + why + again,
		"info replica-offline: whether all replicas of " + of + " are there is unknown: " + why + again,
	}
}

func TestJetStreamInspectTellsOfTheConsumer(t *testing.T) {
	r := newRig(t, &natsbroker.JetStreamOptions{
		Subjects: map[string]string{"orders": "orders.new"}, Queues: map[string]string{"orders": "ORDERS/paused"},
	})
	r.orders()
	until := time.Now().Add(time.Hour)
	for name, c := range map[string]jetstream.ConsumerConfig{
		"paused":  {PauseUntil: &until},
		"idle":    {InactiveThreshold: time.Hour},
		"headers": {HeadersOnly: true},
		"dead":    {FilterSubject: "bills"},
	} {
		c.Durable, c.AckPolicy = name, jetstream.AckExplicitPolicy
		r.consumer("ORDERS", c)
	}
	r.consumer("ORDERS", jetstream.ConsumerConfig{Name: "ephemeral", AckPolicy: jetstream.AckExplicitPolicy, InactiveThreshold: time.Hour})
	push := jetstream.ConsumerConfig{Durable: "push", DeliverSubject: "inbox", AckPolicy: jetstream.AckExplicitPolicy}
	if _, err := r.js.CreatePushConsumer(soon(t), "ORDERS", push); err != nil {
		t.Fatal(err)
	}
	for destination, want := range map[string][]string{
		"ORDERS/c":         nil,
		"ORDERS/ephemeral": nil,
		"orders.new":       nil,
		"nobody.listens":   nil,
		"orders":           {paused},
		"ORDERS/paused":    {paused},
		"ORDERS/idle": {"error consumer-shape: the consumer is durable, but the server removes it, with its position, when nobody has read it for 1h0m0s (inactive_threshold); " +
			"set inactive_threshold to 0; if the stream's consumer_limits demand one, make it longer than any outage"},
		"ORDERS/push":    {"error consumer-shape: it is a push consumer; use a pull consumer: one without a deliver_subject"},
		"ORDERS/headers": {"error consumer-shape: it delivers headers only, without bodies; use a consumer without headers_only"},
		"ORDERS/dead":    {"error consumer-shape: its filter bills matches none of the stream's subjects; change the filter, or the stream's subjects"},
	} {
		t.Run(destination, func(t *testing.T) { wantLines(t, inspect(t, r.JetStream, destination), want...) })
	}
}

func TestJetStreamInspectRefuses(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	_, err := r.Inspect(soon(t), "ORDERS/none")
	wantErr(t, err, broker.ErrNotFound)
	_, err = r.Inspect(soon(t), "orders.*")
	wantErr(t, err, broker.ErrInvalid)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, destination := range []string{"ORDERS/c", "orders.new"} {
		_, err = r.Inspect(ended, destination)
		wantErr(t, err, context.Canceled)
	}
	r.Conn().Close()
	for _, destination := range []string{"ORDERS/c", "orders.new"} {
		_, err = r.Inspect(soon(t), destination)
		wantErr(t, err, broker.ErrClosed)
	}
}

// check is Check's findings of Inspect, which come soon enough for a ctx of
// patience.
func check(t *testing.T, j *natsbroker.JetStream, destination string) broker.Findings {
	t.Helper()
	found, err := broker.Check(soon(t), j, destination, broker.Usage{Publishes: true, Receives: true, Idempotent: true})
	if err != nil {
		t.Fatalf("Check of %s: %v", destination, err)
	}
	return found
}

func has(found broker.Findings, severity broker.Severity, code string) bool {
	return slices.ContainsFunc(found, func(f broker.Finding) bool { return f.Code == code && f.Severity == severity })
}

// What cannot be read is not passed over, and does not take all the time that
// there is.
func TestJetStreamInspectWithTheAPIDenied(t *testing.T) {
	t.Parallel() // it waits for what is not answered
	const why = "no answer, as with a missing permission: context deadline exceeded"
	_, j := denied(t)
	wantLines(t, inspect(t, j, "ORDERS/c"),
		append([]string{"warning consumer-shape: the consumer's configuration is unknown: " + why + again}, unknownGroup("consumer ORDERS/c", why)...)...)
	wantLines(t, inspect(t, j, "orders.new"), unknownGroup("stream ORDERS", why)...) // a trace told its name
	if found := check(t, j, "ORDERS/c"); !has(found, broker.SeverityWarning, "consumer-shape") {
		t.Errorf("Check of a consumer:\n%v", found)
	}
	if found := check(t, j, "orders.new"); !has(found, broker.SeverityWarning, "no-leader") {
		t.Errorf("Check of a subject:\n%v", found)
	}
	_, j = deniedFor(t, "$JS.API.STREAM.>")
	wantLines(t, inspect(t, j, "ORDERS/c"), append([]string{paused}, unknownGroup("stream ORDERS", why)...)...)
}

func TestJetStreamInspectWhileDown(t *testing.T) {
	r := newRig(t, &natsbroker.JetStreamOptions{
		Subjects: map[string]string{"orders": "orders.new"}, Queues: map[string]string{"orders": "ORDERS/c"},
	})
	r.orders()
	stopServer(r.server)
	eventually(t, "the connection is down", func() bool { return !r.Conn().IsConnected() })
	why := nats.ErrDisconnected.Error()
	subject := unknownGroup("what stores the subject", why)
	consumer := append([]string{"warning consumer-shape: the consumer's configuration is unknown: " + why + again}, unknownGroup("consumer ORDERS/c", why)...)
	wantLines(t, inspect(t, r.JetStream, "ORDERS/c"), consumer...)
	wantLines(t, inspect(t, r.JetStream, "orders.new"), subject...)
	wantLines(t, inspect(t, r.JetStream, "orders"), append(subject, consumer...)...)
	if found := check(t, r.JetStream, "orders"); !has(found, broker.SeverityWarning, "no-leader") {
		t.Errorf("Check:\n%v", found)
	}
}

func TestJetStreamInspectJudgesReplicas(t *testing.T) {
	const remedy = "; check again in a moment; if it stays so, start or restart that server, or move the replica (nats stream cluster peer-remove)"
	tests := map[string]struct {
		leader   string
		replicas []*jetstream.PeerInfo
		want     []string
	}{
		"alone":        {leader: "n1"},
		"no leader":    {"", []*jetstream.PeerInfo{{Name: "n2", Offline: true}}, []string{"error no-leader: there is no leader of stream S: the server knows of none; start servers until a majority is there; upgrade those that do not support what is configured"}},
		"no cluster":   {},
		"current":      {"n1", []*jetstream.PeerInfo{{Name: "n2", Current: true, Active: time.Minute, Lag: 5000}}, nil},
		"a moment ago": {"n1", []*jetstream.PeerInfo{{Name: "n2", Active: 10 * time.Second, Lag: 1000}}, nil},
		"offline":      {"n1", []*jetstream.PeerInfo{{Name: "n2", Offline: true, Current: true}}, []string{"warning replica-offline: the replica of stream S on n2 is offline" + remedy}},
		"never heard":  {"n1", []*jetstream.PeerInfo{{Name: "n2"}}, []string{"warning replica-offline: the replica of stream S on n2 has not been heard from by this leader" + remedy}},
		"silent":       {"n1", []*jetstream.PeerInfo{{Name: "n2", Active: 11 * time.Second}}, []string{"warning replica-offline: the replica of stream S on n2 has not been heard from for 11s" + remedy}},
		"behind": {"n1", []*jetstream.PeerInfo{{Name: "n2", Current: true}, {Name: "n3", Active: time.Second, Lag: 1001}},
			[]string{"warning replica-offline: the replica of stream S on n3 is 1001 operations behind" + remedy}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			found := natsbroker.InspectGroup("a", "stream S", &jetstream.ClusterInfo{Leader: tt.leader, Replicas: tt.replicas})
			wantLines(t, linesOf(found, "a"), tt.want...)
		})
	}
	if found := natsbroker.InspectGroup("a", "stream S", nil); found != nil {
		t.Errorf("no cluster: got %v", found)
	}
}

// startCluster starts three servers with JetStream.
func startCluster(t *testing.T) []*server.Server {
	t.Helper()
	// A first server without a route would not be in a cluster. Nobody listens there.
	routes := []*url.URL{{Scheme: "nats", Host: "127.0.0.1:1"}}
	var all []*server.Server
	for i := range 3 {
		s := startServer(t, withJetStream(t), func(o *server.Options) {
			o.ServerName, o.Cluster.Name = fmt.Sprint("n", i+1), "cluster"
			o.Tags = []string{o.ServerName}
			o.Cluster.Host, o.Cluster.Port, o.Routes = "127.0.0.1", server.RANDOM_PORT, routes
		})
		all = append(all, s)
		routes = []*url.URL{{Scheme: "nats", Host: s.ClusterAddr().String()}}
	}
	return all
}

// elections is how long leaders may take to be elected, each 4 s to 9 s, or to
// notice that they have no majority, after 10 s or more.
const elections = time.Minute

// Check reports a server that holds a replica and is down, and that so many are
// down that there is no leader, of a stream and of a consumer.
func TestJetStreamInspectTellsOfReplicas(t *testing.T) {
	t.Parallel() // it waits for elections
	servers := startCluster(t)
	r := rigOn(t, servers[0], nil)
	within(t, elections, "a stream and a consumer with three replicas", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // without a leader nobody answers
		defer cancel()
		_, streamErr := r.js.CreateStream(ctx, jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}, Replicas: 3})
		_, consumerErr := r.js.CreateConsumer(ctx, "ORDERS", jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
		errs := []error{streamErr, consumerErr}
		for _, node := range []string{"n1", "n3"} { // alone there
			_, err := r.js.CreateStream(ctx, jetstream.StreamConfig{Name: node, Subjects: []string{node}, Placement: &jetstream.Placement{Tags: []string{node}}})
			errs = append(errs, err)
		}
		return errors.Join(errs...) == nil
	})
	var last string // what Check said
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(last)
		}
	})
	reports := func(severity broker.Severity, code string, want bool, destinations ...string) {
		t.Helper()
		for _, destination := range destinations {
			within(t, elections, fmt.Sprintf("%v %s is reported for %s: %v", severity, code, destination, want), func() bool {
				found, err := broker.Check(soon(t), r, destination, broker.Usage{Publishes: true, Receives: true, Idempotent: true})
				last = fmt.Sprintf("%v %v", found, err)
				return err == nil && has(found, severity, code) == want
			})
		}
	}
	reports(broker.SeverityWarning, "replica-offline", false, "orders.new", "ORDERS/c")
	stopServer(servers[2])
	reports(broker.SeverityWarning, "replica-offline", true, "orders.new", "ORDERS/c")
	reports(broker.SeverityError, "no-leader", false, "orders.new", "ORDERS/c", "n1")
	reports(broker.SeverityError, "no-leader", true, "n3")
	stopServer(servers[1])
	reports(broker.SeverityError, "no-leader", true, "orders.new", "ORDERS/c", "n3", "nobody.listens")
	reports(broker.SeverityError, "no-leader", false, "n1") // which goes on, without the others
}
