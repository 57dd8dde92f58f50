package containers_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/integration/containers"
)

// Each fault is noticed by a client of the node, and each is over for the same
// client at the same address.
func TestNodeFaults(t *testing.T) {
	c := containers.NATSCluster(t, 1)
	n := c.Node("n1")
	if n == nil || c.Node("n2") != nil {
		t.Fatalf("node n1 is %v, n2 %v", n, c.Node("n2"))
	}
	for name, fault := range map[string]struct{ begin, end func(context.Context) error }{
		"kill":       {n.Kill, n.Start},
		"pause":      {n.Pause, n.Resume},
		"disconnect": {n.Disconnect, n.Connect},
	} {
		t.Run(name, func(t *testing.T) {
			nc, err := nats.Connect(n.URL, nats.PingInterval(100*time.Millisecond), nats.MaxPingsOutstanding(2),
				nats.ReconnectWait(50*time.Millisecond), nats.MaxReconnects(-1))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nc.Close)
			status := nc.StatusChanged(nats.RECONNECTING, nats.CONNECTED)
			for _, step := range []struct {
				do   func(context.Context) error
				want nats.Status
			}{{fault.begin, nats.RECONNECTING}, {fault.end, nats.CONNECTED}} {
				if err := step.do(t.Context()); err != nil {
					t.Fatal(err)
				}
				late := time.After(20 * time.Second)
				for got := nats.Status(-1); got != step.want; { // RECONNECTING once for each try
					select {
					case got = <-status:
					case <-late:
						t.Fatalf("the connection is not %v", step.want)
					}
				}
			}
		})
	}
}

// A node that is isolated keeps its clients, and what they publish reaches no
// other, until it is back.
func TestNodeIsolation(t *testing.T) {
	c := containers.NATSCluster(t, 2)
	near, far := connect(t, c.Node("n1").URL), connect(t, c.Node("n2").URL)
	if _, err := far.Subscribe("asked", func(m *nats.Msg) { _ = m.Respond(nil) }); err != nil {
		t.Fatal(err)
	}
	reached := func() bool {
		_, err := near.Request("asked", nil, time.Second)
		return err == nil
	}
	until := func(want bool) {
		t.Helper()
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for end := time.Now().Add(20 * time.Second); reached() != want; <-tick.C {
			if time.Now().After(end) {
				t.Fatalf("the other node is reached: %v", !want)
			}
		}
	}
	until(true)
	if err := c.Node("n1").Isolate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if reached() {
		t.Error("the other node is reached")
	}
	if late := connect(t, c.Node("n1").URL); late.Status() != nats.CONNECTED || near.Status() != nats.CONNECTED || near.Stats().Reconnects > 0 {
		t.Errorf("a client of the isolated node is %v after %d reconnects, a new one %v", near.Status(), near.Stats().Reconnects, late.Status())
	}
	if err := c.Node("n1").Rejoin(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(true)
	if log, err := c.Node("n1").Logs(t.Context()); err != nil || !strings.Contains(log, "Server is ready") {
		t.Errorf("the node's log is %q, %v", log, err)
	}
}
