// Package consumer proves the consumer runtime on SQS servers that are not
// ours, and on ours in real time: leases, attempts, shutdown.
package consumer

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"go.uber.org/goleak"

	"github.com/candidmq/candidmq/integration/containers"
	"github.com/candidmq/candidmq/internal/stories"
	"github.com/candidmq/candidmq/sqsbroker"
	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(containers.Main{M: m}) }

func TestOnElasticMQ(t *testing.T) { tell(t, containers.ElasticMQ(t)) }

func TestOnSQSTest(t *testing.T) {
	srv := sqstest.NewServer(nil)
	t.Cleanup(srv.Close)
	tell(t, srv.URL())
}

// lease is the visibility timeout of every queue here: short, since the stories
// run in real time, and long enough for a server on a busy machine to answer a
// heartbeat in the half of it.
const lease = 3 * time.Second

type server struct {
	client *sqs.Client
	fifo   bool
}

func tell(t *testing.T, endpoint string) {
	client := sqs.New(sqs.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	for _, kind := range []string{"standard", "fifo"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel() // they wait most of the time
			s := &server{client, kind == "fifo"}
			for _, story := range stories.All {
				t.Run(story.Name, func(t *testing.T) {
					story.Tell(t, &stories.Stage{Broker: s.broker(t), FIFO: s.fifo, Lease: lease, Queue: s.queue, Real: true})
				})
			}
		})
	}
}

// queue makes a queue of one test, and its dead-letter queue.
func (s *server) queue(t *testing.T, attempts int) (queue, dead string) {
	t.Helper()
	name := strings.NewReplacer("/", "-", " ", "-", ",", "").Replace(t.Name())
	name = name[max(0, len(name)-60):]
	dead = s.create(t, name+"-dead", nil)
	arn, err := s.client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &dead, AttributeNames: []types.QueueAttributeName{"QueueArn"}})
	if err != nil {
		t.Fatal(err)
	}
	policy := fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"%d"}`, arn.Attributes["QueueArn"], attempts)
	return s.create(t, name, map[string]string{"RedrivePolicy": policy}), dead
}

func (s *server) create(t *testing.T, name string, attributes map[string]string) string {
	t.Helper()
	all := map[string]string{"VisibilityTimeout": fmt.Sprint(int(lease.Seconds()))}
	if s.fifo {
		name += ".fifo"
		all["FifoQueue"] = "true"
	}
	maps.Copy(all, attributes)
	made, err := s.client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: all})
	if err != nil {
		t.Fatal(err)
	}
	return aws.ToString(made.QueueUrl)
}

func (s *server) broker(t *testing.T) *sqsbroker.Broker {
	t.Helper()
	b, err := sqsbroker.New(s.client, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}
