package peers

import (
	"context"
	"testing"

	"github.com/ThreeDotsLabs/watermill"
	wmsqs "github.com/ThreeDotsLabs/watermill-aws/sqs"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"gocloud.dev/pubsub"
	"gocloud.dev/pubsub/awssnssqs"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// gocloudQueue is a topic and a subscription on one queue. Raw, since no SNS is
// there to be unwrapped; all else is the default, short polls included: with
// long ones, those of a round that find nothing keep the next round waiting.
type gocloudQueue struct {
	publish publishFunc
	open    func() *pubsub.Subscription
}

func newGocloudQueue(tb testing.TB, s *sqstest.Server) queueClient {
	tb.Helper()
	ctx, client, url := tb.Context(), s.Client(), s.QueueURL(orders)
	return gocloudQueue{
		publish: gocloudPublish(tb, awssnssqs.OpenSQSTopic(ctx, client, url, nil)),
		open: func() *pubsub.Subscription {
			return awssnssqs.OpenSubscription(ctx, client, url, &awssnssqs.SubscriptionOptions{Raw: true})
		},
	}
}

func (q gocloudQueue) many(ctx context.Context, bodies [][]byte) error {
	return each(ctx, bodies, q.publish)
}

// slice has a goroutine for each message, since there is no call for several and
// only calls at the same time share one of SQS.
func (q gocloudQueue) slice(ctx context.Context, bodies [][]byte) error {
	return share(len(bodies), len(bodies), func(i int) error { return q.publish(ctx, bodies[i]) })
}

func (q gocloudQueue) consume(tb testing.TB, handle handleFunc) (stop func()) {
	tb.Helper()
	return gocloudHandle(tb, q.open(), workers, handle)
}

// watermillQueue is a Publisher and a Subscriber with their defaults, and as
// many handlers as there are workers, since a subscription of watermill-aws
// handles one message after the other.
type watermillQueue struct {
	message.Publisher
	subscriber message.Subscriber
}

// newWatermillQueue receives so many messages a call; the default is one.
func newWatermillQueue(receive int32) openQueue {
	return func(tb testing.TB, s *sqstest.Server) queueClient {
		tb.Helper()
		pub, err := wmsqs.NewPublisher(wmsqs.PublisherConfig{AWSConfig: s.Config()}, watermill.NopLogger{})
		if err != nil {
			tb.Fatal(err)
		}
		sub, err := wmsqs.NewSubscriber(wmsqs.SubscriberConfig{
			AWSConfig: s.Config(),
			GenerateReceiveMessageInput: func(ctx context.Context, url wmsqs.QueueURL) (*sqs.ReceiveMessageInput, error) {
				in, err := wmsqs.GenerateReceiveMessageInputDefault(ctx, url)
				if err == nil {
					in.MaxNumberOfMessages = receive
				}
				return in, err
			},
		}, watermill.NopLogger{})
		if err != nil {
			tb.Fatal(err)
		}
		return watermillQueue{pub, sub}
	}
}

func (q watermillQueue) many(ctx context.Context, bodies [][]byte) error {
	return each(ctx, bodies, func(_ context.Context, body []byte) error {
		return q.Publish(orders, message.NewMessage(watermill.NewUUID(), body))
	})
}

func (q watermillQueue) slice(_ context.Context, bodies [][]byte) error {
	ms := make([]*message.Message, len(bodies))
	for i, body := range bodies {
		ms[i] = message.NewMessage(watermill.NewUUID(), body)
	}
	return q.Publish(orders, ms...)
}

func (q watermillQueue) consume(tb testing.TB, handle handleFunc) (stop func()) {
	tb.Helper()
	return watermillRoute(tb, q.subscriber, workers, handle)
}
