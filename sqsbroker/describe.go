package sqsbroker

import (
	"context"
	"errors"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// Describe reads a queue's attributes, now: one GetQueueAttributes call, one
// GetQueueUrl call if the queue is named for the first time and not by URL,
// and one more to see whether its dead-letter queue exists
// (sqs:GetQueueAttributes and sqs:GetQueueUrl). Attributes show what is
// configured; a change may take a minute to take effect, or fifteen for the
// retention. A FIFO queue whose Publish.RateScope is [broker.ScopeKey] is in
// high-throughput mode.
//
// A permission that is missing makes facts unknown, with the reason. A queue
// that does not exist is [broker.ErrNotFound].
func (b *Broker) Describe(ctx context.Context, destination string) (broker.Semantics, error) {
	const op = "describe"
	if err := b.ready(ctx, op, destination); err != nil {
		return broker.Semantics{}, err
	}
	q, err := b.find(destination)
	if err != nil {
		return broker.Semantics{}, err
	}
	a, why, err := q.tryAttributes(ctx)
	if err != nil {
		return broker.Semantics{}, failure(ctx, op, destination, err)
	}
	s := sqsrules.Contract(q.fifo, "")
	s.Destination, s.Backend = destination, backend
	s.InTransit = b.inTransit()
	s.Publish.StoredBy = broker.Known(q.name, "the queue itself")
	if a == nil {
		deny(&s, q.fifo, why)
		return s, nil
	}
	q.seen.Store(a)
	a.fill(&s, q.fifo)
	if err := q.checkDeadLetter(ctx, &s, a.redrive.Target); err != nil {
		return broker.Semantics{}, failure(ctx, op, destination, err)
	}
	return s, nil
}

// tryAttributes reads the attributes, or tells why they may not be read.
func (q *queue) tryAttributes(ctx context.Context) (a *attributes, why string, err error) {
	a, err = q.readAttributes(ctx)
	if permissionMissing(err) {
		return nil, "the attributes may not be read: " + err.Error(), nil
	}
	return a, "", err
}

// fill takes over what the attributes say; what is absent stays unknown.
func (a *attributes) fill(s *broker.Semantics, fifo bool) {
	s.Retention = a.duration(types.QueueAttributeNameMessageRetentionPeriod)
	s.Publish.QueueDelay = a.duration(types.QueueAttributeNameDelaySeconds)
	s.Receive.Lease = a.duration(types.QueueAttributeNameVisibilityTimeout)
	s.AtRest = a.atRest()
	s.Publish.MaxMessage = absent[int64](types.QueueAttributeNameMaximumMessageSize)
	s.Publish.MaxHeaderSize = absent[int64](types.QueueAttributeNameMaximumMessageSize)
	if n, ok := a.number(types.QueueAttributeNameMaximumMessageSize); ok {
		sqsrules.SetMaxMessage(s, int64(n), string(types.QueueAttributeNameMaximumMessageSize))
	}
	a.fillRedrive(s)
	if fifo {
		a.fillDedup(s)
		a.fillRate(s)
	}
}

func (a *attributes) fillRedrive(s *broker.Semantics) {
	const name = types.QueueAttributeNameRedrivePolicy
	receives, err := strconv.Atoi(a.redrive.MaxReceives.String())
	switch {
	case a.get(name) == "":
		sqsrules.SetDeadLetter(s, "", 0, string(name)+" is absent")
	case err != nil || a.redrive.Target == "":
		why := string(name) + " is not understood"
		s.Receive.MaxAttempts = broker.Unknown[int](why)
		s.Receive.Exhausted = broker.Unknown[broker.Exhausted](why)
		s.Receive.DeadLetter = broker.Unknown[string](why)
	default:
		sqsrules.SetDeadLetter(s, a.redrive.Target, receives, string(name))
	}
}

func (a *attributes) fillDedup(s *broker.Semantics) {
	const content, scope = types.QueueAttributeNameContentBasedDeduplication, types.QueueAttributeNameDeduplicationScope
	s.Publish.IDRequired = absent[bool](content)
	s.Publish.DedupBy = absent[broker.DedupBy](content)
	if v := a.get(content); v != "" {
		sqsrules.SetContentDedup(s, v == "true", string(content))
	}
	s.Publish.DedupScope = absent[broker.Scope](scope)
	switch a.get(scope) {
	case "queue":
		s.Publish.DedupScope = broker.Known(broker.ScopeDestination, string(scope))
	case "messageGroup":
		s.Publish.DedupScope = broker.Known(broker.ScopeKey, string(scope))
	}
}

// fillRate tells whether the queue is in high-throughput mode: SQS takes
// perMessageGroupId only with the deduplication scope messageGroup (API
// SetQueueAttributes).
func (a *attributes) fillRate(s *broker.Semantics) {
	const limit = types.QueueAttributeNameFifoThroughputLimit
	s.Publish.RateScope = absent[broker.Scope](limit)
	switch a.get(limit) {
	case "perQueue":
		s.Publish.RateScope = broker.Known(broker.ScopeDestination, string(limit))
	case "perMessageGroupId":
		s.Publish.RateScope = broker.Known(broker.ScopeKey, string(limit)+", high throughput")
	}
}

func (a *attributes) duration(name types.QueueAttributeName) broker.Fact[time.Duration] {
	if d, ok := a.seconds(name); ok {
		return broker.Known(d, string(name))
	}
	return absent[time.Duration](name)
}

func (a *attributes) atRest() broker.Fact[broker.AtRest] {
	const kms, sse = types.QueueAttributeNameKmsMasterKeyId, types.QueueAttributeNameSqsManagedSseEnabled
	switch {
	case a.get(kms) != "":
		return broker.Known(broker.AtRestSSEKMS, string(kms))
	case a.get(sse) == "true":
		return broker.Known(broker.AtRestSSESQS, string(sse))
	case a.get(sse) == "false":
		return broker.None[broker.AtRest](string(sse))
	}
	return absent[broker.AtRest](sse)
}

func absent[T comparable](name types.QueueAttributeName) broker.Fact[T] {
	return broker.Unknown[T](string(name) + " is absent")
}

// deny gives the reason for what only the attributes could tell.
func deny(s *broker.Semantics, fifo bool, why string) {
	s.Retention = broker.Unknown[time.Duration](why)
	s.AtRest = broker.Unknown[broker.AtRest](why)
	s.Publish.QueueDelay = broker.Unknown[time.Duration](why)
	s.Publish.MaxMessage = broker.Unknown[int64](why)
	s.Publish.MaxHeaderSize = broker.Unknown[int64](why)
	s.Receive.Lease = broker.Unknown[time.Duration](why)
	s.Receive.MaxAttempts = broker.Unknown[int](why)
	s.Receive.Exhausted = broker.Unknown[broker.Exhausted](why)
	s.Receive.DeadLetter = broker.Unknown[string](why)
	if fifo {
		s.Publish.IDRequired = broker.Unknown[bool](why)
		s.Publish.DedupBy = broker.Unknown[broker.DedupBy](why)
		s.Publish.DedupScope = broker.Unknown[broker.Scope](why)
		s.Publish.RateScope = broker.Unknown[broker.Scope](why)
	}
}

// checkDeadLetter looks whether the dead-letter queue exists: the policy
// outlives it, and messages whose attempts are used up then stay.
func (q *queue) checkDeadLetter(ctx context.Context, s *broker.Semantics, target string) error {
	const policy = string(types.QueueAttributeNameRedrivePolicy)
	if target == "" {
		return nil
	}
	at, err := parseAddress(target, "")
	if err == nil {
		_, err = q.broker.at(at).fetchURL(ctx)
	}
	switch {
	case errors.Is(err, broker.ErrNotFound):
		sqsrules.SetDeadLetter(s, "", 0, policy+" names "+target+", which does not exist")
	case permissionMissing(err), refusedHere(err):
		s.Receive.DeadLetter.From = policy + ", not looked up: " + err.Error()
	default:
		return err
	}
	return nil
}

// inTransit is what the client's configuration says of its endpoint.
func (b *Broker) inTransit() broker.Fact[string] {
	o, ok := clientOptions(b.client)
	if !ok {
		return broker.Unknown[string]("the client does not show its endpoint")
	}
	if reflect.TypeOf(o.EndpointResolverV2) != reflect.TypeOf(sqs.NewDefaultEndpointResolverV2()) {
		return broker.Unknown[string]("the client has an endpoint resolver of its own")
	}
	plain := o.EndpointOptions.DisableHTTPS
	from := "the client's EndpointOptions"
	if o.BaseEndpoint != nil {
		plain = strings.HasPrefix(*o.BaseEndpoint, "http://")
		from = "the client's BaseEndpoint"
	}
	if plain {
		return broker.None[string](from)
	}
	return broker.Known("TLS", from)
}
