package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go/logging"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/sqsbroker"
)

// openSQS creates the queues and a broker on them. The SDK never creates a
// queue by itself: this is the program's business, and in a real system that of
// whoever deploys it.
func openSQS(ctx context.Context, t target) (broker.Broker, func(context.Context) error, error) {
	client, err := sqsClient(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	set := queueSet{client: client, prefix: cmp.Or(t.prefix, "orders") + "-" + strings.ToLower(rand.Text()[:8]), urls: map[string]string{}}
	err = set.createAll(ctx)
	if err == nil && !t.params.Has("endpoint") {
		err = settle(ctx)
	}
	var b *sqsbroker.Broker
	if err == nil {
		// The story says "orders"; which queue that is stands in this table.
		b, err = sqsbroker.New(client, &sqsbroker.Options{Queues: set.urls})
	}
	if err != nil {
		wrapped, cancel := wrapUp(ctx)
		defer cancel()
		return nil, nil, errors.Join(err, set.remove(wrapped))
	}
	return b, set.remove, nil
}

// sqsClient uses the AWS SDK's own chain for region and credentials. At another
// endpoint nobody asks who you are, so test credentials will do.
func sqsClient(ctx context.Context, t target) (*sqs.Client, error) {
	endpoint := t.params.Get("endpoint")
	opts := []func(*config.LoadOptions) error{
		config.WithLogger(logging.Nop{}), // it warns of every long poll that ends early, as drains do
	}
	if region := t.params.Get("region"); region != "" {
		opts = append(opts, config.WithRegion(region))
	}
	if endpoint != "" {
		opts = append(opts, config.WithBaseEndpoint(endpoint), config.WithDefaultRegion("us-east-1"))
		if os.Getenv("AWS_ACCESS_KEY_ID") == "" && os.Getenv("AWS_PROFILE") == "" {
			opts = append(opts, config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("test", "test", "")))
		}
	}
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, fmt.Errorf("AWS configuration: %w", err)
	}
	return sqs.NewFromConfig(cfg), nil
}

// queueSet is the queues of one run. Their names are unique, so that runs do
// not read each other's orders.
type queueSet struct {
	client *sqs.Client
	prefix string
	urls   map[string]string // by the name in the story
}

func (s *queueSet) createAll(ctx context.Context) error {
	for _, q := range workQueues {
		dead, err := s.create(ctx, q.dead, q.fifo, map[string]string{
			string(types.QueueAttributeNameMessageRetentionPeriod): strconv.Itoa(int(deadRetention.Seconds())),
		})
		if err != nil {
			return err
		}
		policy, err := json.Marshal(map[string]string{
			"deadLetterTargetArn": dead, "maxReceiveCount": strconv.Itoa(maxReceives),
		})
		if err != nil {
			return err
		}
		_, err = s.create(ctx, q.name, q.fifo, map[string]string{
			string(types.QueueAttributeNameRedrivePolicy):     string(policy),
			string(types.QueueAttributeNameVisibilityTimeout): strconv.Itoa(int(visibility.Seconds())),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// create makes one queue and returns its ARN.
func (s *queueSet) create(ctx context.Context, name string, fifo bool, attributes map[string]string) (string, error) {
	if fifo {
		attributes[string(types.QueueAttributeNameFifoQueue)] = "true"
	}
	created, err := s.client.CreateQueue(ctx, &sqs.CreateQueueInput{
		QueueName: aws.String(s.prefix + "-" + name), Attributes: attributes,
	})
	if err != nil {
		return "", fmt.Errorf("create queue %s: %w", name, err)
	}
	s.urls[name] = aws.ToString(created.QueueUrl)
	arn := types.QueueAttributeNameQueueArn
	got, err := s.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: created.QueueUrl, AttributeNames: []types.QueueAttributeName{arn},
	})
	if err != nil {
		return "", fmt.Errorf("read queue %s: %w", name, err)
	}
	return got.Attributes[string(arn)], nil
}

// settle waits for the second after which AWS guarantees that a new queue can
// be used (API Reference, CreateQueue).
func settle(ctx context.Context) error {
	select {
	case <-time.After(time.Second):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// remove deletes the queues.
func (s *queueSet) remove(ctx context.Context) error {
	var errs []error
	for name, url := range s.urls {
		_, err := s.client.DeleteQueue(ctx, &sqs.DeleteQueueInput{QueueUrl: aws.String(url)})
		if err != nil {
			errs = append(errs, fmt.Errorf("delete queue %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}
