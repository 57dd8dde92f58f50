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

// queues is a memory.SQS in which any operation can be replaced. The
// replacement reaches the real one through the embedded field.
type queues struct {
	*memory.SQS
	tb testing.TB

	onPublish   func(context.Context, broker.Message) (broker.Receipt, error)
	onBatch     func(context.Context, []broker.Message) ([]broker.Receipt, error)
	onSubscribe func(context.Context, string, broker.Handler, []broker.SubscribeOption) (*broker.Subscription, error)
	onReceive   func(context.Context, string, int, []broker.ReceiveOption) ([]*broker.Delivery, error)
	onDelete    func(context.Context, []*broker.Delivery) error
	onExtend    func(context.Context, time.Duration, []*broker.Delivery) error
	onRelease   func(context.Context, time.Duration, []*broker.Delivery) error
	onReject    func(context.Context, string, []*broker.Delivery) error
	onDescribe  func(context.Context, string) (broker.Semantics, error)
	onClose     func(context.Context) error
}

func (q *queues) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	if q.onPublish != nil {
		return q.onPublish(ctx, m)
	}
	return q.SQS.Publish(ctx, m)
}

func (q *queues) PublishBatch(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
	if q.onBatch != nil {
		return q.onBatch(ctx, ms)
	}
	return q.SQS.PublishBatch(ctx, ms)
}

func (q *queues) Subscribe(ctx context.Context, s string, h broker.Handler, opts ...broker.SubscribeOption) (*broker.Subscription, error) {
	if q.onSubscribe != nil {
		return q.onSubscribe(ctx, s, h, opts)
	}
	return q.SQS.Subscribe(ctx, s, h, opts...)
}

func (q *queues) Receive(ctx context.Context, queue string, limit int, opts ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	if q.onReceive != nil {
		return q.onReceive(ctx, queue, limit, opts)
	}
	return q.SQS.Receive(ctx, queue, limit, opts...)
}

func (q *queues) Delete(ctx context.Context, ds ...*broker.Delivery) error {
	if q.onDelete != nil {
		return q.onDelete(ctx, ds)
	}
	return q.SQS.Delete(ctx, ds...)
}

func (q *queues) Extend(ctx context.Context, lease time.Duration, ds ...*broker.Delivery) error {
	if q.onExtend != nil {
		return q.onExtend(ctx, lease, ds)
	}
	return q.SQS.Extend(ctx, lease, ds...)
}

func (q *queues) Release(ctx context.Context, delay time.Duration, ds ...*broker.Delivery) error {
	if q.onRelease != nil {
		return q.onRelease(ctx, delay, ds)
	}
	return q.SQS.Release(ctx, delay, ds...)
}

func (q *queues) Reject(ctx context.Context, reason string, ds ...*broker.Delivery) error {
	if q.onReject != nil {
		return q.onReject(ctx, reason, ds)
	}
	return q.SQS.Reject(ctx, reason, ds...)
}

func (q *queues) Describe(ctx context.Context, s string) (broker.Semantics, error) {
	if q.onDescribe != nil {
		return q.onDescribe(ctx, s)
	}
	return q.SQS.Describe(ctx, s)
}

func (q *queues) Close(ctx context.Context) error {
	if q.onClose != nil {
		return q.onClose(ctx)
	}
	return q.SQS.Close(ctx)
}

// subjects is a memory.CoreNATS likewise.
type subjects struct {
	*memory.CoreNATS
	tb testing.TB

	onPublish   func(context.Context, broker.Message) (broker.Receipt, error)
	onBatch     func(context.Context, []broker.Message) ([]broker.Receipt, error)
	onSubscribe func(context.Context, string, broker.Handler, []broker.SubscribeOption) (*broker.Subscription, error)
	onRequest   func(context.Context, broker.Message) (*broker.Delivery, error)
	onRespond   func(context.Context, string, broker.ReplyHandler, []broker.SubscribeOption) (*broker.Subscription, error)
	onDescribe  func(context.Context, string) (broker.Semantics, error)
	onClose     func(context.Context) error
}

func (s *subjects) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	if s.onPublish != nil {
		return s.onPublish(ctx, m)
	}
	return s.CoreNATS.Publish(ctx, m)
}

func (s *subjects) PublishBatch(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
	if s.onBatch != nil {
		return s.onBatch(ctx, ms)
	}
	return s.CoreNATS.PublishBatch(ctx, ms)
}

func (s *subjects) Subscribe(ctx context.Context, name string, h broker.Handler, opts ...broker.SubscribeOption) (*broker.Subscription, error) {
	if s.onSubscribe != nil {
		return s.onSubscribe(ctx, name, h, opts)
	}
	return s.CoreNATS.Subscribe(ctx, name, h, opts...)
}

func (s *subjects) Request(ctx context.Context, m broker.Message) (*broker.Delivery, error) {
	if s.onRequest != nil {
		return s.onRequest(ctx, m)
	}
	return s.CoreNATS.Request(ctx, m)
}

func (s *subjects) Respond(ctx context.Context, name string, h broker.ReplyHandler, opts ...broker.SubscribeOption) (*broker.Subscription, error) {
	if s.onRespond != nil {
		return s.onRespond(ctx, name, h, opts)
	}
	return s.CoreNATS.Respond(ctx, name, h, opts...)
}

func (s *subjects) Describe(ctx context.Context, name string) (broker.Semantics, error) {
	if s.onDescribe != nil {
		return s.onDescribe(ctx, name)
	}
	return s.CoreNATS.Describe(ctx, name)
}

