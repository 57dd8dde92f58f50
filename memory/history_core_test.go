package memory_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// subjects is what a history of subjects is played on.
type subjects interface {
	broker.Publisher
	broker.Subscriber
	broker.Requester
	broker.Responder
}

type coreHistory struct {
	Worst uint64
	Steps []coreStep
}

// coreStep is one operation. What it does not need is drawn all the same.
type coreStep struct {
	Do, Pattern, Subject, Service, Group string
	Limit, Which, Millis                 int
}

// GoString keeps what a failure prints short.
func (s coreStep) GoString() string {
	switch s.Do {
	case "subscribe":
		return fmt.Sprintf("subscribe(%s %q %d)", s.Pattern, s.Group, s.Limit)
	case "publish":
		return fmt.Sprintf("publish(%s)", s.Subject)
	case "respond", "request":
		return fmt.Sprintf("%s(%s)", s.Do, s.Service)
	case "drain":
		return fmt.Sprintf("drain(-%d)", s.Which)
	}
	return fmt.Sprintf("advance(%dms)", s.Millis)
}

var coreSteps = []string{
	"subscribe", "subscribe", "publish", "publish", "publish", "publish", "publish", "publish",
	"advance", "advance", "drain", "respond", "request",
}

var coreHistories = rapid.Custom(func(t *rapid.T) coreHistory {
	step := rapid.Custom(func(t *rapid.T) coreStep {
		return coreStep{
			Do:      rapid.SampledFrom(coreSteps).Draw(t, "do"),
			Pattern: rapid.SampledFrom([]string{"a.*", "a.b", "a.>", "b.*", "b.c"}).Draw(t, "pattern"),
			Subject: rapid.SampledFrom([]string{"a.b", "a.c", "b.c", "a.b.c", "a"}).Draw(t, "subject"),
			Service: rapid.SampledFrom([]string{"service.x", "service.y"}).Draw(t, "service"),
			Group:   rapid.SampledFrom([]string{"", "", "g", "h"}).Draw(t, "group"),
			Limit:   rapid.SampledFrom([]int{0, 0, 1, 3}).Draw(t, "limit"),
			Which:   rapid.IntRange(0, 10).Draw(t, "which"),
			Millis:  rapid.SampledFrom([]int{0, 500, 1000, 3000}).Draw(t, "milliseconds"),
		}
	})
	return coreHistory{
		Worst: uint64(max(0, rapid.IntRange(-5, 5).Draw(t, "worst"))),
		// A slice is of half a dozen on average, so this is of three dozen.
		Steps: slices.Concat(rapid.SliceOfN(rapid.SliceOfN(step, 1, 20), 1, 20).Draw(t, "steps")...),
	}
})

// corePlayer plays a history on subjects and keeps the model up to date.
type corePlayer struct {
	subjects
	ctx   context.Context
	model coreModel
	sent  int
}

func playCore(mutate func(subjects) subjects) func(*testing.T, coreHistory) error {
	return func(t *testing.T, h coreHistory) error {
		t.Helper()
		b := closing(t, memory.NewCoreNATS(&memory.CoreNATSOptions{WorstCase: h.Worst}))
		p := &corePlayer{subjects: b, ctx: t.Context(), model: coreModel{worst: h.Worst != 0}}
		if mutate != nil {
			p.subjects = mutate(b)
		}
		for i, s := range h.Steps {
			if err := p.step(s); err != nil {
				return fmt.Errorf("step %d, %#v: %w", i, s, err)
			}
			synctest.Wait()
		}
		must(t, b.WaitIdle(t.Context()))
		synctest.Wait()
		return p.model.check()
	}
}

func (p *corePlayer) step(s coreStep) error {
	switch s.Do {
	case "subscribe":
		return p.subscribe(s)
	case "respond":
		sub, err := p.Respond(p.ctx, s.Service, echo)
		p.model.responders = append(p.model.responders, responder{s.Service, sub})
		return err
	case "drain":
		return p.drain(s.Which)
	case "request":
		return p.request(s.Service)
	case "advance":
		time.Sleep(time.Duration(s.Millis) * time.Millisecond)
		return nil
	default:
		p.sent++
		r, err := p.Publish(p.ctx, text(s.Subject, strconv.Itoa(p.sent)))
		if err == nil && r.Outcome != broker.OutcomeSent {
			err = fmt.Errorf("outcome %v", r.Outcome)
		}
		p.model.published(p.sent, s.Subject)
		return err
	}
}

// handling is how long every handler takes.
const handling = time.Second

func (p *corePlayer) subscribe(s coreStep) error {
	m := &modelSub{pattern: s.Pattern, group: s.Group, limit: s.Limit, live: true}
	opts := []broker.SubscribeOption{broker.PendingLimits{Messages: s.Limit}}
	if s.Group != "" {
		opts = append(opts, broker.Group(s.Group))
	}
	var err error
	m.sub, err = p.Subscribe(p.ctx, s.Pattern, func(_ context.Context, d *broker.Delivery) error {
		n, err := strconv.Atoi(string(d.Body))
		m.got = append(m.got, n)
		time.Sleep(handling)
		return err
	}, opts...)
	p.model.subs = append(p.model.subs, m)
	return err
}

