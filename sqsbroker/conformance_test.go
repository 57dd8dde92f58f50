package sqsbroker_test

import (
	"cmp"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/broker/brokertest"
	"github.com/candidmq/candidmq/sqsbroker"
	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

var updateConformance = flag.Bool("update-conformance", false, "write what the conformance suite saw")

func TestConformance(t *testing.T) {
	for _, e := range []*endpoint{{kind: "standard"}, {kind: "fifo", suffix: ".fifo"}} {
		h := e.harness()
		t.Run(h.Name, func(t *testing.T) {
			brokertest.CheckColumn(t, "../broker/brokertest/testdata/"+h.Name+".tsv", *updateConformance, h, brokertest.Run(t, h))
		})
	}
}

// endpoint makes the queues of one kind, on the server of the case that runs.
type endpoint struct {
	kind, suffix string
	server       *sqstest.Server
	queues       int
}

func (e *endpoint) harness() brokertest.Harness {
	return brokertest.Harness{
		Name:        "sqs-" + e.kind,
		Virtual:     true,
		Open:        e.open,
		Worst:       e.worst,
		Destination: e.destination,
		Roles:       brokertest.RoleReceiver | brokertest.RolePinger,
		Missing:     "missing" + e.suffix,
		Unknown: map[string]string{
			"replicas":        "AWS does not tell",
			"publish.readers": "SQS does not tell who polls",
		},
		Foreign:  e.foreign,
		Settings: e.settings(),
	}
}

func (e *endpoint) open(tb testing.TB) broker.Broker {
	tb.Helper()
	return e.serve(tb, nil)
}

func (e *endpoint) worst(tb testing.TB) broker.Broker {
	tb.Helper()
	seed := rand.Uint64() | 1
	tb.Logf("seed %d", seed)
	return e.serve(tb, &sqstest.Options{WorstCase: seed})
}

// serve starts a server, and returns a broker on it.
func (e *endpoint) serve(tb testing.TB, o *sqstest.Options) broker.Broker {
	tb.Helper()
	e.server = sqstest.NewMemoryServer(o)
	tb.Cleanup(e.server.Close)
	b, err := sqsbroker.New(e.server.Client(), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func (e *endpoint) destination(tb testing.TB, _ broker.Broker, want brokertest.Config) (string, bool) {
	tb.Helper()
	if e.suffix == "" && (want.ByContent || want.DedupByKey) {
		return "", false
	}
	attrs := map[string]string{}
	set := func(name types.QueueAttributeName, given bool, value string) {
		if given {
			attrs[string(name)] = value
		}
	}
	set(types.QueueAttributeNameVisibilityTimeout, want.Lease != 0, seconds(want.Lease))
	set(types.QueueAttributeNameDelaySeconds, want.QueueDelay != 0, seconds(want.QueueDelay))
	set(types.QueueAttributeNameMessageRetentionPeriod, want.Retention != 0, seconds(want.Retention))
	set(types.QueueAttributeNameMaximumMessageSize, want.MaxMessage != 0, fmt.Sprint(want.MaxMessage))
	set(types.QueueAttributeNameContentBasedDeduplication, want.ByContent, "true")
	set(types.QueueAttributeNameDeduplicationScope, want.DedupByKey, "messageGroup")
	set(types.QueueAttributeNameFifoThroughputLimit, want.DedupByKey, "perMessageGroupId")
	if want.MaxAttempts > 0 || want.DeadLetter {
		attrs[string(types.QueueAttributeNameRedrivePolicy)] = e.redrive(e.create(tb, nil), cmp.Or(want.MaxAttempts, 10))
	}
	return e.create(tb, attrs), true
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

func (e *endpoint) redrive(target string, receives int) string {
	return fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`, e.server.ARN(target), receives)
}

// create makes a queue.
func (e *endpoint) create(tb testing.TB, attrs map[string]string) string {
	tb.Helper()
	e.queues++
	name := fmt.Sprint("orders-", e.queues, e.suffix)
	attrs = maps.Clone(attrs)
	if e.suffix != "" {
		if attrs == nil {
			attrs = map[string]string{}
		}
		attrs["FifoQueue"] = "true"
	}
	if err := e.server.CreateQueue(name, attrs); err != nil {
		tb.Fatal(err)
	}
	return name
}

// settings are attributes of the queue, set through a client of its own.
func (e *endpoint) settings() []brokertest.Setting {
	set := func(fact string, attr types.QueueAttributeName, values []string, words ...string) brokertest.Setting {
		return brokertest.Setting{Fact: fact, Values: words, Set: func(tb testing.TB, _ broker.Broker, queue string, i int) {
			tb.Helper()
			_, err := e.server.Client().SetQueueAttributes(tb.Context(), &sqs.SetQueueAttributesInput{
				QueueUrl: aws.String(e.server.QueueURL(queue)), Attributes: map[string]string{string(attr): values[i]},
			})
			if err != nil {
				tb.Error(err)
			}
		}}
	}
	all := []brokertest.Setting{
		set("receive.lease", types.QueueAttributeNameVisibilityTimeout, []string{"45", "3600"}, "45s", "1h"),
		set("publish.queueDelay", types.QueueAttributeNameDelaySeconds, []string{"0", "7"}, "0s", "7s"),
		set("retention", types.QueueAttributeNameMessageRetentionPeriod, []string{"60", "1209600"}, "1m", "336h"),
		set("publish.maxMessage", types.QueueAttributeNameMaximumMessageSize, []string{"1024", "262144"}, "1024", "262144"),
		set("atRest", types.QueueAttributeNameSqsManagedSseEnabled, []string{"true", "false"}, "sse-sqs", "none"),
	}
	all = append(all, brokertest.Setting{
		Fact: "receive.maxAttempts", Values: []string{"3", "7"},
		Set: func(tb testing.TB, _ broker.Broker, queue string, i int) {
			tb.Helper()
			_, err := e.server.Client().SetQueueAttributes(tb.Context(), &sqs.SetQueueAttributesInput{
				QueueUrl:   aws.String(e.server.QueueURL(queue)),
				Attributes: map[string]string{"RedrivePolicy": e.redrive(e.create(tb, nil), []int{3, 7}[i])},
			})
			if err != nil {
				tb.Error(err)
			}
		},
	})
	if e.suffix != "" {
		all = append(all, set("publish.dedupBy", types.QueueAttributeNameContentBasedDeduplication, []string{"true", "false"}, "id-or-content", "id"),
			set("publish.dedupScope", types.QueueAttributeNameDeduplicationScope, []string{"messageGroup", "queue"}, "key", "destination"))
	}
	return all
}

// foreign sends what this SDK does not: attributes of other types, no
// attributes, a number.
func (e *endpoint) foreign(tb testing.TB, _ broker.Broker, queue string) []broker.Message {
	tb.Helper()
	attrs := map[string]types.MessageAttributeValue{
		"number": {DataType: aws.String("Number.int"), StringValue: aws.String("42")},
		"label":  {DataType: aws.String("String.custom"), StringValue: aws.String(" 100% ")},
	}
	bodies := []string{"typed attributes", "none"}
	for i, body := range bodies {
		in := &sqs.SendMessageInput{QueueUrl: aws.String(e.server.QueueURL(queue)), MessageBody: &bodies[i]}
		if i == 0 {
			in.MessageAttributes = attrs
		}
		if e.suffix != "" {
			in.MessageGroupId, in.MessageDeduplicationId = aws.String(strconv.Itoa(i)), aws.String(strconv.Itoa(i))
		}
		if _, err := e.server.Client().SendMessage(tb.Context(), in); err != nil {
			tb.Fatalf("%s: %v", body, err)
		}
	}
	return []broker.Message{
		{Body: []byte(bodies[0]), Header: broker.Header{"number": "42", "label": " 100% "}},
		{Body: []byte(bodies[1])},
	}
}
