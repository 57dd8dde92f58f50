package sqstest_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// over runs a test on a real loopback connection and in a bubble over memory.
func over(t *testing.T, f func(t *testing.T, srv *sqstest.Server)) {
	t.Helper()
	t.Run("tcp", func(t *testing.T) {
		srv := sqstest.NewServer(nil)
		defer srv.Close()
		f(t, srv)
	})
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := sqstest.NewMemoryServer(nil)
			defer srv.Close()
			f(t, srv)
		})
	})
}

func TestSendReceiveDeleteWithTheRealClient(t *testing.T) {
	over(t, func(t *testing.T, srv *sqstest.Server) {
		ctx, c := t.Context(), srv.Client()
		made, err := c.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String("jobs")})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := *made.QueueUrl, srv.QueueURL("jobs"); got != want {
			t.Errorf("queue URL: got %s, want %s", got, want)
		}
		sent, err := c.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: made.QueueUrl, MessageBody: aws.String("hello")})
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: made.QueueUrl, WaitTimeSeconds: 20})
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Messages) != 1 || *got.Messages[0].Body != "hello" || *got.Messages[0].MessageId != *sent.MessageId {
			t.Fatalf("received %+v, want what was sent as %s", got.Messages, *sent.MessageId)
		}
		_, err = c.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: made.QueueUrl, ReceiptHandle: got.Messages[0].ReceiptHandle})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: aws.String("none")})
		if _, ok := errors.AsType[*types.QueueDoesNotExist](err); !ok {
			t.Errorf("GetQueueUrl of no queue: got %v, want QueueDoesNotExist", err)
		}
	})
}

func TestPollsAreVirtual(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := sqstest.NewMemoryServer(nil)
		defer srv.Close()
		c := srv.Client()
		q, err := c.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("jobs")})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for range 100 {
			if _, err := c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: q.QueueUrl, WaitTimeSeconds: 20}); err != nil {
				t.Fatal(err)
			}
		}
		if got, want := time.Since(begin), 2000*time.Second; got != want {
			t.Errorf("100 empty polls took %v, want %v", got, want)
		}
	})
}
