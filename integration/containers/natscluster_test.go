package containers_test

import (
	"context"
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
				select {
				case got := <-status:
					if got != step.want {
						t.Fatalf("the connection is %v, want %v", got, step.want)
					}
				case <-time.After(20 * time.Second):
					t.Fatalf("the connection is not %v", step.want)
				}
			}
		})
	}
}
