package natsbroker

import (
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// Errors shared with the memory broker.
var (
	// ErrExpectation is the category of a publish whose expectation did not
	// hold: the stream, sequence or id named by a Nats-Expected header is not
	// the stream's. Nothing was stored.
	ErrExpectation = natsrules.ErrExpectation
	// ErrFull marks a publish to a stream that is full and refuses new
	// messages. Such an error also matches [broker.ErrThrottled]: there is room
	// again once messages are deleted or expire.
	ErrFull = natsrules.ErrFull
	// ErrDuplicate is the category of an atomic batch of which nothing was
	// stored because the stream already has a message with the DedupID of one
	// of its messages, or the batch contains it twice. After an error that
	// matched [broker.ErrOutcomeUnknown], it means that the earlier batch was
	// stored.
	ErrDuplicate = natsrules.ErrDuplicate
)

var errNoStream = errors.New("no stream answered: add the subject to a stream, with EnsureStream or the nats tool, " +
	"or publish it on core NATS; a stream whose leader is being replaced looks the same, see StreamWait")

// jsRemedies are remedies for errors that do not name one themselves.
var jsRemedies = map[jetstream.ErrorCode]string{
	10014: "EnsureConsumer or the nats tool creates one",
	10059: "EnsureStream or the nats tool creates one",
	10149: "EnsureConsumer or the nats tool creates one",
}

// badRequest is the HTTP-like status of an error caused by the request,
// whatever its code.
const badRequest = 400

// jsCategories maps JetStream's error codes to categories. The list of codes is
// nats-server's server/errors.json.
var jsCategories = map[jetstream.ErrorCode]struct {
	kind      error
	retryable bool
}{
	10002: {broker.ErrThrottled, true},   // account limits exceeded
	10003: {broker.ErrInvalid, false},    // bad request
	10008: {broker.ErrUnavailable, true}, // no leader
	10014: {broker.ErrNotFound, false},   // consumer
	10023: {broker.ErrThrottled, true},   // insufficient resources
	10026: {broker.ErrThrottled, false},  // maximum of consumers
	10027: {broker.ErrThrottled, false},  // maximum of streams
	10028: {broker.ErrThrottled, true},   // memory
	10037: {broker.ErrNotFound, false},   // message
	10039: {errors.ErrUnsupported, false},
	10047: {broker.ErrThrottled, true}, // storage
	10052: {broker.ErrInvalid, false},  // stream configuration
	10054: {broker.ErrTooLarge, false}, // max_msg_size
	10058: {broker.ErrInvalid, false},  // stream exists, otherwise configured
	10059: {broker.ErrNotFound, false}, // stream
	10060: {ErrExpectation, false},     // stream
	10065: {broker.ErrInvalid, false},  // subjects overlap
	10070: {ErrExpectation, false},     // last id
	10071: {ErrExpectation, false},     // last sequence
	10076: {errors.ErrUnsupported, false},
	10077: {broker.ErrThrottled, true},    // storing failed, mostly for want of room
	10097: {broker.ErrTooLarge, false},    // headers above 64 KiB
	10105: {broker.ErrInvalid, false},     // consumer exists
	10109: {errors.ErrUnsupported, false}, // sealed
	10111: {errors.ErrUnsupported, false}, // rollup
	10118: {broker.ErrUnavailable, true},  // stream offline
	10119: {broker.ErrUnavailable, true},  // consumer offline
	10148: {broker.ErrInvalid, false},     // consumer exists, otherwise configured
	10149: {broker.ErrNotFound, false},    // consumer
	10158: {broker.ErrUnavailable, true},  // the same id is being stored
	10163: {broker.ErrUnavailable, true},  // expectation not ready
	10164: {ErrExpectation, false},        // last sequence, on R > 1
	10165: {broker.ErrInvalid, false},     // TTL
	10166: {errors.ErrUnsupported, false}, // TTL disabled
	10167: {broker.ErrThrottled, true},    // too many requests
	10169: {errors.ErrUnsupported, false}, // a counter stream
	10174: {errors.ErrUnsupported, false}, // atomic batches disabled
	10176: {broker.ErrUnavailable, true},  // an incomplete atomic batch: some of it was lost
	10177: {errors.ErrUnsupported, false}, // a header in an atomic batch
	10188: {errors.ErrUnsupported, false}, // schedules disabled
	10190: {broker.ErrInvalid, false},     // schedule target
	10194: {broker.ErrUnavailable, true},  // stream offline
	10195: {broker.ErrUnavailable, true},  // consumer offline
	10199: {broker.ErrTooLarge, false},    // an atomic batch
	10201: {ErrDuplicate, false},          // in an atomic batch
	10210: {broker.ErrThrottled, true},    // atomic batches in flight
	10211: {broker.ErrThrottled, true},    // batches in flight
}

// failure wraps an error for the caller of op.
func (j *JetStream) failure(op, name string, err error) *broker.Error {
	if errors.Is(err, nats.ErrConnectionClosed) && j.life.Err() != nil {
		return j.closed(op, name)
	}
	e := j.core.failure(op, name, err)
	e.Backend = jsBackend
	switch api := apiError(err); {
	case api != nil:
		c, known := jsCategories[api.ErrorCode]
		if !known && api.Code == badRequest {
			c.kind = broker.ErrInvalid
		}
		e.Kind, e.Retryable = c.kind, c.retryable
		if api.ErrorCode == 10077 && isFull(api) {
			e.Err = fmt.Errorf("%w: %w", ErrFull, err)
		}
		if remedy := jsRemedies[api.ErrorCode]; remedy != "" {
			e.Err = fmt.Errorf("%w: %s", err, remedy)
		}
	case errors.Is(err, errNoStream):
		e.Kind, e.Retryable = broker.ErrNotFound, true
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		e.Kind, e.Retryable = broker.ErrUnavailable, true
	case errors.Is(err, errConsumerDeleted):
		e.Kind = broker.ErrNotFound
	case errors.Is(err, nats.ErrNoResponders): // of JetStream's own API
		e.Kind, e.Retryable = broker.ErrUnavailable, true
	case errors.Is(err, errNoAnswer):
		e.Kind, e.Retryable = broker.ErrUnavailable, true
	}
	if pulled, ok := errors.AsType[*pullError](err); ok {
		e.Kind, e.Retryable = pulled.kind(), true
	}
	return e
}

// apiError returns the server's answer in err, or nil if there is none.
func apiError(err error) *jetstream.APIError {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api
	}
	if known, ok := errors.AsType[jetstream.JetStreamError](err); ok {
		return known.APIError()
	}
	return nil
}

// isFull distinguishes a full stream from other failures with the same code.
func isFull(api *jetstream.APIError) bool {
	switch api.Description {
	case "maximum messages exceeded", "maximum bytes exceeded", "maximum messages per subject exceeded":
		return true
	}
	return false
}

// sendFailure distinguishes messages that were certainly not sent from those
// that may have been.
func (j *JetStream) sendFailure(op, name string, err error) *broker.Error {
	e := j.failure(op, name, err)
	// A failed write to the socket may have sent a part.
	e.OutcomeUnknown = e.Kind == nil || errors.Is(e.Kind, broker.ErrUnavailable) && !notSent(err)
	return e
}

// uncertain returns the failure of an operation that may have taken effect, or
// still may.
func (j *JetStream) uncertain(op, name string, err error) *broker.Error {
	e := j.failure(op, name, err)
	e.OutcomeUnknown = true
	return e
}

func (j *JetStream) closed(op, name string) *broker.Error {
	return &broker.Error{Backend: jsBackend, Op: op, Subject: name, Kind: broker.ErrClosed, Err: errBrokerClosed}
}
