package natsbroker

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go"
)

// An address is used again only after its answer has come: a late answer must not
// be taken for another request's.
func TestConfirmationsUseAddressesAgainOnceAnswered(t *testing.T) {
	var a answers
	a.init(nil)
	a.sub, a.prefix = &nats.Subscription{}, "inbox." // as if subscribed
	ask := func(c *confirmations, n int) (to []string) {
		t.Helper()
		for i := range n {
			replyTo, err := a.ask(c, i)
			if err != nil {
				t.Fatal(err)
			}
			to = append(to, replyTo)
		}
		return to
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()

	first := newConfirmations(2)
	to := ask(&first, 2)
	a.route(&nats.Msg{Subject: to[0]})
	if err := a.collect(over, &first, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v with an answer missing", err)
	}
	if first.want[0].answer == nil || first.want[1].answer != nil {
		t.Errorf("got the answers %+v, want the first only", first.want)
	}

	second := newConfirmations(2)
	again := ask(&second, 2)
	if again[0] != to[0] || again[1] == to[1] {
		t.Errorf("after %q came %q: want the answered address again, and not the other", to, again)
	}
	a.route(&nats.Msg{Subject: to[1]}) // late
	for _, replyTo := range again {
		a.route(&nats.Msg{Subject: replyTo})
		a.route(&nats.Msg{Subject: replyTo}) // once too often
	}
	if err := a.collect(t.Context(), &second, nil); err != nil {
		t.Error(err)
	}
	if len(a.waiting) > 0 {
		t.Errorf("still waiting: %v", a.waiting)
	}

	third := newConfirmations(1)
	replyTo := ask(&third, 1)[0]
	a.unask(&third, 0) // it was not sent
	if err := a.collect(t.Context(), &third, nil); err != nil || len(a.waiting) > 0 {
		t.Errorf("got %v, waiting: %v", err, a.waiting)
	}
	fourth := newConfirmations(3)
	for _, next := range ask(&fourth, 3) {
		if next == replyTo {
			t.Errorf("%s is used again without an answer", next)
		}
	}
	if err := a.collect(over, &fourth, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
