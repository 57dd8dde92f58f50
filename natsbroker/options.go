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

// Options configures a Broker. The zero value and a nil pointer are valid and
// select the defaults.
type Options struct {
	// Logger receives what subscriptions report to [broker.OnError] and, for a
	// connection made by Connect, its asynchronous errors, all at level Warn.
	// Nil discards them. Bodies, header values and credentials are never
	// logged.
	Logger *slog.Logger
	// Subjects maps the caller's names to native subjects, which may be
	// wildcards if only Subscribe and Respond use the name. A name that is not
	// in the table is a native subject itself.
	Subjects map[string]string
	// RequestTimeout bounds requests, flushes, pings and the setup of
	// subscriptions whose context has no deadline, and Close's flush. 0 is
	// [broker.DefaultRequestTimeout].
	RequestTimeout time.Duration
	// Ignore drops these optional fields of messages, which core NATS cannot
	// honour (Key, Tenant, DedupID, Delay, TTL), instead of refusing the
	// message. Nothing is dropped by default.
	Ignore broker.Fields
	// Confirm makes Publish and PublishBatch wait until the server has read the
	// messages. They make a round trip for that: one for a whole batch, and one
	// for all messages published at the same time from other goroutines.
	// Receipts then say [broker.OutcomeReceived], and Describe
	// [broker.ConfirmReceived]; see [Broker.Publish].
	Confirm bool
	// Service, if it has a name, registers the responders as a NATS service.
	Service Service
	// RefuseWhileDown refuses publishes and requests while the connection is
	// down, with [broker.ErrUnavailable], instead of letting them wait in the
	// client's buffer. Connect sets nats.ReconnectBufSize(-1) for it; a
	// connection given to New must have been made with that.
	RefuseWhileDown bool
	// OnLoss is called with the number of messages that a lost connection has
	// lost or may have lost, as soon as that is known. It is called in the same
	// way as OnState. With it, published messages are confirmed by a round trip
	// every 100 ms, so the number covers about the messages published in that
	// time.
	OnLoss func(Loss)
	// OnState is called when the connection's state changes, with the
	// connection's last error, if any, unless the state is StateConnected.
	// Calls come one at a time, from a goroutine that Close joins: OnState must
	// return soon and must not call Close. Short-lived states may be left out;
	// the last one never is.
	OnState func(State, error)
}

// check returns all problems of o in one error.
func (o *Options) check() error {
	var errs []error
	if o.RequestTimeout < 0 {
		errs = append(errs, &broker.FieldError{
			Field: "RequestTimeout", Value: o.RequestTimeout.String(), Limit: "0 (the default) or above",
		})
	}
	errs = append(errs, natsrules.CheckIgnore(o.Ignore), o.Service.check())
	for _, name := range slices.Sorted(maps.Keys(o.Subjects)) {
		if name == "" {
			errs = append(errs, &broker.FieldError{Field: "Subjects", Limit: "a non-empty name"})
		}
		errs = append(errs, natsrules.CheckPattern(fmt.Sprintf("Subjects[%s]", name), o.Subjects[name]))
	}
	return errors.Join(errs...)
}

func negative(field string, value int) error {
	return &broker.FieldError{Field: field, Value: fmt.Sprint(value), Limit: "0 (the default) or above"}
}
