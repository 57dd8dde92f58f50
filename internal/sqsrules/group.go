package sqsrules

import (
	"sync"

	"github.com/candidmq/candidmq/broker"
)

// Groups knows which group reads which queue of one broker: the consumers of a
// queue are one group, so there is no Subscribe without a group and none with
// a second one. The zero Groups is empty. It is safe for concurrent use.
type Groups struct {
	mu     sync.Mutex
	queues map[string]*members
}

type members struct {
	group broker.Group
	subs  []*broker.Subscription
}

// Subscribe takes [broker.Group] out of the options, checks it and calls start
// with the others, and with [broker.Batch] as a queue receives. queue is the
// queue's own name, so that two names for it are one. A group has a queue until
// the last of its subscriptions is over. start must not block: subscriptions
// start one at a time. The options have passed [CheckSubscribe].
func (g *Groups) Subscribe(queue string, opts []broker.SubscribeOption,
	start func(opts []broker.SubscribeOption) (*broker.Subscription, error),
) (*broker.Subscription, error) {
	group, rest := splitGroup(opts)
	g.mu.Lock()
	defer g.mu.Unlock()
	others := g.members(queue)
	if len(others.subs) > 0 && others.group != group {
		return nil, &broker.UnsupportedError{
			Backend: Backend, What: "group " + string(group) + " on queue " + queue,
			Why:     "all consumers of a queue are one group, and this one is read by group " + string(others.group),
			Instead: "that group, or a queue for each group behind an SNS topic",
		}
	}
	sub, err := start(rest)
	if err == nil {
		others.group = group
		others.subs = append(others.subs, sub)
	}
	return sub, err
}

// members are the live subscriptions of a queue. The caller holds mu.
func (g *Groups) members(queue string) *members {
	if g.queues == nil {
		g.queues = map[string]*members{}
	}
	m := g.queues[queue]
	if m == nil {
		m = &members{}
		g.queues[queue] = m
	}
	live := m.subs[:0]
	for _, sub := range m.subs {
		select {
		case <-sub.Done():
		default:
			live = append(live, sub)
		}
	}
	clear(m.subs[len(live):])
	m.subs = live
	return m
}

// checkGroup refuses a Subscribe without a group.
func checkGroup(group broker.Group) error {
	if group != "" {
		return nil
	}
	return &broker.UnsupportedError{
		Backend: Backend, What: "Subscribe without Group",
		Why:     "a queue gives each message to one of its consumers: it cannot fan out",
		Instead: "broker.Group, and for fan-out an SNS topic with a queue for each subscriber",
	}
}

func splitGroup(opts []broker.SubscribeOption) (broker.Group, []broker.SubscribeOption) {
	var group broker.Group
	rest := make([]broker.SubscribeOption, 0, len(opts)+1)
	rest = append(rest, broker.Batch(MaxBatch))
	for _, opt := range opts {
		if g, ok := opt.(broker.Group); ok {
			group = g
		} else {
			rest = append(rest, opt)
		}
	}
	return group, rest
}