func (s *subjects) Close(ctx context.Context) error {
	if s.onClose != nil {
		return s.onClose(ctx)
	}
	return s.CoreNATS.Close(ctx)
}

// onSubjects is the harness of core NATS in the wrapper, changed by mutate.
func onSubjects(mutate func(*subjects)) brokertest.Harness {
	return onCore("core-nats", memory.CoreNATSOptions{}, mutate)
}

// onConfirmed is that of core NATS whose server says that it has what is published.
func onConfirmed(mutate func(*subjects)) brokertest.Harness {
	return onCore("core-nats.confirmed", memory.CoreNATSOptions{Confirm: true}, mutate)
}

func onCore(name string, o memory.CoreNATSOptions, mutate func(*subjects)) brokertest.Harness {
	worst := o
	worst.WorstCase = 1
	var core *memory.CoreNATS
	n := 0
	return brokertest.Harness{
		Name: name, Virtual: true, Wildcards: true,
		Foreign: func(tb testing.TB, _ broker.Broker, name string) []broker.Message {
			tb.Helper()
			m := broker.Message{Subject: name, Body: []byte("foreign"), Header: broker.Header{"Foreign": "yes"}}
			if _, err := core.Publish(tb.Context(), m); err != nil {
				tb.Fatal(err)
			}
			return []broker.Message{m}
		},
		Open: func(tb testing.TB) broker.Broker {
			tb.Helper()
			core = memory.NewCoreNATS(&o)
			s := &subjects{CoreNATS: core, tb: tb}
			mutate(s)
			return s
		},
		Worst: func(testing.TB) broker.Broker { return memory.NewCoreNATS(&worst) },
		Destination: func(_ testing.TB, _ broker.Broker, want brokertest.Config) (string, bool) {
			n++
			return fmt.Sprint("orders.", n), want == brokertest.Config{}
		},
		Roles: brokertest.RoleRequester | brokertest.RoleResponder | brokertest.RoleFlusher | brokertest.RolePinger,
	}
}

// onQueues is the harness of SQS in the wrapper. The suffix is ".fifo" or "".
func onQueues(suffix string, mutate func(*queues)) brokertest.Harness {
	var sqs *memory.SQS
	n := 0
	h := brokertest.Harness{
		Name: "sqs" + suffix, Virtual: true,
		Open: func(tb testing.TB) broker.Broker {
			tb.Helper()
			q := &queues{SQS: memory.NewSQS(nil), tb: tb}
			sqs = q.SQS
			mutate(q)
			return q
		},
		Worst: func(testing.TB) broker.Broker {
			sqs = memory.NewSQS(&memory.SQSOptions{WorstCase: 1})
			return sqs
		},
		Destination: func(tb testing.TB, _ broker.Broker, want brokertest.Config) (string, bool) {
			tb.Helper()
			n++
			name := fmt.Sprint("orders-", n, suffix)
			o := memory.QueueOptions{
				Visibility: want.Lease, Delay: want.QueueDelay, Retention: want.Retention,
				MaxMessage: int(want.MaxMessage), MaxReceives: want.MaxAttempts, ContentBasedDedup: want.ByContent,
			}
			if want.DedupByKey {
				o.DedupScope = broker.ScopeKey
			}
			if want.MaxAttempts > 0 || want.DeadLetter {
				o.DeadLetter = "dead-" + name
				if err := sqs.CreateQueue(o.DeadLetter, memory.QueueOptions{}); err != nil {
					tb.Fatal(err)
				}
			}
			if (want.ByContent || want.DedupByKey) && suffix == "" {
				return "", false
			}
			if err := sqs.CreateQueue(name, o); err != nil {
				tb.Fatal(err)
			}
			return name, true
		},
		Roles:   brokertest.RoleReceiver | brokertest.RolePinger,
		Missing: "missing" + suffix,
		Unknown: map[string]string{"replicas": "AWS does not tell", "publish.readers": "SQS does not tell who polls"},
		Settings: []brokertest.Setting{{
			Fact: "receive.lease", Values: []string{"45s", "1h"},
			Set: func(tb testing.TB, _ broker.Broker, queue string, i int) {
				tb.Helper()
				visibility := []time.Duration{45 * time.Second, time.Hour}[i]
				if err := sqs.UpdateQueue(queue, memory.QueueOptions{Visibility: visibility}); err != nil {
					tb.Error(err)
				}
			},
		}},
	}
	if suffix != "" {
		h.Settings = append(h.Settings, brokertest.Setting{
			Fact: "publish.rateScope", Values: []string{"destination", "key"},
			Set: func(tb testing.TB, _ broker.Broker, queue string, i int) {
				tb.Helper()
				scope := []broker.Scope{broker.ScopeDestination, broker.ScopeKey}[i]
				if err := sqs.UpdateQueue(queue, memory.QueueOptions{DedupScope: scope}); err != nil {
					tb.Error(err)
				}
			},
		})
	}
	return h
}

// without leaves out the options of a type.
func without[T any](opts []broker.SubscribeOption) []broker.SubscribeOption {
	var rest []broker.SubscribeOption
	for _, o := range opts {
		if _, ok := o.(T); !ok {
			rest = append(rest, o)
		}
	}
	return rest
}

// withoutForeign leaves out the options that no backend knows.
func withoutForeign(opts []broker.SubscribeOption) []broker.SubscribeOption {
	var rest []broker.SubscribeOption
	for _, o := range opts {
		if !strings.HasPrefix(fmt.Sprintf("%T", o), "brokertest.") {
			rest = append(rest, o)
		}
	}
	return rest
}
