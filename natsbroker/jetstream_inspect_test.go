package natsbroker_test

import (
	"context"
	"fmt"
	"net/url"
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

// inspect returns the findings of a code, one line each.
func inspect(t *testing.T, j *natsbroker.JetStream, destination, code string) (lines []string) {
	t.Helper()
	found, err := j.Inspect(soon(t), destination)
	if err != nil {
		t.Fatalf("Inspect of %s: %v", destination, err)
	}
	for _, f := range found {
		if f.Code == code {
			lines = append(lines, f.String())
		}
	}
	return lines
}

func wantLines(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("got\n%s\nwant lines that begin with\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestJetStreamInspectTellsOfTheConsumer(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	r.consumer("ORDERS", jetstream.ConsumerConfig{Durable: "idle", AckPolicy: jetstream.AckExplicitPolicy, InactiveThreshold: time.Hour})
	wantLines(t, inspect(t, r.JetStream, "ORDERS/c", "consumer-shape"))
	wantLines(t, inspect(t, r.JetStream, "ORDERS/idle", "consumer-shape"),
		"error consumer-shape \"ORDERS/idle\": the server removes the consumer, with its position, when nobody has read it for 1h0m0s (inactive_threshold); ")
	if _, err := r.js.PauseConsumer(soon(t), "ORDERS", "c", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	wantLines(t, inspect(t, r.JetStream, "ORDERS/c", "consumer-shape"),
		"error consumer-shape \"ORDERS/c\": the consumer is paused and delivers nothing for another ")
	for _, destination := range []string{"ORDERS/c", "orders.new", "nobody.listens"} {
		wantLines(t, inspect(t, r.JetStream, destination, "replica-offline")) // there are none
	}
	_, err := r.Inspect(soon(t), "ORDERS/none")
	wantErr(t, err, broker.ErrNotFound)
	_, err = r.Inspect(soon(t), "orders.*")
	wantErr(t, err, broker.ErrInvalid)
}

// What cannot be read is not passed over.
func TestJetStreamInspectWithTheAPIDenied(t *testing.T) {
	t.Parallel() // it waits for what is not answered
	_, j := denied(t)
	wantLines(t, inspect(t, j, "ORDERS/c", "consumer-shape"),
		"warning consumer-shape \"ORDERS/c\": the consumer's configuration is unknown: no answer, as with a missing permission")
	for _, destination := range []string{"ORDERS/c", "orders.new"} {
		wantLines(t, inspect(t, j, destination, "replica-offline"),
			fmt.Sprintf("info replica-offline %q: whether all replicas are there is unknown: no answer, as with a missing permission", destination))
	}
}

func TestJetStreamInspectWhileDown(t *testing.T) {
	r := newRig(t, nil)
	r.orders()
	stopServer(r.server)
	eventually(t, "the connection is down", func() bool { return !r.Conn().IsConnected() })
	for _, destination := range []string{"ORDERS/c", "orders.new"} {
		wantLines(t, inspect(t, r.JetStream, destination, "replica-offline"),
			fmt.Sprintf("info replica-offline %q: whether all replicas are there is unknown: %v", destination, nats.ErrDisconnected))
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
			o.Cluster.Host, o.Cluster.Port, o.Routes = "127.0.0.1", server.RANDOM_PORT, routes
		})
		all = append(all, s)
		routes = []*url.URL{{Scheme: "nats", Host: s.ClusterAddr().String()}}
	}
	return all
}

// elections is how long leaders may take to be elected; each takes 4 s to 9 s.
const elections = time.Minute

// Check reports a server that holds a replica and is down, for the stream and
// for the consumer.
func TestJetStreamInspectTellsOfReplicas(t *testing.T) {
	servers := startCluster(t)
	r := rigOn(t, servers[0], nil)
	within(t, elections, "a stream and a consumer with three replicas", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second) // without a leader nobody answers
		defer cancel()
		_, noStream := r.js.CreateStream(ctx, jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}, Replicas: 3})
		_, noConsumer := r.js.CreateConsumer(ctx, "ORDERS", jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
		return noStream == nil && noConsumer == nil
	})
	offline := func(destination string) (lines []string) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		found, err := r.Inspect(ctx, destination)
		if err != nil { // a leader is missing
			return []string{err.Error()}
		}
		for _, f := range found {
			if f.Code == "replica-offline" {
				lines = append(lines, f.String())
			}
		}
		return lines
	}
	for _, destination := range []string{"ORDERS/c", "orders.new"} {
		within(t, elections, "all replicas of "+destination+" are there", func() bool { return len(offline(destination)) == 0 })
	}
	stopServer(servers[2])
	for destination, want := range map[string][]string{
		"orders.new": {"the replica of stream ORDERS on n3 is offline"},
		"ORDERS/c":   {"the replica of stream ORDERS on n3 is offline", "the replica of consumer ORDERS/c on n3 is offline"},
	} {
		for i, cause := range want {
			want[i] = fmt.Sprintf("warning replica-offline %q: %s; ", destination, cause)
		}
		var got []string
		within(t, elections, "the server that is down is reported for "+destination, func() bool {
			got = offline(destination)
			return slices.EqualFunc(got, want, strings.HasPrefix)
		})
	}
	found, err := broker.Check(soon(t), r, "ORDERS/c", broker.Usage{Receives: true, Idempotent: true})
	if err != nil || !slices.ContainsFunc(found, func(f broker.Finding) bool { return f.Code == "replica-offline" }) {
		t.Errorf("Check: %v, %v", found, err)
	}
}
