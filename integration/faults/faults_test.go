// Package faults has publishers and consumers work through a TCP proxy that
// resets, stalls, delays, slices and narrows their connections, on sqstest's
// listener and on ElasticMQ.
package faults

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go/middleware"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/candidmq/candidmq/integration/containers"
	"github.com/candidmq/candidmq/internal/sqsaudit"
	"github.com/candidmq/candidmq/sqsbroker"
	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

var (
	messages = flag.Int("messages", 2_000, "messages of a run on each kind of queue")
	seed     = flag.Uint64("seed", 0, "seed of the loads; 0: another one each time")
)

func TestMain(m *testing.M) {
	zerolog.SetGlobalLevel(zerolog.Disabled) // toxiproxy's
	// toxiproxy leaves a goroutine behind where a link ends while its toxic is
	// being removed. It is not ours to join.
	goleak.VerifyTestMain(containers.Main{M: m}, goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"))
}

const (
	// lease is longer than any delay of a release here: the judge tells an
	// extension from a release by its length.
	lease = 5 * time.Second
	// atLeast is how long publishers would be at it in fine weather.
	atLeast = 10 * time.Second
	// limit is when a run has lost something, beside the time that its messages
	// take.
	limit = 2 * time.Minute
)

var queues = []struct{ kind, suffix string }{{"standard", ""}, {"fifo", ".fifo"}}

func TestOnSQSTest(t *testing.T) {
	for _, q := range queues {
		t.Run(q.kind, func(t *testing.T) {
			t.Parallel()
			server := sqstest.NewServer(nil)
			t.Cleanup(server.Close)
			audit := sqsaudit.New(sqsaudit.Options{
				FIFO: q.suffix != "", Lease: lease, Log: true,
				Slack: 5 * time.Second, // what a proxy held back arrives when a spell ends
			})
			server.Observe(audit.Event)
			run(t, server.URL(), "faults"+q.suffix, audit, func(*sqs.Options) {})
		})
	}
}

// ElasticMQ keeps no log that we could read: the judge has the wire only.
//
// It is told no ReceiveRequestAttemptId. AWS gives a receive that is repeated with
// one the same messages again (API ReceiveMessage); the queue of ElasticMQ 1.7.1
// fails with "Invalid" if one of them was released or deleted meanwhile
// (ReceiveMessageOps.getMessagesFromRequestAttemptCache), and begins anew without
// any of its messages.
func TestOnElasticMQ(t *testing.T) {
	for _, q := range queues {
		t.Run(q.kind, func(t *testing.T) {
			t.Parallel()
			endpoint := containers.ElasticMQ(t)
			run(t, endpoint, "faults"+q.suffix, sqsaudit.New(sqsaudit.Options{FIFO: q.suffix != "", Lease: lease}), withoutAttemptIDs)
		})
	}
}

// withoutAttemptIDs has a client send no ReceiveRequestAttemptId.
func withoutAttemptIDs(o *sqs.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("withoutAttemptIDs",
			func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
				if receive, ok := in.Parameters.(*sqs.ReceiveMessageInput); ok {
					without := *receive
					without.ReceiveRequestAttemptId = nil
					in.Parameters = &without
				}
				return next.HandleInitialize(ctx, in)
			}), middleware.Before)
	})
}

