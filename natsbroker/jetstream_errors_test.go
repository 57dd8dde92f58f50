package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
)

func TestJetStreamErrorsHaveACategory(t *testing.T) {
	api := func(code jetstream.ErrorCode, text string) error {
		return &jetstream.APIError{ErrorCode: code, Description: text}
	}
	j := &JetStream{core: &Broker{}, life: context.Background()}
	tests := []struct {
		native    error
		kind      error // nil: none
		retryable bool
	}{
		{jetstream.ErrStreamNotFound, broker.ErrNotFound, false},
		{jetstream.ErrConsumerNotFound, broker.ErrNotFound, false},
		{jetstream.ErrJetStreamNotEnabled, errors.ErrUnsupported, false},
		{jetstream.ErrJetStreamNotEnabledForAccount, errors.ErrUnsupported, false},
		{errNoStream, broker.ErrNotFound, true},
		{errConsumerDeleted, broker.ErrNotFound, false},
		{errNoAnswer, broker.ErrUnavailable, true},
		{&pullError{"409 Leadership Change"}, broker.ErrUnavailable, true},
		{&pullError{"409 Exceeded MaxWaiting"}, broker.ErrThrottled, true},
		{nats.ErrNoResponders, broker.ErrUnavailable, true},
		{nats.ErrDisconnected, broker.ErrUnavailable, true},
		{api(10008, "no leader"), broker.ErrUnavailable, true},
		{api(10023, "insufficient resources"), broker.ErrThrottled, true},
		{api(10054, "too large"), broker.ErrTooLarge, false},
		{api(10060, "stream"), ErrExpectation, false},
		{api(10070, "id"), ErrExpectation, false},
		{api(10071, "sequence"), ErrExpectation, false},
		{api(10164, "sequence"), ErrExpectation, false},
		{api(10077, "maximum messages exceeded"), broker.ErrThrottled, true},
		{api(10166, "ttl"), errors.ErrUnsupported, false},
		{api(10174, "atomic disabled"), errors.ErrUnsupported, false},
		{api(10176, "atomic incomplete"), broker.ErrUnavailable, true},
		{api(10201, "atomic duplicate"), ErrDuplicate, false},
		{api(10210, "atomic batches"), broker.ErrThrottled, true},
		{api(10188, "schedules"), errors.ErrUnsupported, false},
		{api(10052, "stream configuration"), broker.ErrInvalid, false},
		{api(10111, "rollup"), errors.ErrUnsupported, false},
		{api(19999, "something new"), nil, false},
		{&jetstream.APIError{Code: 400, ErrorCode: 10183, Description: "ack wait"}, broker.ErrInvalid, false},
		{&jetstream.APIError{Code: 400, ErrorCode: 10071, Description: "sequence"}, ErrExpectation, false},
		{context.DeadlineExceeded, nil, false},
	}
	for _, tt := range tests {
		e := j.failure("publish", "a", fmt.Errorf("on the way: %w", tt.native))
		if e.Kind != tt.kind || e.Retryable != tt.retryable || e.Backend != "jetstream" { //nolint:errorlint // the very category is meant
			t.Errorf("%v: got %v, retryable %v, of %s; want %v, %v", tt.native, e.Kind, e.Retryable, e.Backend, tt.kind, tt.retryable)
		}
		if !errors.Is(e, tt.native) || tt.kind != nil && !errors.Is(e, tt.kind) {
			t.Errorf("%v: got %v, which loses category or cause", tt.native, e)
		}
	}
	if e := j.failure("publish", "a", api(10077, "maximum bytes exceeded")); !errors.Is(e, ErrFull) {
		t.Errorf("got %v, want ErrFull", e)
	}
	if e := j.failure("publish", "a", api(10077, "disk on fire")); errors.Is(e, ErrFull) {
		t.Errorf("got %v, which is not for want of room", e)
	}
}
