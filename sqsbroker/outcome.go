package sqsbroker

import (
	"context"
	"errors"
	"net"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"

	"github.com/candidmq/candidmq/broker"
)

// attempts watches the AWS client's retries of one send. The error that the
// client returns in the end is that of the last attempt: without watching, a
// message that an earlier attempt may have stored would be taken for unsent.
type attempts struct {
	aws.RetryerV2
	maybe bool // an attempt may have stored the message
}

// watch puts a between the client and its retryer, for one call.
func (a *attempts) watch(o *sqs.Options) {
	if inner, ok := o.Retryer.(aws.RetryerV2); ok {
		a.RetryerV2 = inner
		o.Retryer = a
	}
}

// IsErrorRetryable is asked after each failed attempt, also after the last.
func (a *attempts) IsErrorRetryable(err error) bool {
	a.maybe = a.maybe || mayHaveTakenEffect(err)
	return a.RetryerV2.IsErrorRetryable(err)
}

// outcomeUnknown reports whether the failed send may have stored the message.
// A client that cannot be watched is judged by the last attempt.
func (a *attempts) outcomeUnknown(err error) bool {
	if a.RetryerV2 == nil {
		return mayHaveTakenEffect(err)
	}
	return a.maybe || checksumFailed(err)
}

// mayHaveTakenEffect reports whether a failed attempt may have been carried
// out: its request may have left, and no answer says that it was refused.
func mayHaveTakenEffect(err error) bool {
	if status := statusOf(err); status != 0 {
		return status < 300 || status >= 500 && !refused(err)
	}
	if dial, ok := errors.AsType[*net.OpError](err); ok && dial.Op == "dial" {
		return false
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return false
	}
	if _, ok := errors.AsType[smithy.APIError](err); ok {
		return false
	}
	return checksumFailed(err) || connectionFailed(err) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// refused: the service did not let the request in, whatever the HTTP status.
func refused(err error) bool {
	c := classify(err)
	return c.kind != nil && !errors.Is(c.kind, broker.ErrUnavailable)
}