// run has the load at work through bad weather, and judges. The weather is bad
// until all messages are handled, or half of the time is over: the last few may
// be taken again and again by the weather, or by a consumer that dies.
func run(t *testing.T, endpoint, queue string, audit *sqsaudit.Audit, change func(*sqs.Options)) {
	seed := *seed
	if seed == 0 {
		seed = rand.Uint64() | 1
	}
	t.Logf("-messages=%d -seed=%d", *messages, seed)
	direct := client(t, endpoint, func(d sqsaudit.Doer) sqsaudit.Doer { return d }, func(*sqs.Options) {})
	create(t, direct, queue)
	p := newProxy(t, endpoint)
	b, err := sqsbroker.New(client(t, p.url(), func(d sqsaudit.Doer) sqsaudit.Doer { return p.measured(audit.Watch(d)) }, change), nil)
	if err != nil {
		t.Fatal(err)
	}
	// Of many messages, as many are slow as of 25,000, and more are worked on at a
	// time, in more groups: handlers, which wait most of their time, would else be
	// what a long run takes its time for.
	many := min(max(*messages/25_000, 1), 4)
	load := &sqsaudit.Load{
		Audit: audit, Broker: b, Queue: queue, Messages: *messages, Lease: lease, Seed: seed,
		Pause: 2 * atLeast / time.Duration(max(*messages/30, 1)),
		Slow:  max(50, *messages/500), Workers: 16 * many, Groups: 3 * many,
	}

	atMost := limit + time.Duration(*messages)*10*time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), atMost)
	defer cancel()
	clearing := time.Now().Add(atMost / 2)
	published, fine := context.WithCancel(ctx)
	var blowing sync.WaitGroup
	blowing.Go(func() {
		if err := p.blow(published); err != nil {
			t.Error(err)
			cancel() // or it goes on until its limit, through a proxy that may be stuck
		}
	})
	err = load.Run(ctx, func() bool {
		handled := audit.Handled() >= *messages
		if handled || time.Now().After(clearing) {
			fine()
		}
		return handled && empty(t, direct, queue)
	})
	fine()
	blowing.Wait()
	if err != nil {
		t.Errorf("with %d of %d messages handled: %v", audit.Handled(), *messages, err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Errorf("Close: %v", err)
	}
	report(t, audit.Judge(), p, load)
}

func report(t *testing.T, v *sqsaudit.Verdict, p *proxy, load *sqsaudit.Load) {
	t.Helper()
	t.Logf("%v; %v; weather felt: %v", v, load, p.felt)
	for _, violation := range v.Violations {
		t.Error(violation)
	}
	for _, s := range climate {
		if p.felt[s.name] == 0 {
			t.Errorf("weather %q was never felt: the run proves nothing of it", s.name)
		}
	}
	// Whether an answer that the weather takes had messages in it is chance.
	for _, c := range []sqsaudit.Cause{sqsaudit.Killed, sqsaudit.HandlerFailed} {
		if v.Redeliver[c] == 0 {
			t.Errorf("nothing came again %s: the run proves nothing of it", c)
		}
	}
	if v.Unanswered == 0 || load.Idle() {
		t.Errorf("a fault did not hit: %d tries unanswered, %v", v.Unanswered, load)
	}
}

// client is an AWS client with connections of its own.
func client(t *testing.T, endpoint string, wrap func(sqsaudit.Doer) sqsaudit.Doer, change func(*sqs.Options)) *sqs.Client {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	return sqs.New(sqs.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint, HTTPClient: wrap(&http.Client{Transport: transport}),
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	}, change)
}

func create(t *testing.T, c *sqs.Client, queue string) {
	t.Helper()
	attrs := map[string]string{"VisibilityTimeout": strconv.Itoa(int(lease / time.Second))}
	if queue != "faults" {
		attrs["FifoQueue"] = "true"
	}
	if _, err := c.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &queue, Attributes: attrs}); err != nil {
		t.Fatal(err)
	}
}

// empty asks the endpoint, past the proxy, whether nothing is left.
func empty(t *testing.T, c *sqs.Client, queue string) bool {
	t.Helper()
	url, err := c.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: &queue})
	if err != nil {
		t.Error(err)
		return true
	}
	out, err := c.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: url.QueueUrl, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	})
	if err != nil {
		t.Error(err)
		return true
	}
	left := 0
	for _, name := range []types.QueueAttributeName{
		types.QueueAttributeNameApproximateNumberOfMessages, types.QueueAttributeNameApproximateNumberOfMessagesNotVisible,
	} {
		n := 0
		if _, err := fmt.Sscan(out.Attributes[string(name)], &n); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		left += n
	}
	return left == 0
}
