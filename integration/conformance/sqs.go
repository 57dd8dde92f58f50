// Package conformance runs the conformance suite on SQS servers in containers.
package conformance

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/broker/brokertest"
	"github.com/candidmq/candidmq/sqsbroker"
)

// Server is an SQS server that is not ours.
type Server struct {
	Name     string
	Endpoint string
	// Fails are the cases that the server fails, by kind of queue ("standard",
	// "fifo"), each with the document that says who is right.
	Fails map[string]map[string]string
	// Absent are facts that the server does not tell although AWS does, by
	// kind of queue.
	Absent map[string][]string
}

// RunSQS runs the suite for both kinds of queue, in real time.
func RunSQS(t *testing.T, server Server) {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := sqs.New(sqs.Options{
		Region: "us-east-1", BaseEndpoint: &server.Endpoint,
		HTTPClient:  &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	for kind, suffix := range map[string]string{"standard": "", "fifo": ".fifo"} {
		s := &sqsServer{client: client, suffix: suffix}
		unknown := map[string]string{
			"replicas":        "AWS does not tell",
			"publish.readers": "SQS does not tell who polls",
		}
		for _, fact := range server.Absent[kind] {
			unknown[fact] = server.Name + " does not tell (AWS API GetQueueAttributes)"
		}
		t.Run(kind, func(t *testing.T) {
			brokertest.Run(t, brokertest.Harness{
				Name:        server.Name + "-" + kind,
				Open:        s.open,
				Destination: s.destination,
				Roles:       brokertest.RoleReceiver | brokertest.RolePinger,
				Missing:     "missing" + suffix,
				Slack:       1500 * time.Millisecond,
				Patience:    30 * time.Second,
				InFlight:    20,
				Unknown:     unknown,
				Skip:        server.Fails[kind],
			})
		})
	}
}

// sqsServer makes the queues of one kind.
type sqsServer struct {
	client *sqs.Client
	suffix string
}

// queues numbers all queues of all servers, so that no name is used twice.
var queues atomic.Int32

func (s *sqsServer) open(tb testing.TB) broker.Broker {
	tb.Helper()
	b, err := sqsbroker.New(s.client, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func (s *sqsServer) destination(tb testing.TB, _ broker.Broker, want brokertest.Config) (string, bool) {
	tb.Helper()
	if s.suffix == "" && (want.ByContent || want.DedupByKey) {
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
		policy := fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`, s.arn(tb, s.create(tb, nil)), cmp.Or(want.MaxAttempts, 10))
		attrs[string(types.QueueAttributeNameRedrivePolicy)] = policy
	}
	return s.create(tb, attrs), true
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }

func (s *sqsServer) create(tb testing.TB, attrs map[string]string) string {
	tb.Helper()
	name := fmt.Sprint("conformance-", queues.Add(1), s.suffix)
	all := maps.Clone(attrs)
	if s.suffix != "" {
		if all == nil {
			all = map[string]string{}
		}
		all["FifoQueue"] = "true"
	}
	if _, err := s.client.CreateQueue(tb.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: all}); err != nil {
		tb.Fatal(err)
	}
	return name
}

func (s *sqsServer) arn(tb testing.TB, queue string) string {
	tb.Helper()
	url, err := s.client.GetQueueUrl(tb.Context(), &sqs.GetQueueUrlInput{QueueName: &queue})
	if err != nil {
		tb.Fatal(err)
	}
	out, err := s.client.GetQueueAttributes(tb.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: url.QueueUrl, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return out.Attributes["QueueArn"]
}
