package memory_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/broker/brokertest"
	"github.com/candidmq/candidmq/memory"
)

// perCase is how many destinations a case may want: their names are in the
// broker's tables from the beginning.
const perCase = 60

// jetStream is a stream with one consumer for each destination, of which the name
// stands for the subject and for the consumer.
func jetStream() brokertest.Harness {
	made := 0
	options := func(worst uint64) *memory.JetStreamOptions {
		o := &memory.JetStreamOptions{WorstCase: worst, Subjects: map[string]string{}, Queues: map[string]string{"missing": "MISSING/group"}}
		for n := made; n < made+perCase; n++ {
			o.Subjects[fmt.Sprint("orders-", n)] = fmt.Sprint("orders.", n)
			o.Queues[fmt.Sprint("orders-", n)] = fmt.Sprint("ORDERS", n, "/group")
			o.Queues[fmt.Sprint("dead.orders.", n)] = fmt.Sprint("DEADORDERS", n, "/group")
		}
		return o
	}
	return brokertest.Harness{
		Name:    "memory-jetstream",
		Virtual: true,
		Open:    func(testing.TB) broker.Broker { return memory.NewJetStream(options(0)) },
		Worst: func(tb testing.TB) broker.Broker {
			tb.Helper()
			return memory.NewJetStream(options(seed(tb)))
		},
		Destination: func(tb testing.TB, b broker.Broker, want brokertest.Config) (string, bool) {
			tb.Helper()
			if want.QueueDelay != 0 || want.ByContent || want.DedupByKey {
				return "", false
			}
			n := made
			made++
			makeStream(tb, b.(*memory.JetStream), n, want)
			return fmt.Sprint("orders-", n), true
		},
		Roles:   brokertest.RoleReceiver | brokertest.RolePinger | brokertest.RoleFlusher,
		Missing: "missing",
		Unknown: map[string]string{
			"atRest":          "a client cannot see whether the server encrypts its store",
			"publish.readers": "a stream's consumers may read or not",
		},
		Settings: streamSettings(),
	}
}

// streamOf and consumerOf are those of the n-th destination.
func streamOf(n int, want brokertest.Config) memory.StreamConfig {
	name := fmt.Sprint("ORDERS", n)
	return memory.StreamConfig{
		Name: name, Subjects: []string{fmt.Sprint("orders.", n), memory.ScheduleSubject(name)}, Retention: memory.WorkQueueRetention,
		MaxAge: want.Retention, MaxMsgSize: int32(want.MaxMessage), AllowMsgSchedules: true, AllowMsgTTL: true,
	}
}

func consumerOf(n int, want brokertest.Config) memory.ConsumerConfig {
	return memory.ConsumerConfig{Durable: "group", AckWait: want.Lease, FilterSubject: fmt.Sprint("orders.", n)}
}

func makeStream(tb testing.TB, b *memory.JetStream, n int, want brokertest.Config) {
	tb.Helper()
	s, c := streamOf(n, want), consumerOf(n, want)
	if want.MaxAttempts > 0 || want.DeadLetter {
		c.DeadLetters = memory.DeadLetters{Subject: "dead." + c.FilterSubject, MaxAttempts: want.MaxAttempts}
		create(tb, b, memory.StreamConfig{Name: "DEAD" + s.Name, Subjects: []string{c.DeadLetters.Subject}, Retention: memory.WorkQueueRetention},
			memory.ConsumerConfig{Durable: "group"})
	}
	create(tb, b, s, c)
}

// create makes a stream with a consumer.
func create(tb testing.TB, b *memory.JetStream, s memory.StreamConfig, c memory.ConsumerConfig) {
	tb.Helper()
	if err := b.CreateStream(s); err != nil {
		tb.Fatal(err)
	}
	if err := b.CreateConsumer(s.Name, c); err != nil {
		tb.Fatal(err)
	}
}

func streamSettings() []brokertest.Setting {
	number := func(tb testing.TB, name string) (n int) {
		tb.Helper()
		if _, err := fmt.Sscanf(strings.TrimPrefix(name, "orders-"), "%d", &n); err != nil {
			tb.Fatal(err)
		}
		return n
	}
	stream := func(fact string, words []string, change func(c *memory.StreamConfig, i int)) brokertest.Setting {
		return brokertest.Setting{Fact: fact, Values: words, Set: func(tb testing.TB, b broker.Broker, name string, i int) {
			tb.Helper()
			c := streamOf(number(tb, name), brokertest.Config{})
			change(&c, i)
			if err := b.(*memory.JetStream).UpdateStream(c); err != nil {
				tb.Error(err)
			}
		}}
	}
	consumer := func(fact string, words []string, change func(c *memory.ConsumerConfig, i int)) brokertest.Setting {
		return brokertest.Setting{Fact: fact, Values: words, Set: func(tb testing.TB, b broker.Broker, name string, i int) {
			tb.Helper()
			n := number(tb, name)
			c := consumerOf(n, brokertest.Config{})
			change(&c, i)
			if err := b.(*memory.JetStream).UpdateConsumer(fmt.Sprint("ORDERS", n), c); err != nil {
				tb.Error(err)
			}
		}}
	}
	return []brokertest.Setting{
		stream("retention", []string{"10m", "1h"}, func(c *memory.StreamConfig, i int) {
			c.MaxAge = []time.Duration{10 * time.Minute, time.Hour}[i]
		}),
		stream("publish.maxMessage", []string{"1000", "2000"}, func(c *memory.StreamConfig, i int) { c.MaxMsgSize = int32(1000 * (i + 1)) }),
		stream("publish.dedupWindow", []string{"1m", "3m"}, func(c *memory.StreamConfig, i int) {
			c.Duplicates = []time.Duration{time.Minute, 3 * time.Minute}[i]
		}),
		stream("whenFull", []string{"drops-oldest", "none"}, func(c *memory.StreamConfig, i int) { c.MaxMsgs = []int64{100, -1}[i] }),
		consumer("receive.lease", []string{"45s", "1h"}, func(c *memory.ConsumerConfig, i int) {
			c.AckWait = []time.Duration{45 * time.Second, time.Hour}[i]
		}),
		consumer("receive.inFlight", []string{"5", "77"}, func(c *memory.ConsumerConfig, i int) { c.MaxAckPending = []int{5, 77}[i] }),
		consumer("receive.maxAttempts", []string{"3", "unlimited"}, func(c *memory.ConsumerConfig, i int) { c.MaxDeliver = []int{3, -1}[i] }),
	}
}
