package brokertest

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/candidmq/candidmq/broker"
)

const bothSides = RoleRequester | RoleResponder

func requestCases() []Case {
	return []Case{{
		Name:   "request-reply/answers",
		Rule:   "A request gets its responder's reply where request-reply is declared; elsewhere there is no such role.",
		Fields: []string{"publish.requestReply"},
		run:    requestAnswers,
	}, {
		Name:  "request-reply/no-responders",
		Rule:  "A request that nobody can answer is ErrNoResponders at once.",
		needs: bothSides,
		run:   requestNobody,
	}, {
		Name:  "request-reply/error-reply",
		Rule:  "A ReplyError reaches the requester whole; of any other error only that there was one.",
		needs: bothSides,
		run:   requestErrors,
	}, {
		Name:  "request-reply/no-answer-in-time",
		Rule:  "A request that is not answered in time matches its context's error and ErrOutcomeUnknown.",
		needs: bothSides,
		run:   requestTimeout,
	}, {
		Name:  "request-reply/group-answers-once",
		Rule:  "Of the responders of a group, one handles each request.",
		needs: bothSides,
		run:   requestGroup,
	}, {
		Name:  "request-reply/own-reply-address",
		Rule:  "A request with a ReplyTo of its own is refused.",
		needs: RoleRequester,
		run:   requestReplyTo,
	}, {
		Name:  "request-reply/no-reply-address",
		Rule:  "A responder handles a message without a reply address, which is reported to OnError.",
		needs: RoleResponder,
		run:   requestPublished,
	}}
}

func requestAnswers(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Publish.RequestReply)
	declared := isTrue(d.sem.Publish.RequestReply)
	if !e.h.Roles.has(bothSides) { // what As finds is another broker's
		if declared {
			e.Errorf("declared, and there is no Requester or no Responder")
		}
		return
	}
	requester := role[broker.Requester](e)
	if !declared {
		_, err := requester.Request(e.soon(), d.message(e.body()))
		wantUnsupported(e, "Request", err)
		return
	}
	d.respond(func(_ context.Context, m *broker.Delivery) (broker.Message, error) {
		return broker.Message{Body: []byte("re: " + string(m.Body)), Header: broker.Header{"K": m.Header["K"]}}, nil
	})
	m := d.message("question")
	m.Header = broker.Header{"K": "value"}
	got, err := requester.Request(e.soon(), m)
	e.must("Request", err)
	e.wantMessage(got, broker.Message{Body: []byte("re: question"), Header: m.Header})
}

func (d dest) respond(h broker.ReplyHandler, opts ...broker.SubscribeOption) *broker.Subscription {
	d.Helper()
	sub, err := role[broker.Responder](d.env).Respond(d.soon(), d.name, h, opts...)
	d.must("Respond", err)
	return sub
}

func (d dest) request(ctx context.Context) (*broker.Delivery, error) {
	return role[broker.Requester](d.env).Request(ctx, d.message(d.body()))
}

func requestNobody(e *env) {
	d := e.open(Config{})
	start := time.Now()
	_, err := d.request(e.soon())
	wantIs(e, "Request", err, broker.ErrNoResponders)
	if took := time.Since(start); took > e.h.Patience/4 {
		e.Errorf("the answer took %v", took)
	}
}

func requestErrors(e *env) {
	d := e.open(Config{})
	replies := []error{
		&broker.ReplyError{Code: "404", Description: "no such order", Body: []byte("details")},
		errors.New("secret"),
	}
	var requests atomic.Int32
	sub := d.respond(func(context.Context, *broker.Delivery) (broker.Message, error) {
		i := int(requests.Add(1))
		if i > len(replies) {
			panic("secret")
		}
		return broker.Message{}, replies[i-1]
	})
	_, err := d.request(e.soon())
	if r, ok := errors.AsType[*broker.ReplyError](err); !ok || r.Code != "404" || r.Description != "no such order" || string(r.Body) != "details" {
		e.Errorf("the requester got %#v, want the responder's ReplyError", err)
	}
	for _, what := range []string{"another error", "a panic"} {
		_, err = d.request(e.soon())
		if r, ok := errors.AsType[*broker.ReplyError](err); !ok || r.Code != "500" || strings.Contains(err.Error(), "secret") {
			e.Errorf("after %s the requester got %v, want a ReplyError of code 500 without detail", what, err)
		}
	}
	d.drain(sub)
}

func requestTimeout(e *env) {
	d := e.open(Config{})
	release := make(chan struct{})
	defer close(release)
	d.respond(func(ctx context.Context, _ *broker.Delivery) (broker.Message, error) {
		select {
		case <-release:
		case <-ctx.Done():
		}
		return broker.Message{}, nil
	})
	_, err := d.request(e.in(50 * time.Millisecond))
	wantIs(e, "Request", err, context.DeadlineExceeded)
	wantIs(e, "Request", err, broker.ErrOutcomeUnknown)
}

func requestGroup(e *env) {
	const n = 10
	d := e.open(Config{})
	var handled atomic.Int32
	var subs []*broker.Subscription
	for range 3 {
		subs = append(subs, d.respond(func(context.Context, *broker.Delivery) (broker.Message, error) {
			handled.Add(1)
			return broker.Message{Body: []byte("reply")}, nil
		}, broker.Group("responders")))
	}
	for range n {
		_, err := d.request(e.soon())
		e.must("Request", err)
	}
	for _, sub := range subs {
		d.drain(sub)
	}
	if got := handled.Load(); got != n {
		e.Errorf("%d requests handled, want %d", got, n)
	}
}

func requestReplyTo(e *env) {
	d := e.open(Config{})
	m := d.message(e.body())
	m.ReplyTo = "elsewhere"
	_, err := role[broker.Requester](e).Request(e.soon(), m)
	wantField(e, "Request", err)
}

func requestPublished(e *env) {
	d := e.open(Config{})
	handled, told := make(chan struct{}, room), make(chan error, room)
	d.respond(func(context.Context, *broker.Delivery) (broker.Message, error) {
		handled <- struct{}{}
		return broker.Message{}, nil
	}, broker.OnError(func(_ context.Context, _ *broker.Delivery, err error) { told <- err }))
	d.put(1)
	next(e, handled, "the responder")
	if err := next(e, told, "a report to OnError"); err == nil {
		e.Errorf("OnError was called with nil")
	}
}
