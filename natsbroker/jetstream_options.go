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

// defaultInFlight is as much as nats.go lets wait by itself.
const defaultInFlight = 4000

// JetStreamOptions configure a JetStream. The zero value, and a nil pointer,
// are useful.
type JetStreamOptions struct {
	// Logger takes what subscriptions tell [broker.OnError], at level Warn. Nil
	// discards. Bodies, header values and credentials are never logged.
	Logger *slog.Logger
	// Subjects maps names, as callers use them, to native subjects. A name that
	// is not in the table is a native subject itself.
	Subjects map[string]string
	// Queues maps names to consumers, written "stream/consumer".
	Queues map[string]string
	// RequestTimeout bounds every call whose context has no deadline. 0 is
	// [broker.DefaultRequestTimeout].
	RequestTimeout time.Duration
	// Ignore drops optional fields of messages (ReplyTo, Key, Tenant, Delay,
	// TTL) instead of refusing the message. A configuration says so on purpose;
	// nothing is dropped by default. Of requests and replies, it drops what core
	// NATS cannot honour, so not their ReplyTo.
	Ignore broker.Fields
	// Service makes the responders that [broker.As] gives known as a NATS service;
	// see [Options].
	Service Service
	// RefuseWhileDown refuses what is published, requested or settled while the
	// connection is down, with [broker.ErrUnavailable], in place of letting it wait
	// in the client's buffer; see [Options].
	RefuseWhileDown bool
	// OnLoss is told what a lost connection may have done to replies, which nobody
	// acknowledges; see [Options]. From the first reply on, its numbers are of all
	// that the connection sends, though what is published here has its answer.
	OnLoss func(Loss)
	// OnState is told when the connection's state changes; see [Options].
	OnState func(State, error)
	// Domain is the JetStream domain to talk to, "" for the connection's own.
	Domain string
	// MaxInFlight bounds the publishes that wait for their acknowledgement, of
	// all callers together; a further one waits for room, within its context.
	// 0 is 4000. A PublishBatch counts as one, and has at most MaxInFlight
	// messages of its own in flight. With 1, a batch waits for each message
	// before it sends the next.
	MaxInFlight int
	// StreamWait is how long a publish is tried again, every 250 ms, while no
	// stream answers for its subject, which is how the seconds look in which a
	// killed leader is replaced. 0 fails at once: a subject that no stream
	// captures looks the same. Set a DedupID with it, or a message that was
	// stored without an answer may be stored twice.
	StreamWait time.Duration
	// Unconfirmed sends deletes, extensions, releases and rejections without
	// waiting for the server's answer. They are faster, and a nil error says no
	// more than that they left this process: one that is lost, or comes too
	// late, is not noticed, and the message comes again.
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

// core is what the Broker on the same connection is made with. There is no
// Confirm: what is published through it is replies, which never wait for that.
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
