package memory_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

func echo(_ context.Context, d *broker.Delivery) (broker.Message, error) {
	return broker.Message{Body: append([]byte("re: "), d.Body...), Header: broker.Header{"k": "v"}}, nil
}

func respond(t *testing.T, b broker.Responder, subject string, h broker.ReplyHandler, opts ...broker.SubscribeOption) {
	t.Helper()
	_, err := b.Respond(t.Context(), subject, h, opts...)
	must(t, err)
}

func TestRequest(t *testing.T) {
	b := newCore(t, nil)
	respond(t, b, "prices.*", echo, broker.Group("g"))
	respond(t, b, "prices.*", echo, broker.Group("g"))
	for range 2 {
		d, err := b.Request(t.Context(), text("prices.tea", "how much"))
		must(t, err)
		if string(d.Body) != "re: how much" || d.Header["k"] != "v" || !strings.HasPrefix(d.Subject, "_INBOX.") {
			t.Errorf("got %+v", d)
		}
	}
	s, err := b.Describe(t.Context(), "_INBOX.1")
	must(t, err)
	if s.Publish.Readers.V != 0 {
		t.Error("the first request's inbox is still there")
	}
}

func TestRequestFails(t *testing.T) {
	bubble(t, "at once when nobody responds", func(t *testing.T) {
		b := newCore(t, nil)
		start := time.Now()
		_, err := b.Request(t.Context(), text("s", "a"))
		wantErr(t, err, broker.ErrNoResponders)
		if errors.Is(err, broker.ErrOutcomeUnknown) || time.Since(start) != 0 {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
	bubble(t, "after 5 s when nobody answers", func(t *testing.T) {
		b := newCore(t, nil)
		subscribe(t, b, ">") // a wire-tap hides that there are no responders
		start := time.Now()
		_, err := b.Request(t.Context(), text("s", "a"))
		wantErr(t, err, context.DeadlineExceeded, broker.ErrOutcomeUnknown)
		if got := time.Since(start); got != 5*time.Second {
			t.Errorf("failed after %v, want 5s", got)
		}
	})
	bubble(t, "after the time-out of the options", func(t *testing.T) {
		b := newCore(t, &memory.CoreNATSOptions{RequestTimeout: time.Minute})
		subscribe(t, b, "s")
		start := time.Now()
		_, err := b.Request(t.Context(), text("s", "a"))
		wantErr(t, err, context.DeadlineExceeded)
		if got := time.Since(start); got != time.Minute {
			t.Errorf("failed after %v, want 1m", got)
		}
	})
	bubble(t, "when the caller gives up", func(t *testing.T) {
		b := newCore(t, nil)
		subscribe(t, b, "s")
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := b.Request(ctx, text("s", "a"))
		wantErr(t, err, context.Canceled, broker.ErrOutcomeUnknown)
	})
	bubble(t, "when the broker is closed", func(t *testing.T) {
		b := newCore(t, nil)
		subscribe(t, b, "s")
		closed := make(chan error, 1)
		time.AfterFunc(time.Second, func() { closed <- b.Close(t.Context()) })
		_, err := b.Request(t.Context(), text("s", "a"))
		wantErr(t, err, broker.ErrClosed, broker.ErrOutcomeUnknown)
		must(t, <-closed)
	})
}

func TestErrorReplies(t *testing.T) {
	b := newCore(t, &memory.CoreNATSOptions{MaxPayload: 1000})
	told := make(chan error, 1)
	onError := broker.OnError(func(_ context.Context, _ *broker.Delivery, err error) { told <- err })
	boom := errors.New("boom")
	for name, test := range map[string]struct {
		h    broker.ReplyHandler
		code string
		told error // of OnError; nil: nothing
	}{
		"reply error": {
			func(context.Context, *broker.Delivery) (broker.Message, error) {
				return broker.Message{}, &broker.ReplyError{Code: "404", Description: "no such tea"}
			}, "404", nil,
		},
		"error": {
			func(context.Context, *broker.Delivery) (broker.Message, error) { return broker.Message{}, boom }, "500", boom,
		},
		"panic": {
			func(context.Context, *broker.Delivery) (broker.Message, error) { panic(boom) }, "500", boom,
		},
		"too large": {
			func(context.Context, *broker.Delivery) (broker.Message, error) {
				return broker.Message{Body: make([]byte, 1001)}, nil
			}, "500", broker.ErrTooLarge,
		},
		"unsupported": {
			func(context.Context, *broker.Delivery) (broker.Message, error) { return broker.Message{Key: "k"}, nil }, "500", errors.ErrUnsupported,
		},
		"no responders": {
			func(context.Context, *broker.Delivery) (broker.Message, error) {
				return broker.Message{Header: broker.Header{"Status": "503"}}, nil
			}, "500", broker.ErrInvalid,
		},
	} {
		t.Run(name, func(t *testing.T) {
			sub, err := b.Respond(t.Context(), "s", test.h, onError)
			must(t, err)
			_, err = b.Request(t.Context(), text("s", "a"))
			if e, ok := errors.AsType[*broker.ReplyError](err); !ok || e.Code != test.code {
				t.Errorf("got %v, want a reply error with code %s", err, test.code)
			}
			_, err = sub.Drain(t.Context())
			must(t, err)
			if test.told != nil {
				wantErr(t, <-told, test.told)
			} else if len(told) > 0 {
				t.Errorf("OnError was told %v", <-told)
			}
		})
	}
}
