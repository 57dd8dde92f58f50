package memory_test

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/broker/brokertest"
	"github.com/candidmq/candidmq/memory"
)

var updateConformance = flag.Bool("update-conformance", false, "write what the conformance suite saw")

func TestConformance(t *testing.T) {
	for _, h := range []brokertest.Harness{coreNATS(), sqs("standard", ""), sqs("fifo", ".fifo"), jetStream()} {
		t.Run(h.Name, func(t *testing.T) {
			brokertest.CheckColumn(t, "../broker/brokertest/testdata/"+h.Name+".tsv", *updateConformance, h, brokertest.Run(t, h))
		})
	}
}

// With Confirm it is the same but for what a nil error means.
func TestConformanceConfirmed(t *testing.T) {
	h := coreNATS()
	h.Open = func(testing.TB) broker.Broker { return memory.NewCoreNATS(&memory.CoreNATSOptions{Confirm: true}) }
	h.Worst = nil
	brokertest.Run(t, h)
}

// seed is printed where the test fails.
func seed(tb testing.TB) uint64 {
	tb.Helper()
	s := rand.Uint64() | 1
	tb.Logf("seed %d", s)
	return s
}

func coreNATS() brokertest.Harness {
	n := 0
	return brokertest.Harness{
		Name:    "memory-core-nats",
		Virtual: true,
		Open:    func(testing.TB) broker.Broker { return memory.NewCoreNATS(nil) },
		Worst: func(tb testing.TB) broker.Broker {
			tb.Helper()
			return memory.NewCoreNATS(&memory.CoreNATSOptions{WorstCase: seed(tb)})
		},
		Destination: func(_ testing.TB, _ broker.Broker, want brokertest.Config) (string, bool) {
			n++
			return fmt.Sprint("orders.", n), want == brokertest.Config{}
		},
		Roles: brokertest.RoleRequester | brokertest.RoleResponder | brokertest.RoleFlusher | brokertest.RolePinger,

		Wildcards: true,
	}
}

func sqs(kind, suffix string) brokertest.Harness {
	n := 0
	create := func(tb testing.TB, b broker.Broker, o memory.QueueOptions) string {
		tb.Helper()
		n++
		name := fmt.Sprint("orders-", n, suffix)
		if err := b.(*memory.SQS).CreateQueue(name, o); err != nil {
			tb.Fatal(err)
		}
		return name
	}
	return brokertest.Harness{
		Name:    "memory-sqs-" + kind,
		Virtual: true,
		Open:    func(testing.TB) broker.Broker { return memory.NewSQS(nil) },
		Worst: func(tb testing.TB) broker.Broker {
			tb.Helper()
			return memory.NewSQS(&memory.SQSOptions{WorstCase: seed(tb)})
		},
		Destination: func(tb testing.TB, b broker.Broker, want brokertest.Config) (string, bool) {
			tb.Helper()
			o, ok := queueOptions(want, suffix != "")
			if !ok {
				return "", false
			}
			if want.MaxAttempts > 0 || want.DeadLetter {
				o.DeadLetter = create(tb, b, memory.QueueOptions{})
			}
			return create(tb, b, o), true
		},
		Roles:   brokertest.RoleReceiver | brokertest.RolePinger,
		Missing: "missing" + suffix,
		Unknown: map[string]string{
			"replicas":        "AWS does not tell",
			"publish.readers": "SQS does not tell who polls",
		},
		Settings: settings(suffix != ""),
		InFlight: map[string]int{"standard": 120_000}[kind], // the engine is the same
	}
}

func queueOptions(want brokertest.Config, fifo bool) (memory.QueueOptions, bool) {
	o := memory.QueueOptions{
		Visibility: want.Lease, Delay: want.QueueDelay, Retention: want.Retention,
		MaxMessage: int(want.MaxMessage), MaxReceives: want.MaxAttempts, ContentBasedDedup: want.ByContent,
	}
	if want.DedupByKey {
		o.DedupScope = broker.ScopeKey
	}
	return o, fifo || !want.ByContent && !want.DedupByKey
}

// settings are the options that UpdateQueue changes, which sets all of them.
func settings(fifo bool) []brokertest.Setting {
	set := func(fact string, values []string, change func(o *memory.QueueOptions, i int)) brokertest.Setting {
		return brokertest.Setting{Fact: fact, Values: values, Set: func(tb testing.TB, b broker.Broker, queue string, i int) {
			tb.Helper()
			var o memory.QueueOptions
			change(&o, i)
			if err := b.(*memory.SQS).UpdateQueue(queue, o); err != nil {
				tb.Error(err)
			}
		}}
	}
	all := []brokertest.Setting{
		set("receive.lease", []string{"45s", "1h"}, func(o *memory.QueueOptions, i int) {
			o.Visibility = []time.Duration{45 * time.Second, time.Hour}[i]
		}),
		set("publish.queueDelay", []string{"0s", "7s"}, func(o *memory.QueueOptions, i int) {
			o.Delay = time.Duration(i) * 7 * time.Second
		}),
		set("retention", []string{"1m", "336h"}, func(o *memory.QueueOptions, i int) {
			o.Retention = []time.Duration{time.Minute, 14 * 24 * time.Hour}[i]
		}),
		set("publish.maxMessage", []string{"1024", "262144"}, func(o *memory.QueueOptions, i int) {
			o.MaxMessage = []int{1 << 10, 1 << 18}[i]
		}),
	}
	all = append(all, brokertest.Setting{
		Fact: "receive.maxAttempts", Values: []string{"3", "7"},
		Set: func(tb testing.TB, b broker.Broker, queue string, i int) {
			tb.Helper()
			target := "dead-" + queue
			err := errors.Join(
				b.(*memory.SQS).CreateQueue(target, memory.QueueOptions{}),
				b.(*memory.SQS).UpdateQueue(queue, memory.QueueOptions{DeadLetter: target, MaxReceives: []int{3, 7}[i]}),
			)
			if err != nil {
				tb.Error(err)
			}
		},
	})
	if fifo {
		scope := func(o *memory.QueueOptions, i int) {
			o.DedupScope = []broker.Scope{broker.ScopeDestination, broker.ScopeKey}[i]
		}
		all = append(all,
			set("publish.dedupBy", []string{"id", "id-or-content"}, func(o *memory.QueueOptions, i int) {
				o.ContentBasedDedup = i == 1
			}),
			set("publish.dedupScope", []string{"destination", "key"}, scope),
			set("publish.rateScope", []string{"destination", "key"}, scope))
	}
	return all
}
