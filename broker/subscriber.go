package broker

import "context"

// Subscriber delivers messages to a handler.
type Subscriber interface {
	// Subscribe starts delivering the messages of subject to h and returns
	// when the subscription is active on the server: what is published after
	// that reaches it. ctx bounds the set-up only, its cancellation later has
	// no effect; handlers inherit its values. [Subscription.Drain] or the
	// broker's Close end it.
	//
	// Without [Group] every subscription gets each message (fan-out). With
	// Group the subscriptions that name the same group share the messages. A
	// backend that cannot fan out (SQS) refuses a Subscribe without Group.
	//
	// An option that the backend cannot honour is an [*UnsupportedError].
	Subscribe(ctx context.Context, subject string, h Handler, opts ...SubscribeOption) (*Subscription, error)
}
