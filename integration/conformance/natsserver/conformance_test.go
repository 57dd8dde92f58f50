// Package natsserver runs the conformance suite on a nats-server in a container.
package natsserver

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/broker/brokertest"
	"github.com/candidmq/candidmq/integration/containers"
	"github.com/candidmq/candidmq/natsbroker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(containers.Main{M: m}) }

func TestCoreNATS(t *testing.T) {
	url := containers.NATS(t)
	n := 0
	brokertest.Run(t, brokertest.Harness{
		Name: "nats-core",
		Open: func(tb testing.TB) broker.Broker {
			tb.Helper()
			b, err := natsbroker.New(dial(tb, url), nil)
			if err != nil {
				tb.Fatal(err)
			}
			return b
		},
		Destination: func(_ testing.TB, _ broker.Broker, want brokertest.Config) (string, bool) {
			n++
			return fmt.Sprint("conformance.", n), want == brokertest.Config{}
		},
		Roles:     brokertest.RoleRequester | brokertest.RoleResponder | brokertest.RoleFlusher | brokertest.RolePinger,
		Wildcards: true,
	})
}

func dial(tb testing.TB, url string) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		tb.Fatal(err)
	}
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	tb.Cleanup(func() {
		nc.Close()
		<-closed
	})
	return nc
}
