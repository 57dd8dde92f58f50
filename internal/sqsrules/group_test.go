package sqsrules

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/candidmq/candidmq/broker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSubscribeNeedsAGroup(t *testing.T) {
	for _, test := range []struct {
		opts []broker.SubscribeOption
		want error
	}{
		{nil, errors.ErrUnsupported},
		{[]broker.SubscribeOption{broker.Group("")}, errors.ErrUnsupported},
		{[]broker.SubscribeOption{broker.Group("g")}, nil},
		{[]broker.SubscribeOption{broker.Group("g"), broker.Lease(13 * time.Hour)}, errors.ErrUnsupported},
	} {
		if err := CheckSubscribe(test.opts); !errors.Is(err, test.want) {
			t.Errorf("%v: got %v, want %v", test.opts, err, test.want)
		}
	}
}

func TestGroups(t *testing.T) {
	var groups Groups
	subscribe := func(queue string, opts ...broker.SubscribeOption) (*broker.Subscription, error) {
		return groups.Subscribe(queue, opts, func(rest []broker.SubscribeOption) (*broker.Subscription, error) {
			if len(rest) == 0 || rest[0] != broker.Batch(MaxBatch) {
				t.Errorf("got the options %v, want the queue's batch first", rest)
			}
			p, err := broker.NewDispatcher(t.Context(), "test", queue,
				func(context.Context, *broker.Delivery) error { return nil }, rest[1:]...)
			if err != nil {
				return nil, err
			}
			p.Run(func(context.Context) int { return 0 })
			return p.Subscription(), nil
		})
	}
	var subs []*broker.Subscription
	for _, test := range []struct {
		queue string
		group broker.Group
		fine  bool
	}{
		{"q", "a", true}, {"q", "a", true}, {"q", "b", false}, {"r", "b", true},
	} {
		sub, err := subscribe(test.queue, test.group, broker.Concurrency(2))
		if (err == nil) != test.fine || err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Fatalf("%+v: got %v", test, err)
		}
		if sub != nil {
			subs = append(subs, sub)
		}
	}
	if _, err := subscribe("q", broker.Group("a"), broker.Concurrency(0)); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("got %v, want what start returned", err)
	}
	drain := func(s *broker.Subscription) {
		if _, err := s.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	}
	drain(subs[0])
	if _, err := subscribe("q", broker.Group("b")); err == nil {
		t.Error("b got the queue that a still has")
	}
	drain(subs[1])
	sub, err := subscribe("q", broker.Group("b"))
	if err != nil {
		t.Fatalf("b after a is over: %v", err)
	}
	drain(sub)
	drain(subs[2])
}
