package reply_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/reply"
)

func TestHandler(t *testing.T) {
	own := &broker.ReplyError{Code: "404", Description: "no such\r\nitem ", Body: []byte("detail")}
	for name, c := range map[string]struct {
		handler  broker.ReplyHandler
		replyTo  string
		sent     string // the reply's body; "-" for none
		code     string
		told     error // what the handler's error matches
		describe string
	}{
		"a reply": {
			func(context.Context, *broker.Delivery) (broker.Message, error) {
				return broker.Message{Body: []byte("42")}, nil
			}, "inbox", "42", "", nil, "",
		},
		"an error on purpose": {
			func(context.Context, *broker.Delivery) (broker.Message, error) { return broker.Message{}, own },
			"inbox", "detail", "404", nil, "no such  item",
		},
		"an error that must stay inside": {
			func(context.Context, *broker.Delivery) (broker.Message, error) { return broker.Message{}, io.EOF },
			"inbox", "", "500", io.EOF, "internal error",
		},
		"no reply address": {
			func(context.Context, *broker.Delivery) (broker.Message, error) { return broker.Message{}, nil },
			"", "-", "", errAny, "",
		},
		"no reply address, and an error": {
			func(context.Context, *broker.Delivery) (broker.Message, error) { return broker.Message{}, io.EOF },
			"", "-", "", io.EOF, "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var sent []broker.Message
			h := reply.Handler(c.handler, func(_ context.Context, _ *broker.Delivery, m broker.Message) error {
				sent = append(sent, m)
				return m.Header.Check()
			})
			err := h(t.Context(), &broker.Delivery{Message: broker.Message{ReplyTo: c.replyTo}})
			switch {
			case c.told == nil && err != nil, c.told != nil && err == nil,
				c.told != nil && !errors.Is(c.told, errAny) && !errors.Is(err, c.told):
				t.Errorf("error %v, want %v", err, c.told)
			}
			if c.sent == "-" {
				if len(sent) != 0 {
					t.Errorf("sent %v to nowhere", sent)
				}
				return
			}
			if len(sent) != 1 || string(sent[0].Body) != c.sent {
				t.Fatalf("sent %v, want %q", sent, c.sent)
			}
			checkError(t, sent[0], c.code, c.describe)
		})
	}
}

var errAny = errors.New("any")

// checkError reads a reply as a requester does.
func checkError(t *testing.T, m broker.Message, code, description string) {
	t.Helper()
	err := reply.Error(m.Header, m.Body)
	if code == "" {
		if err != nil {
			t.Errorf("a good reply is read as %v", err)
		}
		return
	}
	var e *broker.ReplyError
	if !errors.As(err, &e) || e.Code != code || e.Description != description || !bytes.Equal(e.Body, m.Body) {
		t.Errorf("read as %+v, want code %s, %q", err, code, description)
	}
}

func TestPanicIsAnsweredAndGoesOn(t *testing.T) {
	var sent []broker.Message
	h := reply.Handler(func(context.Context, *broker.Delivery) (broker.Message, error) { panic(io.EOF) },
		func(_ context.Context, _ *broker.Delivery, m broker.Message) error {
			sent = append(sent, m)
			return nil
		})
	defer func() {
		if p := recover(); p != io.EOF { //nolint:errorlint // the very value that was passed to panic
			t.Errorf("recovered %v, want the handler's panic", p)
		}
		if len(sent) != 1 {
			t.Fatalf("sent %v, want one error reply: the requester must not wait in vain", sent)
		}
		checkError(t, sent[0], "500", "internal error")
	}()
	_ = h(t.Context(), &broker.Delivery{Message: broker.Message{ReplyTo: "inbox"}})
}

func TestErrorWithHalfTheHeaders(t *testing.T) {
	var e *broker.ReplyError
	if err := reply.Error(broker.Header{reply.ErrorHeader: "text"}, nil); !errors.As(err, &e) || e.Code != "500" {
		t.Errorf("a description without a code: %v", err)
	}
	if err := reply.Error(nil, nil); err != nil {
		t.Errorf("no headers: %v", err)
	}
}
