// Package conformance runs the conformance suite on SQS servers in containers.
package conformance

import (
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/broker/brokertest"
	"github.com/candidmq/candidmq/internal/sqssuite"
	"github.com/candidmq/candidmq/sqsbroker"
)

// Server is an SQS server that is not ours.
type Server struct {
	Name     string
	Endpoint string
	// Differs are the cases in which the server does otherwise than AWS
	// documents, by kind of queue ("standard", "fifo") and the name of the case.
	Differs map[string]map[string]Difference
	// Absent are facts that the server does not tell although AWS does, by
	// kind of queue.
	Absent map[string][]string
}

// Difference is a case that a server fails. It is run all the same: one that
// passes is a difference that is no more, which is an error too.
type Difference struct {
	// Document is what says that the suite is right, and how the server differs.
	Document string
	// Sometimes is for a case that the server passes at times: what was seen. It
	// proves nothing, and is run for the log only.
	Sometimes string
}

// atOnce is how many cases run at the same time. Most of them wait for a lease.
const atOnce = 16

// alone is a case that looks at all goroutines of the process.
const alone = "lifecycle/no-leaks"

// RunSQS runs the suite for both kinds of queue, in real time.
func RunSQS(t *testing.T, server Server) {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	t.Cleanup(transport.CloseIdleConnections)
	client := sqs.New(sqs.Options{
		Region: "us-east-1", BaseEndpoint: &server.Endpoint,
		HTTPClient:  &http.Client{Transport: transport},
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	for _, kind := range []string{"standard", "fifo"} {
		queues := &sqssuite.Queues{FIFO: kind == "fifo", Create: creator(client), ARN: finder(client)}
		h := queues.Harness(server.Name + "-" + kind)
		h.Open = opener(client)
		// Long enough for a server on a machine that is busy with other things, and
		// for moto, which looks for messages once a second: a poll has half of Poll
		// to notice one, a heartbeat a good half of Lease.
		h.Lease, h.Slack, h.Poll, h.Patience, h.InFlight = 6*time.Second, 10*time.Second, 8*time.Second, 2*time.Minute, 20
		for _, fact := range server.Absent[kind] {
			h.Unknown[fact] = server.Name + " does not tell (AWS API GetQueueAttributes)"
		}
		t.Run(kind, func(t *testing.T) { runCases(t, h, server.Differs[kind]) })
	}
}

func opener(client *sqs.Client) func(testing.TB) broker.Broker {
	return func(tb testing.TB) broker.Broker {
		tb.Helper()
		b, err := sqsbroker.New(client, nil)
		if err != nil {
			tb.Fatal(err)
		}
		return b
	}
}

func creator(client *sqs.Client) func(testing.TB, string, map[string]string) {
	return func(tb testing.TB, name string, attrs map[string]string) {
		tb.Helper()
		if _, err := client.CreateQueue(tb.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attrs}); err != nil {
			tb.Fatal(err)
		}
	}
}

func finder(client *sqs.Client) func(testing.TB, string) string {
	return func(tb testing.TB, queue string) string {
		tb.Helper()
		url, err := client.GetQueueUrl(tb.Context(), &sqs.GetQueueUrlInput{QueueName: &queue})
		if err != nil {
			tb.Fatal(err)
		}
		out, err := client.GetQueueAttributes(tb.Context(), &sqs.GetQueueAttributesInput{
			QueueUrl: url.QueueUrl, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn},
		})
		if err != nil {
			tb.Fatal(err)
		}
		return out.Attributes["QueueArn"]
	}
}

func runCases(t *testing.T, h brokertest.Harness, differs map[string]Difference) {
	known := map[string]bool{}
	var running sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, c := range brokertest.Cases() {
		known[c.Name] = true
		run := func(t *testing.T) { c.Run(t, h) }
		if d, ok := differs[c.Name]; ok {
			run = func(t *testing.T) { d.run(t, c, h) }
		}
		if c.Name == alone {
			running.Wait()
			t.Run(c.Name, run)
			continue
		}
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			t.Run(c.Name, run)
		})
	}
	running.Wait()
	for name := range differs {
		if !known[name] {
			t.Errorf("there is no case %q", name)
		}
	}
}

// run wants the case to fail.
func (d Difference) run(t *testing.T, c brokertest.Case, h brokertest.Harness) {
	t.Helper()
	w := &witness{TB: t}
	done := make(chan struct{})
	go func() { // which a failure may end
		defer close(done)
		c.Run(w, h)
	}()
	<-done
	switch {
	case d.Sometimes != "":
		t.Logf("failed: %v; seen before: %s; %s", w.Failed(), d.Sometimes, d.Document)
	case !w.Failed():
		t.Errorf("%s passes: the difference is no more (%s)", c.Name, d.Document)
	default:
		t.Logf("differs: %s", d.Document)
	}
}
