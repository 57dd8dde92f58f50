package cluster

import (
	"context"
	"flag"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

var minutes = flag.Float64("minutes", 0, "for how long the cluster is damaged; 0: one fault of each kind; needs a -timeout of at least twice as much")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for. It is reached by failures only.
const patience = 90 * time.Second

// repair bounds how long a replica takes to be current again. A former leader
// takes back, entry by entry, what it had stored without a quorum, and may need
// two seconds for each (nats-server 2.15, server/raft.go, processAppendEntry and
// catchupStalled).
const repair = 5 * time.Minute

// await polls a condition that cannot be awaited otherwise, such as a server's
// state.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	within(t, patience, what, holds)
}

// within is await, for what may take longer. It ends a while before go test does,
// which would print nothing of the run's state.
func within(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	if end, ok := t.Deadline(); ok {
		limit = max(0, min(limit, time.Until(end)-30*time.Second))
	}
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !holds(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited %v for %s", limit, what)
		}
	}
}

// connect dials as a service would.
func connect(t *testing.T, url string, o *natsbroker.JetStreamOptions, natsOpts ...nats.Option) *natsbroker.JetStream {
	t.Helper()
	j, err := natsbroker.ConnectJetStream(t.Context(), url, o, natsOpts...)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, j)
	return j
}

// connectPublisher dials as one that waits a while for a new leader.
func connectPublisher(t *testing.T, url string) *natsbroker.JetStream {
	t.Helper()
	return connect(t, url, &natsbroker.JetStreamOptions{StreamWait: try})
}

func closeAtEnd(t *testing.T, b broker.Broker) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}
