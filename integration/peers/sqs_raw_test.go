package peers

import (
	"context"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// rawQueue is the AWS client with long polls.
type rawQueue struct {
	client *sqs.Client
	url    string
}

func newRawQueue(s *sqstest.Server) rawQueue { return rawQueue{s.Client(), s.QueueURL(orders)} }

// poll has so many goroutines receive up to n messages at a time, handle each,
// and settle them together.
func (q rawQueue) poll(tb testing.TB, pollers, n int, handle handleFunc, settle func(context.Context, []types.Message) error) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	var all sync.WaitGroup
	for range pollers {
		all.Go(func() {
			for {
				got, err := q.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
					QueueUrl: &q.url, MaxNumberOfMessages: int32(n), WaitTimeSeconds: 20,
				})
				if err == nil {
					for _, m := range got.Messages {
						handle([]byte(*m.Body))
					}
					err = settle(ctx, got.Messages)
				}
				if ctx.Err() != nil {
					return
				}
				if err != nil {
					tb.Error(err)
					return
				}
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}

// rawNaive has a call for every message and every step.
type rawNaive struct{ rawQueue }

func newRawNaive(_ testing.TB, s *sqstest.Server) queueClient { return rawNaive{newRawQueue(s)} }

func (q rawNaive) publish(ctx context.Context, body []byte) error {
	_, err := q.client.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &q.url, MessageBody: aws.String(string(body))})
	return err
}

func (q rawNaive) many(ctx context.Context, bodies [][]byte) error {
	return each(ctx, bodies, q.publish)
}

func (q rawNaive) slice(ctx context.Context, bodies [][]byte) error {
	for _, body := range bodies {
		if err := q.publish(ctx, body); err != nil {
			return err
		}
	}
	return nil
}

func (q rawNaive) consume(tb testing.TB, handle handleFunc) (stop func()) {
	tb.Helper()
	return q.poll(tb, workers, 1, handle, func(ctx context.Context, ms []types.Message) error {
		for _, m := range ms {
			_, err := q.client.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &q.url, ReceiptHandle: m.ReceiptHandle})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// rawBatched has ten messages in every call, because its program is made for
// that: what 64 publishers would have in hand, six senders send ten at a time,
// and each of seven receivers handles ten before it deletes them.
type rawBatched struct{ rawQueue }

const (
	perCall   = 10
	senders   = publishers / perCall
	receivers = (workers + perCall - 1) / perCall
)

func newRawBatched(_ testing.TB, s *sqstest.Server) queueClient { return rawBatched{newRawQueue(s)} }

func (q rawBatched) many(ctx context.Context, bodies [][]byte) error {
	calls := slices.Collect(slices.Chunk(bodies, perCall))
	return share(senders, len(calls), func(i int) error { return q.send(ctx, calls[i]) })
}

func (q rawBatched) slice(ctx context.Context, bodies [][]byte) error {
	for call := range slices.Chunk(bodies, perCall) {
		if err := q.send(ctx, call); err != nil {
			return err
		}
	}
	return nil
}

func (q rawBatched) send(ctx context.Context, bodies [][]byte) error {
	entries := make([]types.SendMessageBatchRequestEntry, len(bodies))
	for i, body := range bodies {
		entries[i] = types.SendMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), MessageBody: aws.String(string(body))}
	}
	_, err := q.client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &q.url, Entries: entries})
	return err
}

func (q rawBatched) consume(tb testing.TB, handle handleFunc) (stop func()) {
	tb.Helper()
	return q.poll(tb, receivers, perCall, handle, func(ctx context.Context, ms []types.Message) error {
		if len(ms) == 0 {
			return nil
		}
		entries := make([]types.DeleteMessageBatchRequestEntry, len(ms))
		for i, m := range ms {
			entries[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle}
		}
		_, err := q.client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &q.url, Entries: entries})
		return err
	})
}
