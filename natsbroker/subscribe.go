package natsbroker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// Subscribe delivers the messages of a subject, which may contain wildcards,
// and returns when the server has the subscription. In a cluster the other
// servers learn of it a few milliseconds later. While the connection is down,
// Subscribe waits for the reconnect, within ctx.
//
// [broker.Group] is a NATS queue group: its members share the messages, at
// random and regardless of each member's load. Other options:
// [broker.PendingLimits], [broker.Concurrency], [broker.OnError],
// [broker.Logger].
//
// A subscription that the server denies is [broker.ErrDenied]. That is read
// from the connection's last error, so it can be missed if another error hits
// the same connection at the same instant, or if the permission is withdrawn
// later; the connection's own error handler is called in each case.
//
// When the connection is closed, the subscription ends with an Err matching
// [broker.ErrClosed], and messages waiting in the client are lost.
func (b *Broker) Subscribe(ctx context.Context, subject string, h broker.Handler, opts ...broker.SubscribeOption) (*broker.Subscription, error) {
	return b.subscribe(ctx, "subscribe", subject, h, opts)
}

func (b *Broker) subscribe(ctx context.Context, op, name string, h broker.Handler, opts []broker.SubscribeOption) (*broker.Subscription, error) {
	if err := b.ready(ctx, op, name); err != nil {
		return nil, err
	}
	s, err := newSubscription(ctx, b, name, h, opts)
	if err != nil {
		return nil, err
	}
	if err := s.setUp(ctx); err != nil {
		s.refuse()
		return nil, b.failure(op, name, err)
	}
	s.dispatcher.Run(s.drain)
	if !b.subs.Add(s.dispatcher.Subscription()) {
		s.refuse()
		return nil, closedError(op, name)
	}
	close(s.gate)
	return s.dispatcher.Subscription(), nil
}

// subscribeOptions are the options that this backend reads itself.
type subscribeOptions struct {
	group  string
	limits broker.PendingLimits
	others []broker.SubscribeOption // for the Dispatcher
}

func (b *Broker) readOptions(pattern string, opts []broker.SubscribeOption) (subscribeOptions, error) {
	o := subscribeOptions{others: []broker.SubscribeOption{broker.Logger{Logger: b.logger}}}
	var errs []error
	for _, opt := range opts {
		switch v := opt.(type) {
		case broker.Group:
			o.group = string(v)
			errs = append(errs, natsrules.CheckGroup(pattern, o.group))
		case broker.PendingLimits:
			o.limits = v
			errs = append(errs, natsrules.CheckPending(v))
		default:
			o.others = append(o.others, opt)
		}
	}
	return o, errors.Join(errs...)
}

// denial watches the connection's last error for the server's refusal of one
// subscription. nats.go returns nil for a subscription that is denied; its last
// error is set when the refusal is read, which is before the answer to a flush.
type denial struct {
	conn   *nats.Conn
	before error
	text   string // as the server words it
}

func (b *Broker) watchDenial(pattern, group string) denial {
	text := fmt.Sprintf("Subscription to %q", pattern)
	if group != "" {
		text += fmt.Sprintf(" using queue %q", group)
	}
	return denial{conn: b.conn, before: b.conn.LastError(), text: text}
}

// err returns the refusal, or nil. A new refusal is a new error value even if
// its text was seen before.
func (d denial) err() error {
	last := d.conn.LastError()
	switch {
	case errors.Is(last, nats.ErrPermissionViolation):
		if strings.Contains(last.Error(), d.text) && !same(last, d.before) {
			return last
		}
	case errors.Is(last, nats.ErrMaxSubscriptionsExceeded) && !errors.Is(d.before, nats.ErrMaxSubscriptionsExceeded):
		return last
	}
	return nil
}

// same compares the identities of errors that may not be comparable.
func same(denied, before error) bool {
	return errors.Is(before, nats.ErrPermissionViolation) && denied == before //nolint:errorlint // identity is meant
}