// drain ends one of the latest subscriptions, or of the latest responders.
func (p *corePlayer) drain(which int) error {
	subs, responders := p.model.subs, p.model.responders
	if which%3 == 0 && len(responders) > 0 {
		last := len(responders) - 1
		p.model.responders = responders[:last]
		_, err := responders[last].sub.Drain(p.ctx)
		return err
	}
	if len(subs) == 0 {
		return nil
	}
	s := subs[max(0, len(subs)-1-which)]
	s.live = false
	_, err := s.sub.Drain(p.ctx)
	return err
}

func (p *corePlayer) request(service string) error {
	d, err := p.Request(p.ctx, text(service, "ask"))
	if !p.model.answers(service) {
		return want("request", err, broker.ErrNoResponders)
	}
	if err == nil && string(d.Body) != "re: ask" {
		return errors.New("got another answer: " + string(d.Body))
	}
	return want("request", err, nil)
}

func TestCoreNATSHistories(t *testing.T) { checkHistories(t, coreHistories, playCore(nil)) }

// mutantCore is a broker with one rule broken, for histories to find it.
type mutantCore struct {
	subjects
	calls     int
	held      *broker.Message
	publishes func(*mutantCore, context.Context, broker.Message) (broker.Receipt, error)
	options   func([]broker.SubscribeOption) []broker.SubscribeOption
	requests  func(*mutantCore, context.Context, broker.Message) (*broker.Delivery, error)
}

func (m *mutantCore) Publish(ctx context.Context, msg broker.Message) (broker.Receipt, error) {
	m.calls++
	if m.publishes != nil {
		return m.publishes(m, ctx, msg)
	}
	return m.subjects.Publish(ctx, msg)
}

func (m *mutantCore) Subscribe(ctx context.Context, subject string, h broker.Handler, opts ...broker.SubscribeOption) (*broker.Subscription, error) {
	if m.options != nil {
		opts = m.options(opts)
	}
	return m.subjects.Subscribe(ctx, subject, h, opts...)
}

func (m *mutantCore) Request(ctx context.Context, msg broker.Message) (*broker.Delivery, error) {
	if m.requests != nil {
		return m.requests(m, ctx, msg)
	}
	return m.subjects.Request(ctx, msg)
}

func without[O broker.SubscribeOption](opts []broker.SubscribeOption) []broker.SubscribeOption {
	return slices.DeleteFunc(slices.Clone(opts), func(o broker.SubscribeOption) bool { _, ok := o.(O); return ok })
}

var coreMutants = map[string]mutantCore{
	"loses a message": {publishes: func(m *mutantCore, ctx context.Context, msg broker.Message) (broker.Receipt, error) {
		if m.calls%5 == 0 {
			return broker.Receipt{Outcome: broker.OutcomeSent}, nil
		}
		return m.subjects.Publish(ctx, msg)
	}},
	"sends a message twice": {publishes: func(m *mutantCore, ctx context.Context, msg broker.Message) (broker.Receipt, error) {
		if m.calls%5 == 0 {
			_, _ = m.subjects.Publish(ctx, msg)
		}
		return m.subjects.Publish(ctx, msg)
	}},
	"swaps two messages": {publishes: func(m *mutantCore, ctx context.Context, msg broker.Message) (broker.Receipt, error) {
		if m.calls%5 == 0 && m.held == nil {
			m.held = &msg
			return broker.Receipt{Outcome: broker.OutcomeSent}, nil
		}
		r, err := m.subjects.Publish(ctx, msg)
		if m.held != nil {
			_, _ = m.subjects.Publish(ctx, *m.held)
			m.held = nil
		}
		return r, err
	}},
	"delivers to all of a group": {options: without[broker.Group]},
	"ignores pending limits":     {options: without[broker.PendingLimits]},
	"says sent for stored": {publishes: func(m *mutantCore, ctx context.Context, msg broker.Message) (broker.Receipt, error) {
		r, err := m.subjects.Publish(ctx, msg)
		r.Outcome = broker.OutcomeStored
		return r, err
	}},
	"answers for nobody": {requests: func(m *mutantCore, ctx context.Context, msg broker.Message) (*broker.Delivery, error) {
		if d, err := m.subjects.Request(ctx, msg); err == nil {
			return d, nil
		}
		return &broker.Delivery{Message: msg}, nil
	}},
}

func TestHistoriesFindCoreMutants(t *testing.T) {
	for name, broken := range coreMutants {
		after, fault := finds(t, coreHistories, playCore(func(s subjects) subjects {
			m := broken
			m.subjects = s
			return &m
		}))
		if fault == nil {
			t.Errorf("%s: not found in %d histories", name, after)
		} else {
			t.Logf("%s: found in history %d: %v", name, after, fault)
		}
	}
}
