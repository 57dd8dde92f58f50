package broker

import "context"

// Subscriber delivers messages to a handler.
type Subscriber interface {
	// Subscribe starts delivering the messages of subject to h and returns once
	// the subscription is active on the server: messages published after that
	// reach it. ctx bounds set-up only; cancelling it later has no effect.
	// Handlers inherit its values but not its cancellation.
	// [Subscription.Drain] or the broker's Close ends the subscription.
	//
	// Without [Group] every subscription gets each message (fan-out). With
	// Group the subscriptions that name the same group share the messages. A
	// backend that cannot fan out (SQS) refuses a Subscribe without Group.
	//
	// An option that the backend cannot honour is an [*UnsupportedError].
	Subscribe(ctx context.Context, subject string, h Handler, opts ...SubscribeOption) (*Subscription, error)
}
