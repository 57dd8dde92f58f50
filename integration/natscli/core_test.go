package natscli

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
)

func TestToolPublishesToUs(t *testing.T) {
	c := start(t)
	got := make(chan *broker.Delivery, 1)
	sub, err := c.core(t).Subscribe(soon(t), "published.*", func(_ context.Context, d *broker.Delivery) error {
		got <- d
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c.run(t, "pub", "published.one", "a body", "-H", "trace-id:abc", "-H", "Trace-Id:second key",
		"-H", "part:1", "-H", "part:2", "--reply", "answers.here")
	select {
	case d := <-got:
		if d.Subject != "published.one" || string(d.Body) != "a body" || d.ReplyTo != "answers.here" {
			t.Errorf("delivered %q %q, reply to %q", d.Subject, d.Body, d.ReplyTo)
		}
		if d.Header.Get("trace-id") != "abc" || d.Header.Get("Trace-Id") != "second key" {
			t.Errorf("headers %v", d.Header)
		}
		var native *nats.Msg // has what one value a key cannot say
		if !d.As(&native) || !slices.Equal(native.Header["part"], []string{"1", "2"}) || d.Header["part"] != "1" {
			t.Errorf("several values of a header: %v, of which %q", native, d.Header["part"])
		}
	case <-time.After(patience):
		t.Error("nothing came")
	}
	if _, err := sub.Drain(soon(t)); err != nil {
		t.Error(err)
	}
}

func TestToolSubscribesToUs(t *testing.T) {
	c := start(t)
	output, done := c.background(t, "sub", "subscribed.>", "--count", "1")
	b := c.core(t)
	m := broker.Message{Subject: "subscribed.one", Body: []byte("a body"), Header: broker.Header{"trace-id": "abc"}, ReplyTo: "answers.here"}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for running := true; running; { // nobody is told when it listens
		if _, err := b.Publish(soon(t), m); err != nil {
			t.Fatal(err)
		}
		select {
		case <-tick.C:
		case <-done:
			running = false
		case <-late:
			t.Fatal("the tool receives nothing")
		}
	}
	has(t, output(), `"subscribed.one"`, "trace-id: abc", "answers.here", "\na body\n")
}

func TestToolRequestsFromUs(t *testing.T) {
	c := start(t)
	_, err := c.core(t).Respond(soon(t), "asked", func(_ context.Context, d *broker.Delivery) (broker.Message, error) {
		if string(d.Body) == "bad" {
			return broker.Message{}, &broker.ReplyError{Code: "404", Description: "no such thing", Body: []byte("details")}
		}
		return broker.Message{Body: append([]byte("heard "), d.Body...), Header: broker.Header{"lang": d.Header.Get("lang")}}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	has(t, c.run(t, "request", "asked", "a question", "-H", "lang:en"), "heard a question", "lang: en")
	// The headers of the conventions of NATS services, ADR-32.
	has(t, c.run(t, "request", "asked", "bad"), "Nats-Service-Error-Code: 404", "Nats-Service-Error: no such thing", "details")
}

func TestToolRepliesToUs(t *testing.T) {
	c := start(t)
	c.background(t, "reply", "answered", "the answer to {{ Request }}", "-H", "lang:en")
	b := c.core(t)
	d := until(t, func() (*broker.Delivery, error) {
		return b.Request(soon(t), broker.Message{Subject: "answered", Body: []byte("a question")})
	})
	if string(d.Body) != "the answer to a question" || d.Header.Get("lang") != "en" {
		t.Errorf("got %q with %v", d.Body, d.Header)
	}
}

// The tool's own service answers us.
func TestToolServesUs(t *testing.T) {
	c := start(t)
	c.background(t, "service", "serve", "tool-service")
	b := c.core(t)
	d := until(t, func() (*broker.Delivery, error) {
		return b.Request(soon(t), broker.Message{Subject: "tool-service.echo", Body: []byte("a question")})
	})
	if string(d.Body) != "a question" {
		t.Errorf("got %q", d.Body)
	}
}
