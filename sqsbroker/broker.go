package sqsbroker

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/sqsrules"
	"github.com/candidmq/candidmq/internal/subscriptions"
)

// What a Broker is, and what it is not: SQS has no request-reply, and nothing
// waits to be flushed.
var (
	_ broker.Broker   = (*Broker)(nil)
	_ broker.Receiver = (*Broker)(nil)
	_ broker.Pinger   = (*Broker)(nil)
)

// Options change a [Broker]. The zero value is useful.
type Options struct {
	// Logger is where subscriptions log what went wrong; nil: nowhere. Bodies
	// and header values are never logged.
	Logger *slog.Logger
	// Queues gives names to queues: what the code calls "orders.placed" may be
	// the queue orders-placed, its URL or its ARN. A name that is not in the
	// table is taken for a queue's own name, URL or ARN.
	Queues map[string]string
	// Ignore are optional fields that are taken out of every message before it
	// is checked and sent, for a configuration that does without them on
	// purpose.
	Ignore broker.Fields
}

// Broker publishes to SQS queues and receives from them; see the package
// documentation. Make one with [New] or [Connect]. All methods may be called
// concurrently.
type Broker struct {
	client API
	region string // the client's, "" if it does not tell
	logger *slog.Logger
	names  map[string]address
	ignore broker.Fields

	urlRegion string // that of queues' URLs, "" if the client has an endpoint of its own
	trusting  bool   // the client's DisableMessageChecksumValidation

	subs   subscriptions.Set
	groups sqsrules.Groups
	closed context.Context // ends when Close has drained the subscriptions
	close  context.CancelFunc

	mu      sync.Mutex
	queues  map[address]*queue
	traffic map[string]*traffic // by the queue's URL
}

// New makes a Broker on a client, which stays the caller's and is used as it is:
// what [Connect] does against an error of smithy-go, namely to give the client
// an HTTPClient whose requests have bodies without WriteTo, is the caller's own
// affair. It makes no call.
// Every problem with the options is in the error.
func New(client API, o *Options) (*Broker, error) {
	if client == nil {
		return nil, &broker.FieldError{Field: "client", Value: "nil", Limit: "an *sqs.Client"}
	}
	if o == nil {
		o = &Options{}
	}
	settings, _ := clientOptions(client)
	b := &Broker{
		client: client,
		region: settings.Region,
		logger: cmp.Or(o.Logger, slog.New(slog.DiscardHandler)),
		names:  make(map[string]address, len(o.Queues)),
		ignore: o.Ignore,
		queues: map[address]*queue{},

		trusting: settings.DisableMessageChecksumValidation,

		traffic: map[string]*traffic{},
	}
	if settings.BaseEndpoint == nil {
		b.urlRegion = settings.Region
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(o.Queues)) {
		at, err := b.address(o.Queues[name])
		if field, ok := errors.AsType[*broker.FieldError](err); ok {
			field.Field = "Options.Queues[" + name + "]"
		}
		errs = append(errs, err)
		b.names[name] = at
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	b.closed, b.close = context.WithCancel(context.Background())
	return b, nil
}

// Connect makes a Broker on a client of its own, configured as AWS programs
// are: by environment, shared files, or the instance's role, and by opts, such
// as [config.WithRegion] and [config.WithBaseEndpoint]. ctx bounds the reading
// of the configuration. No call to SQS is made; see [Broker.Ping]. The AWS
// client has no close: its idle connections end by its own time-out, 90 s
// unless configured otherwise, after Broker.Close as well.
func Connect(ctx context.Context, o *Options, opts ...func(*config.LoadOptions) error) (*Broker, error) {
	cfg, err := config.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, failure(ctx, "connect", "", err)
	}
	if cfg.Region == "" {
		return nil, &broker.Error{Backend: backend, Op: "connect", Kind: broker.ErrInvalid, Err: &aws.MissingRegionError{}}
	}
	return New(sqs.NewFromConfig(cfg, plainBodies), o)
}

// Close drains all subscriptions, as [broker.Broker] says, ends the calls of
// Receive that wait, and lets those that callers of Publish and of the settling
// methods share be answered, or cancels them when ctx ends. It does not wait for
// a call that has one caller only, of PublishBatch or of a Publish that is alone on
// a Standard queue: that is made by the caller and bounded by the caller's context,
// and no other one follows it. The client stays open.
func (b *Broker) Close(ctx context.Context) error {
	err := b.subs.Close(ctx)
	b.close()
	return errors.Join(err, b.closeTraffic(ctx))
}

// Ping asks for the name of one queue (sqs:ListQueues). It is nil also where
// that permission is missing, since then the service has answered, and knows
// the credentials.
func (b *Broker) Ping(ctx context.Context) error {
	if err := b.ready(ctx, "ping", ""); err != nil {
		return err
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, broker.DefaultRequestTimeout)
		defer cancel()
	}
	_, err := b.client.ListQueues(ctx, &sqs.ListQueuesInput{MaxResults: aws.Int32(1)})
	if err != nil && !permissionMissing(err) {
		return failure(ctx, "ping", "", err)
	}
	return nil
}

// ready is asked at the start of every call.
func (b *Broker) ready(ctx context.Context, op, subject string) error {
	if b.closed.Err() != nil {
		return &broker.Error{Backend: backend, Op: op, Subject: subject, Kind: broker.ErrClosed}
	}
	if err := ctx.Err(); err != nil {
		return &broker.Error{Backend: backend, Op: op, Subject: subject, Err: err}
	}
	return nil
}
