package sqstest

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// Each call must work at its first try: a retry would hide a connection that
// was closed under an answer, and a receive would have lost its messages.
func TestNoCallIsCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := NewMemoryServer(nil)
		defer srv.Close()
		client := srv.Client(func(o *sqs.Options) { o.Retryer = aws.NopRetryer{} })
		made, err := client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("q")})
		if err != nil {
			t.Fatal(err)
		}
		body := strings.Repeat("x", 8000)
		for range 1000 {
			if _, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: made.QueueUrl, MessageBody: &body}); err != nil {
				t.Fatal(err)
			}
			got, err := client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: made.QueueUrl})
			if err != nil || len(got.Messages) != 1 {
				t.Fatalf("receive: %v, %v", got, err)
			}
			if _, err := client.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: made.QueueUrl, ReceiptHandle: got.Messages[0].ReceiptHandle}); err != nil {
				t.Fatal(err)
			}
		}
	})
}
