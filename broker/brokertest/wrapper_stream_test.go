package brokertest_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/broker/brokertest"
	"github.com/candidmq/candidmq/memory"
)

// streams is a memory.JetStream in which some operations can be replaced. The
// replacement reaches the real one through the embedded field.
type streams struct {
	*memory.JetStream

	onPublish  func(context.Context, broker.Message) (broker.Receipt, error)
	onReceive  func(context.Context, string, int, []broker.ReceiveOption) ([]*broker.Delivery, error)
	onExtend   func(context.Context, time.Duration, []*broker.Delivery) error
	onDescribe func(context.Context, string) (broker.Semantics, error)

	// what the configuration of a destination becomes
	onStream   func(*memory.StreamConfig)
	onConsumer func(*memory.ConsumerConfig)
}

func (s *streams) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	if s.onPublish != nil {
		return s.onPublish(ctx, m)
	}
	return s.JetStream.Publish(ctx, m)
}

func (s *streams) Receive(ctx context.Context, queue string, limit int, opts ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	if s.onReceive != nil {
		return s.onReceive(ctx, queue, limit, opts)
	}
	return s.JetStream.Receive(ctx, queue, limit, opts...)
}

func (s *streams) Extend(ctx context.Context, lease time.Duration, ds ...*broker.Delivery) error {
	if s.onExtend != nil {
		return s.onExtend(ctx, lease, ds)
	}
	return s.JetStream.Extend(ctx, lease, ds...)
}

func (s *streams) Describe(ctx context.Context, name string) (broker.Semantics, error) {
	if s.onDescribe != nil {
		return s.onDescribe(ctx, name)
	}
	return s.JetStream.Describe(ctx, name)
}

// onStreams is the harness of JetStream in the wrapper, changed by mutate.
func onStreams(mutate func(*streams)) brokertest.Harness {
	const names = 60 // that one case may want
	var js *streams
	made := 0
	open := func(seed uint64) broker.Broker {
		o := &memory.JetStreamOptions{WorstCase: seed, Subjects: map[string]string{}, Queues: map[string]string{"missing": "MISSING/group"}}
		for n := made; n < made+names; n++ {
			o.Subjects[fmt.Sprint("orders-", n)] = fmt.Sprint("orders.", n)
			o.Queues[fmt.Sprint("orders-", n)] = fmt.Sprint("ORDERS", n, "/group")
			o.Queues[fmt.Sprint("dead.orders.", n)] = fmt.Sprint("DEADORDERS", n, "/group")
		}
		js = &streams{JetStream: memory.NewJetStream(o)}
		mutate(js)
		return js
	}
	h := brokertest.Harness{
		Name: "jetstream", Virtual: true,
		Open:    func(testing.TB) broker.Broker { return open(0) },
		Worst:   func(testing.TB) broker.Broker { return open(1) },
		Roles:   brokertest.RoleReceiver | brokertest.RolePinger | brokertest.RoleFlusher,
		Missing: "missing",
		Unknown: map[string]string{"atRest": "a client cannot see it", "publish.readers": "a stream's consumers may read or not"},
		Settings: []brokertest.Setting{{
			Fact: "receive.lease", Values: []string{"45s", "1h"},
			Set: func(tb testing.TB, _ broker.Broker, name string, i int) {
				tb.Helper()
				wait := []time.Duration{45 * time.Second, time.Hour}[i]
				c := memory.ConsumerConfig{Durable: "group", AckWait: wait, FilterSubject: strings.Replace(name, "-", ".", 1)}
				if err := js.UpdateConsumer(strings.Replace(name, "orders-", "ORDERS", 1), c); err != nil {
					tb.Error(err)
				}
			},
		}},
	}
	h.Destination = func(tb testing.TB, _ broker.Broker, want brokertest.Config) (string, bool) {
		tb.Helper()
		if want.QueueDelay != 0 || want.ByContent || want.DedupByKey {
			return "", false
		}
		n := made
		made++
		js.destination(tb, n, want)
		return fmt.Sprint("orders-", n), true
	}
	return h
}

func (s *streams) destination(tb testing.TB, n int, want brokertest.Config) {
	tb.Helper()
	name, subject := fmt.Sprint("ORDERS", n), fmt.Sprint("orders.", n)
	stream := memory.StreamConfig{
		Name: name, Subjects: []string{subject, memory.ScheduleSubject(name)}, Retention: memory.WorkQueueRetention,
		MaxAge: want.Retention, MaxMsgSize: int32(want.MaxMessage), AllowMsgSchedules: true, AllowMsgTTL: true,
	}
	consumer := memory.ConsumerConfig{Durable: "group", AckWait: want.Lease, FilterSubject: subject}
	if want.MaxAttempts > 0 || want.DeadLetter {
		consumer.DeadLetters = memory.DeadLetters{Subject: "dead." + subject, MaxAttempts: want.MaxAttempts}
		s.create(tb, memory.StreamConfig{Name: "DEAD" + name, Subjects: []string{"dead." + subject}, Retention: memory.WorkQueueRetention},
			memory.ConsumerConfig{Durable: "group"})
	}
	if s.onStream != nil {
		s.onStream(&stream)
	}
	if s.onConsumer != nil {
		s.onConsumer(&consumer)
	}
	s.create(tb, stream, consumer)
}

func (s *streams) create(tb testing.TB, stream memory.StreamConfig, consumer memory.ConsumerConfig) {
	tb.Helper()
	if err := s.CreateStream(stream); err != nil {
		tb.Fatal(err)
	}
	if err := s.CreateConsumer(stream.Name, consumer); err != nil {
		tb.Fatal(err)
	}
}
