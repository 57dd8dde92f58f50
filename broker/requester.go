package broker

import (
	"context"
	"time"
)

// DefaultRequestTimeout bounds a request whose context has no deadline, since a
// request without a timeout could hang. Backends' options override it.
const DefaultRequestTimeout = 5 * time.Second

// Requester sends a request and waits for its reply.
type Requester interface {
	// Request publishes m with a unique reply address and returns the first
	// reply. It blocks until the reply arrives or ctx ends; a ctx without a
	// deadline gets [DefaultRequestTimeout], or the backend's option.
	//
	// If there is no listener, Request returns [ErrNoResponders] at once. A
	// reply that carries an error is a [*ReplyError]. If ctx ends first, the
	// error matches its cause ([context.DeadlineExceeded], [context.Canceled])
	// and [ErrOutcomeUnknown]: the request may have been served, or may still
	// be. m.ReplyTo must be empty.
	Request(ctx context.Context, m Message) (*Delivery, error)
}

// Responder replies to requests.
type Responder interface {
	// Respond is Subscribe for requests: it calls h and sends the result to the
	// requester. With [Group], several responders share the requests; without
	// it every responder replies, and the requester takes the first reply. A
	// message without a reply address is handled, and then reported to
	// [OnError], since its reply has nowhere to go.
	Respond(ctx context.Context, subject string, h ReplyHandler, opts ...SubscribeOption) (*Subscription, error)
}
