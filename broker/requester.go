package broker

import (
	"context"
	"time"
)

// DefaultRequestTimeout bounds a request whose context has no deadline, since
// a request without a time-out is a hang. Backends' options override it.
const DefaultRequestTimeout = 5 * time.Second

// Requester asks a question and waits for its answer.
type Requester interface {
	// Request publishes m with a reply address of its own and returns the
	// first reply. It blocks until the reply, or until ctx ends; a ctx without
	// a deadline gets [DefaultRequestTimeout], or the backend's option.
	//
	// [ErrNoResponders] comes at once if nobody listens. A reply that carries
	// an error is a [*ReplyError]. If ctx ends first the error matches its
	// cause ([context.DeadlineExceeded], [context.Canceled]) and
	// [ErrOutcomeUnknown]: the request may have been, or may still be, served.
	// m.ReplyTo must be empty.
	Request(ctx context.Context, m Message) (*Delivery, error)
}

// Responder answers requests.
type Responder interface {
	// Respond is Subscribe for requests: it calls h and sends what h returns
	// to the requester. Give [Group] to share the requests among several
	// responders; without it every responder answers, and the requester takes
	// the first answer. A message without a reply address is handled, and then
	// reported to [OnError], since its reply has nowhere to go.
	Respond(ctx context.Context, subject string, h ReplyHandler, opts ...SubscribeOption) (*Subscription, error)
}
