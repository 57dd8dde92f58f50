package natsrules

import (
	"errors"
	"strings"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// JetStream is JetStream's name in errors, on both brokers.
const JetStream = "jetstream"

// Fields that JetStream cannot honour, and those that it can on some streams
// only.
const (
	RefusedByJetStream   = broker.FieldReplyTo | broker.FieldKey | broker.FieldTenant
	IgnorableByJetStream = RefusedByJetStream | broker.FieldDelay | broker.FieldTTL
)

// MaxJetStreamHeaders is how many bytes of headers a stream accepts
// (nats-server, error 10097).
const MaxJetStreamHeaders = 65535

var (
	// ErrExpectation is the category of a publish whose expectation did not
	// hold: the stream, sequence or id named by a Nats-Expected header is not
	// the stream's. Nothing was stored.
	ErrExpectation = errors.New("the expectation does not hold")

	// ErrFull marks a publish to a stream that is full and refuses new
	// messages. Such an error also matches [broker.ErrThrottled]: there is room
	// again once messages are deleted or expire.
	ErrFull = errors.New("the stream is full and refuses new messages: delete some, or raise max_msgs or max_bytes")
)

// jetStreamReasons gives the reason for each refused field, and an alternative.
var jetStreamReasons = [...]struct {
	field        broker.Fields
	why, instead string
}{
	{
		broker.FieldReplyTo, "a stream does not keep the reply address: deliveries have the acknowledgement address in its place",
		"a header of your own, or a request on core NATS (broker.As finds the Requester)",
	},
	{
		broker.FieldKey, "a consumer keeps the order of the whole stream and has no keys: a redelivered message comes after later ones",
		"a consumer with max_ack_pending 1, or a subject and a consumer for each key",
	},
	{broker.FieldTenant, "a consumer delivers in the order of the stream, without regard to fairness", "a subject and a consumer for each tenant"},
}

// Control headers that a publish may set itself. All others beginning with
// Nats- are the server's, or stand for a field of the message.
const (
	ControlPrefix     = "Nats-"
	expectationPrefix = "Nats-Expected-"
	// RollupHeader makes the message replace the stream's messages of its
	// subject, or all of them.
	RollupHeader  = "Nats-Rollup"
	RollupSubject = "sub"
	RollupAll     = "all"
)

// CheckJetStream drops the ignored fields from m and returns the first reason
// for which no stream accepts the rest. native is the subject to publish to, in
// place of m's. Sizes are for [CheckSize].
func CheckJetStream(m *broker.Message, native string, ignore broker.Fields) error {
	if m.Fields() != 0 {
		m.Clear(m.Fields() & ignore)
		if err := checkJetStreamFields(m); err != nil {
			return err
		}
	}
	if err := CheckSubject(native); err != nil {
		return err
	}
	for key := range m.Header {
		if err := checkControlHeader(key); err != nil {
			return err
		}
	}
	if m.DedupID != "" {
		if err := (broker.Header{"Nats-Msg-Id": m.DedupID}).Check(); err != nil {
			return err
		}
	}
	if len(m.Header) == 0 {
		return nil
	}
	if err := checkRollup(m); err != nil {
		return err
	}
	return m.Header.Check()
}

// checkRollup refuses values that the server would refuse, and a rollup that it
// would ignore, which is that of a schedule.
func checkRollup(m *broker.Message) error {
	switch value, some := m.Header[RollupHeader]; {
	case !some:
		return nil
	case value != RollupSubject && value != RollupAll:
		return &broker.FieldError{Field: "Header[" + RollupHeader + "]", Value: value, Limit: RollupSubject + " or " + RollupAll}
	case m.Delay > 0:
		return &broker.UnsupportedError{
			Backend: JetStream, What: "the header " + RollupHeader + " with a Delay", Why: "the rollup would apply to the schedule, not to the message it publishes",
			Instead: "no Delay, or a stream with max_msgs_per_subject 1",
		}
	}
	return nil
}

// NoRollup returns the error for a rollup that a stream does not accept.
func NoRollup(why string) error {
	return &broker.UnsupportedError{
		Backend: JetStream, What: "the header " + RollupHeader, Why: why,
		Instead: "a stream with allow_rollup_hdrs; in an atomic batch, before any message that the rollup would remove",
	}
}

// NoTTL returns the error for a TTL that a stream does not accept.
func NoTTL(why string) error {
	return &broker.UnsupportedError{
		Backend: JetStream, What: "Message.TTL", Why: why, Instead: "a stream with allow_msg_ttl, or its max_age for all messages",
	}
}

func checkJetStreamFields(m *broker.Message) error {
	f := m.Fields()
	for _, r := range jetStreamReasons {
		if f&r.field != 0 {
			return &broker.UnsupportedError{
				Backend: JetStream, What: "Message." + r.field.String(), Why: r.why, Instead: r.instead,
			}
		}
	}
	if m.Delay < 0 {
		return &broker.FieldError{Field: "Delay", Value: m.Delay.String(), Limit: "0 or above"}
	}
	if m.TTL < 0 {
		return &broker.FieldError{Field: "TTL", Value: m.TTL.String(), Limit: "0 or above"}
	}
	return nil
}

func checkControlHeader(key string) error {
	if len(key) < len(ControlPrefix) || !strings.EqualFold(key[:len(ControlPrefix)], ControlPrefix) ||
		strings.HasPrefix(key, expectationPrefix) || key == RollupHeader {
		return nil
	}
	return &broker.FieldError{
		Field: "Header", Value: key,
		Limit: "a key without the server's prefix Nats-, except Nats-Expected-… and Nats-Rollup; " +
			"DedupID, TTL and Delay are fields of the message",
	}
}

// WholeTTL returns a TTL in whole seconds, rounded up, because the server would
// round it down.
func WholeTTL(ttl time.Duration) time.Duration {
	return (ttl + time.Second - 1).Truncate(time.Second)
}
