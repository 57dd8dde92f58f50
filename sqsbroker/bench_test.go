package sqsbroker

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// bench is a broker and the raw client under it, on a counting endpoint.
type bench struct {
	broker *Broker
	client *sqs.Client
	queue  string
	url    string
	calls  atomic.Int64
	made   atomic.Int64 // messages
}

func newBench(b *testing.B, queue string, options ...func(*sqs.Options)) *bench {
	b.Helper()
	r := &bench{queue: queue}
	server := sqstest.NewServer(&sqstest.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			r.calls.Add(1)
			next.ServeHTTP(w, req)
		})
	}})
	b.Cleanup(server.Close)
	r.client = server.Client(options...)
	r.url = server.QueueURL(queue)
	in := &sqs.CreateQueueInput{QueueName: &queue}
	if strings.HasSuffix(queue, ".fifo") {
		in.Attributes = map[string]string{"FifoQueue": "true"}
	}
	if _, err := r.client.CreateQueue(b.Context(), in); err != nil {
		b.Fatal(err)
	}
	var err error
	if r.broker, err = New(r.client, nil); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := r.broker.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return r
}

// run times round, which takes n messages through their whole life.
func (r *bench) run(b *testing.B, n int, round func(b *testing.B)) {
	b.Helper()
	b.ReportAllocs()
	round(b) // looks the queue up
	r.calls.Store(0)
	b.ResetTimer()
	rounds := 0
	for ; rounds < b.N; rounds++ {
		round(b)
	}
	b.StopTimer()
	b.ReportMetric(float64(r.calls.Load())/float64(rounds*n), "calls/msg")
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rounds*n), "ns/msg")
}

// BenchmarkLife is publish, receive and delete, through the broker and with the
// raw client in the same run; one by one and ten at a time.
func BenchmarkLife(b *testing.B) {
	body := []byte(strings.Repeat("x", 128))
	for _, n := range []int{1, 10} {
		b.Run("broker-"+strconv.Itoa(n), func(b *testing.B) {
			r := newBench(b, "bench")
			ms := make([]broker.Message, n)
			for i := range ms {
				ms[i] = broker.Message{Subject: "bench", Body: body}
			}
			r.run(b, n, func(b *testing.B) { r.life(b, ms) })
		})
		b.Run("raw-"+strconv.Itoa(n), func(b *testing.B) {
			r := newBench(b, "bench")
			r.run(b, n, func(b *testing.B) { r.rawLife(b, string(body), n) })
		})
	}
}

func (r *bench) life(b *testing.B, ms []broker.Message) {
	b.Helper()
	ctx := b.Context()
	var err error
	if len(ms) == 1 {
		_, err = r.broker.Publish(ctx, ms[0])
	} else {
		_, err = r.broker.PublishBatch(ctx, ms)
	}
	if err != nil {
		b.Fatal(err)
	}
	ds, err := r.broker.Receive(ctx, "bench", len(ms))
	if err != nil || len(ds) != len(ms) {
		b.Fatal(len(ds), err)
	}
	if err := r.broker.Delete(ctx, ds...); err != nil {
		b.Fatal(err)
	}
}

func (r *bench) rawLife(b *testing.B, body string, n int) {
	b.Helper()
	ctx := b.Context()
	if n == 1 {
		if _, err := r.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &r.url, MessageBody: &body}); err != nil {
			b.Fatal(err)
		}
	} else {
		entries := make([]types.SendMessageBatchRequestEntry, n)
		for i := range entries {
			entries[i] = types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: &body}
		}
		if _, err := r.client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &r.url, Entries: entries}); err != nil {
			b.Fatal(err)
		}
	}
	got, err := r.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
		QueueUrl: &r.url, MaxNumberOfMessages: int32(n), WaitTimeSeconds: 20, VisibilityTimeout: 30,
		MessageAttributeNames:       []string{"All"},
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil || len(got.Messages) != n {
		b.Fatal(got, err)
	}
	entries := make([]types.DeleteMessageBatchRequestEntry, n)
	for i, m := range got.Messages {
		entries[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle}
	}
	if _, err := r.client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &r.url, Entries: entries}); err != nil {
		b.Fatal(err)
	}
}
