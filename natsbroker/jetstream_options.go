package natsbroker

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// defaultInFlight is nats.go's own limit.
const defaultInFlight = 4000

// JetStreamOptions configures a JetStream. The zero value and a nil pointer are
// valid and select the defaults.
type JetStreamOptions struct {
	// Logger receives what subscriptions report to [broker.OnError], at level
	// Warn. Nil discards it. Bodies, header values and credentials are never
	// logged.
	Logger *slog.Logger
	// Subjects maps the caller's names to native subjects. A name that is not
	// in the table is a native subject itself.
	Subjects map[string]string
	// Queues maps names to consumers, written "stream/consumer".
	Queues map[string]string
	// RequestTimeout bounds every call whose context has no deadline. 0 is
	// [broker.DefaultRequestTimeout].
	RequestTimeout time.Duration
	// Ignore drops these optional fields of messages (ReplyTo, Key, Tenant,
	// Delay, TTL) instead of refusing the message. Nothing is dropped by
	// default. For requests and replies, it drops the fields that core NATS
	// cannot honour, so not their ReplyTo.
	Ignore broker.Fields
	// Service registers the responders that [broker.As] finds as a NATS
	// service; see [Options].
	Service Service
	// RefuseWhileDown refuses publishes, requests and settlements while the
	// connection is down, with [broker.ErrUnavailable], instead of letting them
	// wait in the client's buffer; see [Options].
	RefuseWhileDown bool
	// OnLoss is called with what a lost connection may have done to replies,
	// which nobody acknowledges; see [Options]. From the first reply on, its
	// numbers count everything that the connection sends, including publishes,
	// although those are acknowledged.
	OnLoss func(Loss)
	// OnState is called when the connection's state changes; see [Options].
	OnState func(State, error)
	// Domain is the JetStream domain to use; "" is the connection's own.
	Domain string
	// MaxInFlight bounds the publishes that wait for their acknowledgement,
	// over all callers; a further one waits for room, within its context. 0
	// means 4000. A PublishBatch counts as one, and has at most MaxInFlight
	// messages of its own in flight. With 1, a batch waits for each message
	// before it sends the next.
	MaxInFlight int
	// StreamWait is how long a publish is retried, every 250 ms, while no
	// stream answers for its subject, as happens for the seconds it takes to
	// replace a killed leader. 0 fails at once: a subject that no stream
	// captures looks the same. Set a DedupID with it, or a message that was
	// stored without an answer may be stored twice.
	StreamWait time.Duration
	// Unconfirmed sends deletes, extensions, releases and rejections without
	// waiting for the server's answer. They are faster, but a nil error means
	// only that they left this process: one that is lost, or comes too late,
	// goes unnoticed, and the message comes again.
	Unconfirmed bool
}

func (o *JetStreamOptions) setDefaults() {
	if o.RequestTimeout == 0 {
		o.RequestTimeout = broker.DefaultRequestTimeout
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = defaultInFlight
	}
}

// core returns the options of the Broker on the same connection. Confirm is not
// set: only replies are published through it, and replies never wait for a
// confirmation.
func (o *JetStreamOptions) core() *Options {
	return &Options{
		Logger: o.Logger, Subjects: o.Subjects, RequestTimeout: o.RequestTimeout, Ignore: o.Ignore & natsrules.Refused,
		Service: o.Service, RefuseWhileDown: o.RefuseWhileDown, OnLoss: o.OnLoss, OnState: o.OnState,
	}
}

// check returns all problems of o in one error.
func (o *JetStreamOptions) check() error {
	errs := []error{o.core().check()}
	if unknown := o.Ignore &^ natsrules.IgnorableByJetStream; unknown != 0 {
		errs = append(errs, &broker.FieldError{
			Field: "Ignore", Value: unknown.String(), Limit: "a subset of " + natsrules.IgnorableByJetStream.String(),
		})
	}
	if o.MaxInFlight < 0 {
		errs = append(errs, negative("MaxInFlight", o.MaxInFlight))
	}
	if o.StreamWait < 0 {
		errs = append(errs, &broker.FieldError{Field: "StreamWait", Value: o.StreamWait.String(), Limit: "0 or above"})
	}
	if o.Domain != "" && !natsrules.ValidName(o.Domain) {
		errs = append(errs, &broker.FieldError{Field: "Domain", Value: o.Domain, Limit: natsrules.NameLimit})
	}
	for _, name := range slices.Sorted(maps.Keys(o.Queues)) {
		if name == "" {
			errs = append(errs, &broker.FieldError{Field: "Queues", Limit: "a non-empty name"})
		}
		if _, ok := natsrules.ParseConsumer(o.Queues[name]); !ok {
			errs = append(errs, &broker.FieldError{
				Field: fmt.Sprintf("Queues[%s]", name), Value: o.Queues[name], Limit: natsrules.ConsumerLimit,
			})
		}
	}
	return errors.Join(errs...)
}
