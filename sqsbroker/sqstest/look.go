package sqstest

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

// Stats counts what a queue holds, exactly and now.
type Stats struct {
	Visible  int // on a FIFO queue with those that wait for their group
	InFlight int
	Delayed  int
	Polls    int // receives that wait
}

// Message is a message as a test sees it.
type Message struct {
	ID, Body, Group, DedupID string
	Receives                 int
	Sent                     time.Time
}

// Stats looks at a queue of the default account. It counts as no request; the
// error says that there is no queue of that name.
func (h *Handler) Stats(name string) (Stats, error) {
	q, err := h.named(name)
	if err != nil {
		return Stats{}, err
	}
	s, err := h.engine.Stats(q.engine)
	return Stats{Visible: s.Ready, InFlight: s.InFlight, Delayed: s.Delayed, Polls: s.Polls}, err
}

// Messages are up to limit messages of a queue of the default account, in the
// order in which they were sent, whatever their state. It is no receive and
// counts as no request; the error says that there is no queue of that name.
func (h *Handler) Messages(name string, limit int) ([]Message, error) {
	q, err := h.named(name)
	if err != nil {
		return nil, err
	}
	var found []queue.Message
	for _, state := range []queue.State{queue.Ready, queue.InFlight, queue.Delayed} {
		some, err := h.engine.Peek(q.engine, state, limit)
		if err != nil {
			return nil, err
		}
		found = append(found, some...)
	}
	slices.SortFunc(found, func(a, b queue.Message) int { return cmp.Compare(a.Seq, b.Seq) })
	var out []Message
	for i := range found[:min(limit, len(found))] {
		m := &found[i]
		out = append(out, Message{m.ID, string(m.Body), m.Group, m.DedupID, m.Receives, m.Sent})
	}
	return out, nil
}

// CreateQueue creates a queue of the default account as the action of that name
// does, without a client and without counting; the error is an [*Error].
func (h *Handler) CreateQueue(name string, attributes map[string]string) error {
	_, err := h.createQueue(&call{account: h.opts.Account}, &createQueueIn{QueueName: name, Attributes: attributes})
	return err
}

// ARN is the ARN of a queue of the default account, whether it exists or not.
func (h *Handler) ARN(name string) string { return h.arn(address{h.opts.Account, name}) }

func (h *Handler) named(name string) (*sqsQueue, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	if q := h.queues[address{h.opts.Account, name}]; q != nil {
		return q, nil
	}
	return nil, fmt.Errorf("sqstest: no queue %q", name)
}
