package natsbroker

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/candidmq/candidmq/broker"
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
	if unknown := o.Ignore &^ refused; unknown != 0 {
		errs = append(errs, &broker.FieldError{
			Field: "Ignore", Value: unknown.String(), Limit: "a subset of " + refused.String(),
		})
	}
	for _, name := range slices.Sorted(maps.Keys(o.Subjects)) {
		if name == "" {
			errs = append(errs, &broker.FieldError{Field: "Subjects", Limit: "a name is not empty"})
		}
		errs = append(errs, checkPattern(fmt.Sprintf("Subjects[%s]", name), o.Subjects[name]))
	}
	return errors.Join(errs...)
}

// PendingLimits bounds what waits in this process for one subscription's
// handler, the message being handled included. Beyond it the newest messages
// are dropped. A field that is 0 keeps nats.go's default: 500,000 messages,
// 64 MiB of bodies and headers.
type PendingLimits struct {
	Messages int
	Bytes    int
}

// SubscribeOption marks PendingLimits as an option of Subscribe calls.
func (PendingLimits) SubscribeOption() {}

func (l PendingLimits) check() error {
	var errs []error
	if l.Messages < 0 {
		errs = append(errs, negative("PendingLimits.Messages", l.Messages))
	}
	if l.Bytes < 0 {
		errs = append(errs, negative("PendingLimits.Bytes", l.Bytes))
	}
	return errors.Join(errs...)
}

func negative(field string, value int) error {
	return &broker.FieldError{Field: field, Value: fmt.Sprint(value), Limit: "0 (the default) or above"}
}
