package brokertest_test

import (
	"context"
	"errors"

	"github.com/candidmq/candidmq/broker"
)

// requesting is a mutant that changes the errors of requests.
func requesting(change func(context.Context, error) error) func(*subjects) {
	return func(s *subjects) {
		s.onRequest = func(ctx context.Context, m broker.Message) (*broker.Delivery, error) {
			d, err := s.CoreNATS.Request(ctx, m)
			if err != nil {
				return nil, change(ctx, err)
			}
			return d, nil
		}
	}
}

func requestMutants() []mutant {
	return []mutant{{
		name: "answers late that nobody responds", caught: "request-reply/no-responders",
		on: onSubjects(requesting(func(ctx context.Context, err error) error {
			if errors.Is(err, broker.ErrNoResponders) {
				<-ctx.Done()
				return context.Cause(ctx)
			}
			return err
		})),
	}, {
		name: "says that a request was certainly not served", caught: "request-reply/no-answer-in-time",
		on: onSubjects(requesting(func(_ context.Context, err error) error {
			if errors.Is(err, broker.ErrOutcomeUnknown) {
				return context.DeadlineExceeded
			}
			return err
		})),
	}, {
		name: "overwrites a reply address", caught: "request-reply/own-reply-address",
		on: onSubjects(func(s *subjects) {
			s.onRequest = func(ctx context.Context, m broker.Message) (*broker.Delivery, error) {
				m.ReplyTo = ""
				return s.CoreNATS.Request(ctx, m)
			}
		}),
	}, {
		name: "loses the headers of a reply", caught: "request-reply/answers",
		on: onSubjects(func(s *subjects) {
			s.onRequest = func(ctx context.Context, m broker.Message) (*broker.Delivery, error) {
				d, err := s.CoreNATS.Request(ctx, m)
				if d != nil {
					d.Header = nil
				}
				return d, err
			}
		}),
	}, {
		name: "tells a stranger why it failed", caught: "request-reply/error-reply",
		on: onSubjects(func(s *subjects) {
			s.onRespond = func(ctx context.Context, name string, h broker.ReplyHandler, opts []broker.SubscribeOption) (*broker.Subscription, error) {
				return s.CoreNATS.Respond(ctx, name, telling(h), opts...)
			}
		}),
	}, {
		name: "lets every member of a group respond", caught: "request-reply/group-answers-once",
		on: onSubjects(func(s *subjects) {
			s.onRespond = func(ctx context.Context, name string, h broker.ReplyHandler, opts []broker.SubscribeOption) (*broker.Subscription, error) {
				return s.CoreNATS.Respond(ctx, name, h, without[broker.Group](opts)...)
			}
		}),
	}, {
		name: "drops what has no reply address", caught: "request-reply/no-reply-address",
		on: onSubjects(func(s *subjects) {
			s.onRespond = func(ctx context.Context, name string, h broker.ReplyHandler, opts []broker.SubscribeOption) (*broker.Subscription, error) {
				return s.CoreNATS.Respond(ctx, name, h, without[broker.OnError](opts)...)
			}
		}),
	}}
}

func telling(h broker.ReplyHandler) broker.ReplyHandler {
	if h == nil {
		return nil
	}
	return func(ctx context.Context, d *broker.Delivery) (broker.Message, error) {
		m, err := h(ctx, d)
		if _, ok := errors.AsType[*broker.ReplyError](err); err != nil && !ok {
			err = &broker.ReplyError{Code: "500", Description: err.Error()}
		}
		return m, err
	}
}
