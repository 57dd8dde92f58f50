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

// Options configure a Broker. The zero Options, and a nil pointer, are useful.
type Options struct {
	// Logger takes what subscriptions tell [broker.OnError], and for a
	// connection made by Connect its asynchronous errors, all at level Warn.
	// Nil discards. Bodies, header values and credentials are never logged.
	Logger *slog.Logger
	// Subjects maps names, as callers use them, to native subjects, which may
	// be wildcards where only Subscribe and Respond use the name. A name that
	// is not in the table is a native subject itself.
	Subjects map[string]string
	// RequestTimeout bounds requests, flushes, pings and the set-up of
	// subscriptions whose context has no deadline, and Close's flush. 0 is
	// [broker.DefaultRequestTimeout].
	RequestTimeout time.Duration
	// Ignore drops optional fields of messages that core NATS cannot honour
	// (Key, Tenant, DedupID, Delay, TTL) instead of refusing the message. A
	// configuration says so on purpose; nothing is dropped by default.
	Ignore broker.Fields
	// Confirm has Publish and PublishBatch wait until the server has read what
	// they sent, for which they make a round trip: one for a whole batch, and one
	// for all that are published at the same time from other goroutines. The
	// receipts then say [broker.OutcomeReceived], and Describe
	// [broker.ConfirmReceived]; see [Broker.Publish].
	Confirm bool
	// Service, if it has a name, makes the responders known as a NATS service.
	Service Service
	// RefuseWhileDown refuses what is published or requested while the
	// connection is down, with [broker.ErrUnavailable], in place of letting it
	// wait in the client's buffer. Connect sets nats.ReconnectBufSize(-1) for
	// it; a connection given to New must have been made with that.
	RefuseWhileDown bool
	// OnLoss is told how many messages a lost connection may have lost, or has,
	// as soon as that is known. Calls come as those of OnState do. With it, what
	// was published is confirmed by a round trip every 100 ms, so that the number
	// is about what is published in that time.
	OnLoss func(Loss)
	// OnState is told when the connection's state changes, with the
	// connection's last error, if any, where the state is not StateConnected.
	// Calls come one at a time, from a goroutine that Close joins: it must
	// return soon and must not call Close. States that pass quickly may be
	// left out; the last one never is.
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
