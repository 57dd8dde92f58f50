package sqsbroker_test

import (
	"flag"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/broker/brokertest"
	"github.com/candidmq/candidmq/internal/sqssuite"
	"github.com/candidmq/candidmq/sqsbroker"
	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

var updateConformance = flag.Bool("update-conformance", false, "write what the conformance suite saw")

func TestConformance(t *testing.T) {
	for kind, fifo := range map[string]bool{"standard": false, "fifo": true} {
		e := newEndpoint(fifo)
		h := e.harness("sqs-" + kind)
		t.Run(h.Name, func(t *testing.T) {
			brokertest.CheckColumn(t, "../broker/brokertest/testdata/"+h.Name+".tsv", *updateConformance, h, brokertest.Run(t, h))
		})
	}
}

// endpoint makes the queues of one kind, on the server of the case that runs.
type endpoint struct {
	*sqssuite.Queues
	server *sqstest.Server
}

func newEndpoint(fifo bool) *endpoint {
	e := &endpoint{}
	e.Queues = &sqssuite.Queues{
		FIFO: fifo,
		Create: func(tb testing.TB, name string, attrs map[string]string) {
			tb.Helper()
			if err := e.server.CreateQueue(name, attrs); err != nil {
				tb.Fatal(err)
			}
		},
		ARN: func(_ testing.TB, name string) string { return e.server.ARN(name) },
	}
	return e
}

func (e *endpoint) harness(name string) brokertest.Harness {
	h := e.Harness(name)
	h.Virtual = true
	h.Open, h.Worst, h.Foreign, h.Settings = e.open, e.worst, e.foreign, e.settings()
	return h
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

// settings are attributes of the queue, set through a client of its own.
func (e *endpoint) settings() []brokertest.Setting {
	change := func(fact string, values []map[string]string, words ...string) brokertest.Setting {
		return brokertest.Setting{Fact: fact, Values: words, Set: func(tb testing.TB, _ broker.Broker, queue string, i int) {
			tb.Helper()
			_, err := e.server.Client().SetQueueAttributes(tb.Context(), &sqs.SetQueueAttributesInput{
				QueueUrl: aws.String(e.server.QueueURL(queue)), Attributes: values[i],
			})
			if err != nil {
				tb.Error(err)
			}
		}}
	}
	set := func(fact string, attr types.QueueAttributeName, values []string, words ...string) brokertest.Setting {
		var all []map[string]string
		for _, v := range values {
			all = append(all, map[string]string{string(attr): v})
		}
		return change(fact, all, words...)
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
				Attributes: map[string]string{"RedrivePolicy": e.Redrive(tb, []int{3, 7}[i])},
			})
			if err != nil {
				tb.Error(err)
			}
		},
	})
	if e.FIFO {
		all = append(all, set("publish.dedupBy", types.QueueAttributeNameContentBasedDeduplication, []string{"true", "false"}, "id-or-content", "id"),
			change("publish.dedupScope", []map[string]string{
				{"DeduplicationScope": "messageGroup"}, {"DeduplicationScope": "queue", "FifoThroughputLimit": "perQueue"},
			}, "key", "destination"),
			change("publish.rateScope", []map[string]string{ // the scope is the same, so that it cannot stand for the limit
				{"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"},
				{"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perQueue"},
			}, "key", "destination"))
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
		if e.FIFO {
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
