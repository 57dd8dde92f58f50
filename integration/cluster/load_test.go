package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

const (
	stream = "ORDERS"
	shared = "shared" // the consumer that all receivers share
	keys   = 4        // publishers, and receivers

	// pace is each publisher's, at best: slower than a replica catches up on a
	// machine with two processors that has other work too.
	pace    = 20 * time.Millisecond
	try     = 3 * time.Second // after which a publisher tries again
	ackWait = 5 * time.Second

	some = 20 // messages, for progress
)

func subject(key int) string { return fmt.Sprint("orders.", key) }

// strictName is the consumer of one key that keeps its order.
func strictName(key int) string { return fmt.Sprint("strict-", key) }

// publisher publishes the messages of one key, one after the other, each until
// it is acknowledged.
type publisher struct {
	key  int
	js   *natsbroker.JetStream
	done atomic.Int64 // acknowledged

	cutOff   atomic.Bool  // its server is, from the others
	refused  atomic.Int64 // tries from beginning to end of which it was, without a receipt
	unbacked atomic.Int64 // and with one

	// Of its goroutine:
	outcomes map[broker.Outcome]int
	errors   map[string]int
	gap      time.Duration // the longest between two acknowledgements
	wrong    error         // one that a publisher should not see, or the last
}

func (p *publisher) run(ctx context.Context, stop <-chan struct{}) {
	if p.outcomes == nil {
		p.outcomes, p.errors = map[broker.Outcome]int{}, map[string]int{}
	}
	tick := time.NewTicker(pace)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-tick.C:
		case <-stop:
			return
		}
		m := message{p.key, int(p.done.Load()) + 1}
		if !p.publish(ctx, tick, m) {
			return
		}
		p.done.Add(1)
		p.gap = max(p.gap, time.Since(last))
		last = time.Now()
	}
}

// publish tries until the message is acknowledged. The id makes that harmless.
func (p *publisher) publish(ctx context.Context, tick *time.Ticker, m message) bool {
	for ; ; <-tick.C {
		cutOff := p.cutOff.Load()
		once, cancel := context.WithTimeout(ctx, try)
		r, err := p.js.Publish(once, broker.Message{Subject: subject(p.key), Body: fmt.Append(nil, m.n), DedupID: m.String()})
		cancel()
		if cutOff && p.cutOff.Load() {
			p.countCutOff(err)
		}
		if err == nil {
			p.outcomes[r.Outcome]++
			return true
		}
		p.errors[kind(err)]++
		if e, ok := errors.AsType[*broker.Error](err); ctx.Err() != nil || !ok || !e.Retryable && !e.OutcomeUnknown {
			p.wrong = err
			return false
		}
	}
}

func (p *publisher) countCutOff(err error) {
	if err == nil {
		p.unbacked.Add(1)
	} else {
		p.refused.Add(1)
	}
}

// advances returns what reports whether some more messages are acknowledged.
func (p *publisher) advances() func() bool {
	goal := p.done.Load() + some
	return func() bool { return p.done.Load() >= goal }
}

// kind is what a caller can tell of an error.
func kind(err error) string {
	var words []string
	for _, known := range []error{
		broker.ErrNotFound, broker.ErrUnavailable, broker.ErrThrottled, broker.ErrLeaseLost, broker.ErrDropped,
		context.DeadlineExceeded, broker.ErrOutcomeUnknown,
	} {
		if errors.Is(err, known) {
			words = append(words, known.Error())
		}
	}
	if words == nil || errors.Is(err, broker.ErrThrottled) {
		return err.Error()
	}
	if api, ok := errors.AsType[jetstream.JetStreamError](err); ok && api.APIError() != nil {
		words = append(words, fmt.Sprintf("code %d", api.APIError().ErrorCode))
	}
	return strings.Join(words, " + ")
}

// advances returns what reports whether some more messages are delivered.
func (l *consumerLog) advances() func() bool {
	goal := l.handled() + some
	return func() bool { return l.handled() >= goal }
}

// counts are of all deliveries and of all deletes that were confirmed.
func (l *consumerLog) counts() (delivered, deleted int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if e.deleted {
			deleted++
		}
	}
	return len(l.events) - deleted, deleted
}

// receiver reads the messages of one key in strict order, and shares those of
// all keys with the other receivers.
type receiver struct {
	number int
	js     *natsbroker.JetStream
	subs   []*broker.Subscription

	mu     sync.Mutex
	errors map[string]int
}

func (r *receiver) subscribe(t *testing.T, l *consumerLog) {
	t.Helper()
	var err error
	defer func() {
		if err != nil {
			t.Log(err)
		}
	}()
	await(t, "a subscription to "+l.name, func() bool { // its leader may have died in the fault before
		var sub *broker.Subscription
		sub, err = r.js.Subscribe(t.Context(), stream+"/"+l.name, r.handler(l), broker.Group(l.name),
			r.observer(l), broker.OnError(r.failed))
		if err == nil {
			r.subs = append(r.subs, sub)
		}
		return err == nil
	})
}

func (r *receiver) handler(l *consumerLog) broker.Handler {
	return func(_ context.Context, d *broker.Delivery) error {
		m, err := parse(d.Subject, d.Body)
		if err == nil {
			l.add(event{message: m, receiver: r.number, attempt: d.Attempt, at: time.Now(), leaseEnd: d.LeaseEnd})
		}
		return err
	}
}

// observer notes the deletes that were confirmed.
func (r *receiver) observer(l *consumerLog) broker.Observer {
	return func(e broker.Event) {
		if e.Kind != broker.EventSettled || e.Op != "delete" || e.Err != nil {
			return
		}
		if m, err := parse(e.Delivery.Subject, e.Delivery.Body); err == nil {
			l.add(event{message: m, receiver: r.number, deleted: true, at: time.Now()})
		}
	}
}

func (r *receiver) failed(_ context.Context, _ *broker.Delivery, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors[kind(err)]++
}

func parse(subject string, body []byte) (message, error) {
	var m message
	if _, err := fmt.Sscanf(subject, "orders.%d", &m.key); err != nil {
		return m, err
	}
	_, err := fmt.Sscan(string(body), &m.n)
	return m, err
}

// sum adds up counts of words.
func sum(all ...map[string]int) string {
	total := map[string]int{}
	for _, counts := range all {
		for word, n := range counts {
			total[word] += n
		}
	}
	var lines []string
	for _, word := range slices.Sorted(maps.Keys(total)) {
		lines = append(lines, fmt.Sprintf("%d × %s", total[word], word))
	}
	if lines == nil {
		return "none"
	}
	return strings.Join(lines, ", ")
}
