package natsbroker_test

import (
	"flag"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/broker/brokertest"
	"github.com/candidmq/candidmq/natsbroker"
)

var updateConformance = flag.Bool("update-conformance", false, "write what the conformance suite saw")

func TestConformance(t *testing.T) {
	h := coreHarness(t, nil)
	brokertest.CheckColumn(t, "../broker/brokertest/testdata/"+h.Name+".tsv", *updateConformance, h, brokertest.Run(t, h))
}

// With Options.Confirm it is the same but for what a nil error means.
func TestConformanceConfirmed(t *testing.T) {
	brokertest.Run(t, coreHarness(t, confirming))
}

func coreHarness(t *testing.T, o *natsbroker.Options) brokertest.Harness {
	t.Helper()
	s := startServer(t)
	n := 0
	return brokertest.Harness{
		Name: "nats-core",
		Open: func(tb testing.TB) broker.Broker {
			tb.Helper()
			return newBroker(tb, s, o, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})) // drops are told by OnError
		},
		Destination: func(_ testing.TB, _ broker.Broker, want brokertest.Config) (string, bool) {
			n++
			return fmt.Sprint("orders.", n), want == brokertest.Config{}
		},
		Roles: brokertest.RoleRequester | brokertest.RoleResponder | brokertest.RoleFlusher | brokertest.RolePinger,

		Wildcards: true,
		Foreign: func(tb testing.TB, _ broker.Broker, subject string) []broker.Message {
			tb.Helper()
			nc := dial(tb, s)
			several := &nats.Msg{Subject: subject, Data: []byte("several"), Header: nats.Header{"K": {"first", "second"}, "k": {"100%"}}}
			noHeader := &nats.Msg{Subject: subject, Data: []byte{0, 0xff}}
			for _, m := range []*nats.Msg{several, noHeader} {
				if err := nc.PublishMsg(m); err != nil {
					tb.Fatal(err)
				}
			}
			if err := nc.Flush(); err != nil {
				tb.Fatal(err)
			}
			return []broker.Message{
				{Body: several.Data, Header: broker.Header{"K": "first", "k": "100%"}},
				{Body: noHeader.Data},
			}
		},
	}
}
