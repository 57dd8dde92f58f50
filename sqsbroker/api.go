package sqsbroker

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// API is what this package calls of the AWS client, which implements it:
// [*sqs.Client]. It must be safe for concurrent use. Retries, credentials,
// endpoints and middleware are the client's own affair, with one exception:
// where the client has the method Options, as *sqs.Client does, its region is
// compared with that of queues given by ARN or URL, and Describe reads from it
// whether the connection is encrypted.
type API interface {
	GetQueueUrl(context.Context, *sqs.GetQueueUrlInput, ...func(*sqs.Options)) (*sqs.GetQueueUrlOutput, error)
	GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
	ListQueues(context.Context, *sqs.ListQueuesInput, ...func(*sqs.Options)) (*sqs.ListQueuesOutput, error)
	SendMessage(context.Context, *sqs.SendMessageInput, ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
	SendMessageBatch(context.Context, *sqs.SendMessageBatchInput, ...func(*sqs.Options)) (*sqs.SendMessageBatchOutput, error)
	ReceiveMessage(context.Context, *sqs.ReceiveMessageInput, ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	DeleteMessageBatch(context.Context, *sqs.DeleteMessageBatchInput, ...func(*sqs.Options)) (*sqs.DeleteMessageBatchOutput, error)
	ChangeMessageVisibilityBatch(context.Context, *sqs.ChangeMessageVisibilityBatchInput, ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityBatchOutput, error)
}

var _ API = (*sqs.Client)(nil)

// clientOptions is the configuration of a client that shows it, else none.
func clientOptions(client API) (o sqs.Options, ok bool) {
	c, ok := client.(interface{ Options() sqs.Options })
	if !ok {
		return sqs.Options{}, false
	}
	return c.Options(), true
}
