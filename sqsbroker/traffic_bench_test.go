package sqsbroker

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
)

// network is the time that a call takes on its way.
const network = 5 * time.Millisecond

// farAway lets each call take that long, at the client.
func farAway(o *sqs.Options) { o.HTTPClient = distance{o.HTTPClient} }

type distance struct{ sqs.HTTPClient }

func (d distance) Do(req *http.Request) (*http.Response, error) {
	time.Sleep(network)
	return d.HTTPClient.Do(req)
}

var benchBody = strings.Repeat("x", 128)

// messages makes messages for the queue, on a FIFO queue of 64 groups in turn.
func (r *bench) messages(n int) []broker.Message {
	ms := make([]broker.Message, n)
	for i := range ms {
		ms[i] = broker.Message{Subject: r.queue, Body: []byte(benchBody)}
		if strings.HasSuffix(r.queue, ".fifo") {
			id := r.made.Add(1)
			ms[i].Key, ms[i].DedupID = strconv.FormatInt(id%64, 10), strconv.FormatInt(id, 10)
		}
	}
	return ms
}

// each runs f for b.N messages on so many goroutines, n messages at a time.
func each(b *testing.B, goroutines, n int, f func(ctx context.Context, n int) error) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for {
				rest := left.Add(-int64(n)) + int64(n)
				if rest <= 0 {
					return
				}
				if err := f(b.Context(), min(n, int(rest))); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkPublish compares publishing over a network of 5 ms with the AWS
// client: used naively, a SendMessage each; and used well, ten a call, on as
// many connections as the broker's calls need. The queue is not emptied.
//
// On two cores shared with the endpoint and with other work, Go 1.26, November
// 2026, messages a second, medians of five runs:
//
//	              broker    raw, naive    raw, well
//	1 publisher      177           176            –
//	64 publishers  9,150         7,070        9,200
//	one slice      1,690             –        1,720
func BenchmarkPublish(b *testing.B) {
	for _, c := range []struct {
		name          string
		goroutines, n int
		raw           bool
	}{
		{"1-broker", 1, 1, false},
		{"1-raw", 1, 1, true},
		{"64-broker", 64, 1, false},
		{"64-raw-naive", 64, 1, true},
		{"64-raw-well", 6, 10, true}, // 64 publishers of the broker fill six calls at a time
		{"slice-broker", 1, 1000, false},
		{"slice-raw-well", 1, 10, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := newBench(b, "bench", farAway)
			if _, err := r.broker.Publish(b.Context(), r.messages(1)[0]); err != nil { // looks the queue up
				b.Fatal(err)
			}
			r.calls.Store(0)
			b.ResetTimer()
			each(b, c.goroutines, c.n, func(ctx context.Context, n int) error {
				if c.raw {
					return r.rawSend(ctx, n)
				}
				return r.publish(ctx, n)
			})
			b.StopTimer()
			b.ReportMetric(float64(r.calls.Load())/float64(b.N), "calls/msg")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}

func (r *bench) publish(ctx context.Context, n int) error {
	ms := r.messages(n)
	if n == 1 {
		_, err := r.broker.Publish(ctx, ms[0])
		return err
	}
	_, err := r.broker.PublishBatch(ctx, ms)
	return err
}

func (r *bench) rawSend(ctx context.Context, n int) error {
	body := benchBody
	if n == 1 {
		_, err := r.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &r.url, MessageBody: &body})
		return err
	}
	entries := make([]types.SendMessageBatchRequestEntry, n)
	for i := range entries {
		entries[i] = types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: &body}
	}
	_, err := r.client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &r.url, Entries: entries})
	return err
}
