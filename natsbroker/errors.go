package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
)

const backend = "nats"

// categories maps nats.go's errors to this SDK's. The first match counts.
var categories = []struct {
	native    error
	kind      error
	retryable bool
}{
	{nats.ErrConnectionClosed, broker.ErrClosed, false},
	{nats.ErrConnectionDraining, broker.ErrClosed, false},
	{nats.ErrBadSubscription, broker.ErrClosed, false},
	{nats.ErrNoResponders, broker.ErrNoResponders, true}, // a responder may be known on another node only, yet
	{nats.ErrMaxPayload, broker.ErrTooLarge, false},
	{nats.ErrBadSubject, broker.ErrInvalid, false},
	{nats.ErrBadQueueName, broker.ErrInvalid, false},
	{nats.ErrBadHeaderMsg, broker.ErrInvalid, false},
	{nats.ErrHeadersNotSupported, errors.ErrUnsupported, false},
	{nats.ErrSlowConsumer, broker.ErrDropped, false},
	{nats.ErrPermissionViolation, broker.ErrDenied, false},
	{nats.ErrAuthorization, broker.ErrDenied, false},
	{nats.ErrAuthExpired, broker.ErrDenied, false},
	{nats.ErrAuthRevoked, broker.ErrDenied, false},
	{nats.ErrAccountAuthExpired, broker.ErrDenied, false},
	{nats.ErrMaxSubscriptionsExceeded, broker.ErrThrottled, true},
	{nats.ErrMaxConnectionsExceeded, broker.ErrThrottled, true},
	{nats.ErrMaxAccountConnectionsExceeded, broker.ErrThrottled, true},
	{nats.ErrTLS, broker.ErrUnavailable, false},
	{nats.ErrSecureConnRequired, broker.ErrUnavailable, false},
	{nats.ErrSecureConnWanted, broker.ErrUnavailable, false},
	{nats.ErrConnectionReconnecting, broker.ErrUnavailable, true},
	{nats.ErrDisconnected, broker.ErrUnavailable, true},
	{nats.ErrStaleConnection, broker.ErrUnavailable, true},
	{nats.ErrReconnectBufExceeded, broker.ErrUnavailable, true},
	{nats.ErrNoServers, broker.ErrUnavailable, true},
	{nats.ErrTimeout, broker.ErrUnavailable, true},
}

// classify returns the category of a native error, or nil if none fits, as for
// a context's error, which matches as itself.
func classify(err error) (retryable bool, kind error) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false, nil
	}
	for _, c := range categories {
		if errors.Is(err, c.native) {
			return c.retryable, c.kind
		}
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true, broker.ErrUnavailable
	}
	return false, nil
}

// failure wraps a native error for the caller of op.
func failure(op, subject string, err error) *broker.Error {
	retryable, kind := classify(err)
	return &broker.Error{
		Backend: backend, Op: op, Subject: subject, Kind: kind, Err: err, Retryable: retryable,
	}
}

// failure adds why the connection was closed, if it was, and why nothing can
// wait for it.
func (b *Broker) failure(op, subject string, err error) *broker.Error {
	switch {
	case errors.Is(err, nats.ErrConnectionClosed):
		err = b.closedBecause(err)
	case errors.Is(err, nats.ErrReconnectBufExceeded):
		err = b.bufferFull(err)
	}
	return failure(op, subject, err)
}

// uncertain returns the failure of an operation that may have taken effect, or
// still may.
func (b *Broker) uncertain(op, subject string, err error) *broker.Error {
	e := b.failure(op, subject, err)
	e.OutcomeUnknown = true
	return e
}

// closedBecause adds the error that closed the connection, if there is one.
func (b *Broker) closedBecause(err error) error {
	if last := b.conn.LastError(); last != nil && !errors.Is(last, err) {
		return fmt.Errorf("%w: %w", err, last)
	}
	return err
}

var errBrokerClosed = errors.New("the broker is closed")

func closedError(op, subject string) error {
	return &broker.Error{Backend: backend, Op: op, Subject: subject, Kind: broker.ErrClosed, Err: errBrokerClosed}
}
