package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
)

func TestNativeErrorsHaveACategory(t *testing.T) {
	tests := []struct {
		native    error
		kind      error // nil: none
		retryable bool
	}{
		{nats.ErrConnectionClosed, broker.ErrClosed, false},
		{nats.ErrConnectionDraining, broker.ErrClosed, false},
		{nats.ErrNoResponders, broker.ErrNoResponders, true},
		{nats.ErrMaxPayload, broker.ErrTooLarge, false},
		{nats.ErrBadSubject, broker.ErrInvalid, false},
		{nats.ErrBadQueueName, broker.ErrInvalid, false},
		{nats.ErrBadHeaderMsg, broker.ErrInvalid, false},
		{nats.ErrHeadersNotSupported, errors.ErrUnsupported, false},
		{nats.ErrSlowConsumer, broker.ErrDropped, false},
		{nats.ErrPermissionViolation, broker.ErrDenied, false},
		{nats.ErrAuthorization, broker.ErrDenied, false},
		{nats.ErrAuthExpired, broker.ErrDenied, false},
		{nats.ErrAccountAuthExpired, broker.ErrDenied, false},
		{nats.ErrMaxConnectionsExceeded, broker.ErrThrottled, true},
		{nats.ErrTLS, broker.ErrUnavailable, false},
		{nats.ErrDisconnected, broker.ErrUnavailable, true},
		{nats.ErrReconnectBufExceeded, broker.ErrUnavailable, true},
		{nats.ErrNoServers, broker.ErrUnavailable, true},
		{nats.ErrTimeout, broker.ErrUnavailable, true},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, broker.ErrUnavailable, true},
		{context.Canceled, nil, false},
		{context.DeadlineExceeded, nil, false},
		{errors.New("nats: something new"), nil, false},
	}
	for _, tt := range tests {
		wrapped := fmt.Errorf("on the way: %w", tt.native)
		e := failure("publish", "a", wrapped)
		if e.Kind != tt.kind || e.Retryable != tt.retryable { //nolint:errorlint // the very category is meant
			t.Errorf("%v: got %v, retryable %v; want %v, %v", tt.native, e.Kind, e.Retryable, tt.kind, tt.retryable)
		}
		if !errors.Is(e, tt.native) || tt.kind != nil && !errors.Is(e, tt.kind) {
			t.Errorf("%v: got %v, which loses category or cause", tt.native, e)
		}
		if errors.Is(e, broker.ErrOutcomeUnknown) {
			t.Errorf("%v: an outcome that nobody said is unknown", tt.native)
		}
	}
}
