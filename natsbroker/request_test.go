package natsbroker_test

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// answer is a responder that answers everything with one body.
func answer(body string) broker.ReplyHandler {
	return func(context.Context, *broker.Delivery) (broker.Message, error) {
		return broker.Message{Body: []byte(body)}, nil
	}
}

func respond(tb testing.TB, r broker.Responder, subject string, h broker.ReplyHandler, opts ...broker.SubscribeOption) *broker.Subscription {
	tb.Helper()
	sub, err := r.Respond(soon(tb), subject, h, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	return sub
}

func TestRequestAndRespond(t *testing.T) {
	s := startServer(t)
	requester, responder := newBroker(t, s, nil), newBroker(t, s, nil)
	respond(t, responder, "price.*", func(_ context.Context, d *broker.Delivery) (broker.Message, error) {
		return broker.Message{
			Subject: "ignored", Body: append([]byte(d.Subject+" "), d.Body...), Header: broker.Header{"currency": d.Header["currency"]},
		}, nil
	})
	for _, header := range []broker.Header{nil, {"currency": "EUR"}} {
		d, err := requester.Request(soon(t), broker.Message{Subject: "price.tea", Body: []byte("2"), Header: header})
		if err != nil {
			t.Fatal(err)
		}
		if string(d.Body) != "price.tea 2" || d.Header["currency"] != header["currency"] {
			t.Errorf("got %q %q", d.Body, d.Header)
		}
		var native *nats.Msg
		if !d.As(&native) || native.Subject != d.Subject || d.Source != d.Subject {
			t.Errorf("got %+v from %+v", d, native)
		}
	}
}

func TestRequestWithoutResponders(t *testing.T) {
	b := newBroker(t, startServer(t), nil)
	begin := time.Now()
	_, err := b.Request(t.Context(), broker.Message{Subject: "nobody"})
	if !errors.Is(err, broker.ErrNoResponders) || !errors.Is(err, nats.ErrNoResponders) || errors.Is(err, broker.ErrOutcomeUnknown) {
		t.Errorf("got %v, want ErrNoResponders", err)
	}
	if e, ok := errors.AsType[*broker.Error](err); !ok || e.Subject != "nobody" || e.Op != "request" || !e.Retryable {
		t.Errorf("got %#v", err)
	}
	if waited := time.Since(begin); waited > broker.DefaultRequestTimeout/2 {
		t.Errorf("it took %v, want it at once", waited)
	}
}

// silent is a responder that never answers.
func silent(t *testing.T, s *server.Server, subject string) (asked <-chan struct{}) {
	t.Helper()
	calls := make(chan struct{}, 10)
	subscribe(t, newBroker(t, s, nil), subject, func(context.Context, *broker.Delivery) error {
		calls <- struct{}{}
		return nil
	})
	return calls
}

func TestRequestEndsWithItsContext(t *testing.T) {
	s := startServer(t)
	asked := silent(t, s, "silent")
	b := newBroker(t, s, nil)
	m := broker.Message{Subject: "silent"}

	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	_, err := b.Request(ctx, m)
	wantUnknown(t, err, context.Canceled)

	ctx, cancel = context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	_, err = b.Request(ctx, m)
	wantUnknown(t, err, context.DeadlineExceeded)

	if _, err = b.Request(ctx, m); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, broker.ErrOutcomeUnknown) {
		t.Errorf("a context that has ended before: got %v, want nothing sent", err)
	}
}

func wantUnknown(t *testing.T, err, cause error) {
	t.Helper()
	if !errors.Is(err, cause) || !errors.Is(err, broker.ErrOutcomeUnknown) {
		t.Errorf("got %v, want %v with an unknown outcome", err, cause)
	}
}

func TestRequestWithoutDeadlineGetsOne(t *testing.T) {
	s := startServer(t)
	silent(t, s, "silent")
	b := newBroker(t, s, &natsbroker.Options{RequestTimeout: 5 * time.Millisecond})
	_, err := b.Request(context.WithoutCancel(t.Context()), broker.Message{Subject: "silent"})
	wantUnknown(t, err, context.DeadlineExceeded)
}

func TestRequestRefusesBadInput(t *testing.T) {
	b := newBroker(t, startServer(t), nil)
	tests := []struct {
		name  string
		m     broker.Message
		field string
	}{
		{"subject", broker.Message{Subject: "a.*"}, "Subject"},
		{"reply subject", broker.Message{Subject: "a", ReplyTo: "b"}, "ReplyTo"},
		{"header", broker.Message{Subject: "a", Header: broker.Header{"": "b"}}, "Header"},
	}
	for _, tt := range tests {
		_, err := b.Request(t.Context(), tt.m)
		if field, ok := errors.AsType[*broker.FieldError](err); !ok || field.Field != tt.field {
			t.Errorf("%s: got %v, want a FieldError for %s", tt.name, err, tt.field)
		}
	}
	if _, err := b.Request(t.Context(), broker.Message{Subject: "a", Key: "k"}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
	if got := b.Conn().Stats().OutMsgs; got != 0 {
		t.Errorf("%d messages were sent, want 0", got)
	}
	if _, err := b.Respond(t.Context(), "a", nil); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("no handler: got %v, want ErrInvalid", err)
	}
}

// nats.go keeps an entry for each request that it could not publish.
func TestRequestsThatAreRefusedLeaveNothing(t *testing.T) {
	s := startServer(t)
	b := connect(t, s, &natsbroker.Options{RefuseWhileDown: true}, nats.ReconnectWait(time.Hour))
	ask := func(ctx context.Context, m broker.Message, targets ...error) {
		t.Helper()
		_, err := b.Request(ctx, m)
		wantErr(t, err, targets...)
	}
	ask(soon(t), broker.Message{Subject: "nobody"}, broker.ErrNoResponders)
	ask(soon(t), broker.Message{Subject: "nobody", Body: make([]byte, 2<<20)}, broker.ErrTooLarge)
	ask(soon(t), broker.Message{Subject: "nobody", Header: broker.Header{"k": strings.Repeat("v", 2<<20)}}, broker.ErrTooLarge)
	ask(soon(t), broker.Message{Subject: "a..b"}, broker.ErrInvalid)
	silent(t, s, "mute")
	late, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	ask(late, broker.Message{Subject: "mute"}, context.DeadlineExceeded)
	ask(late, broker.Message{Subject: "mute"}, context.DeadlineExceeded)
	takeDown(t, s, b)
	ask(soon(t), broker.Message{Subject: "nobody"}, broker.ErrUnavailable)
	if n := reflect.ValueOf(b.Conn()).Elem().FieldByName("respMap").Len(); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

// A tap hears requests and answers none: nobody tells that there is no responder.
func TestRequestUnderATap(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil)
	_, err := b.Request(soon(t), broker.Message{Subject: "nobody"})
	wantErr(t, err, broker.ErrNoResponders)
	h, heard := inbox(10)
	subscribe(t, newBroker(t, s, nil), ">", h)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = b.Request(ctx, broker.Message{Subject: "nobody"})
	wantUnknown(t, err, context.DeadlineExceeded)
	if errors.Is(err, broker.ErrNoResponders) {
		t.Errorf("got %v, though the tap took it", err)
	}
	if d := receive(t, heard, "the request"); d.Subject != "nobody" {
		t.Errorf("the tap heard %s", d.Subject)
	}
	if n := describe(t, b, "nobody").Publish.Readers; n.V != 1 {
		t.Errorf("%s readers, want 1: the tap", n)
	}
}

func TestRequestOnALostConnection(t *testing.T) {
	s := startServer(t)
	asked := silent(t, s, "silent")
	b := newBroker(t, s, nil, nats.NoReconnect())
	result := make(chan error, 1)
	go func() {
		_, err := b.Request(soon(t), broker.Message{Subject: "silent"})
		result <- err
	}()
	receive(t, asked, "the request")
	b.Conn().Close()
	wantUnknown(t, receive(t, result, "the error"), broker.ErrClosed)
	if _, err := b.Request(soon(t), broker.Message{Subject: "silent"}); !errors.Is(err, broker.ErrClosed) || errors.Is(err, broker.ErrOutcomeUnknown) {
		t.Errorf("got %v, want ErrClosed and nothing sent", err)
	}
}

func TestRespondersShareAGroup(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil)
	var calls atomic.Int64
	for range 3 {
		respond(t, newBroker(t, s, nil), "a", func(context.Context, *broker.Delivery) (broker.Message, error) {
			calls.Add(1)
			return broker.Message{}, nil
		}, broker.Group("g"))
	}
	for range 20 {
		if _, err := b.Request(soon(t), broker.Message{Subject: "a"}); err != nil {
			t.Fatal(err)
		}
	}
	if calls.Load() != 20 {
		t.Errorf("got %d calls, want one a request", calls.Load())
	}
}

func TestErrorReplies(t *testing.T) {
	s := startServer(t, func(o *server.Options) { o.MaxPayload = 10_000 })
	b := newBroker(t, s, nil)
	tests := []struct {
		name    string
		handler broker.ReplyHandler
		want    broker.ReplyError
		told    error // nil: nothing goes to OnError
	}{
		{"an error on purpose", func(context.Context, *broker.Delivery) (broker.Message, error) {
			return broker.Message{}, &broker.ReplyError{Code: "404", Description: "no such\r\nprice", Body: []byte("tea")}
		}, broker.ReplyError{Code: "404", Description: "no such  price", Body: []byte("tea")}, nil},
		{"an error with a secret", func(context.Context, *broker.Delivery) (broker.Message, error) {
			return broker.Message{}, errSecret
		}, broker.ReplyError{Code: "500", Description: "internal error"}, errSecret},
		{"a panic", func(context.Context, *broker.Delivery) (broker.Message, error) {
			panic(errSecret)
		}, broker.ReplyError{Code: "500", Description: "internal error"}, errSecret},
		{"a reply that is too large", func(context.Context, *broker.Delivery) (broker.Message, error) {
			return broker.Message{Body: make([]byte, 10_001)}, nil
		}, broker.ReplyError{Code: "500", Description: unsendable}, broker.ErrTooLarge},
		{"a reply with a bad header", func(context.Context, *broker.Delivery) (broker.Message, error) {
			return broker.Message{Header: broker.Header{"a": "b\nc"}}, nil
		}, broker.ReplyError{Code: "500", Description: unsendable}, broker.ErrInvalid},
		{"a reply with a delay", func(context.Context, *broker.Delivery) (broker.Message, error) {
			return broker.Message{Delay: time.Second}, nil
		}, broker.ReplyError{Code: "500", Description: unsendable}, errors.ErrUnsupported},
		{"a reply that looks like no responders", func(context.Context, *broker.Delivery) (broker.Message, error) {
			return broker.Message{Header: broker.Header{"Status": "503"}}, nil
		}, broker.ReplyError{Code: "500", Description: unsendable}, broker.ErrInvalid},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log := newErrorLog()
			sub := respond(t, b, "ask", tt.handler, log.option())
			_, err := b.Request(soon(t), broker.Message{Subject: "ask"})
			got, ok := errors.AsType[*broker.ReplyError](err)
			if !ok || got.Code != tt.want.Code || got.Description != tt.want.Description || !bytes.Equal(got.Body, tt.want.Body) {
				t.Errorf("got %#v, want %#v", err, tt.want)
			}
			if _, err := sub.Drain(soon(t)); err != nil {
				t.Fatal(err)
			}
			if len(log.errs) == 0 && tt.told == nil {
				return
			}
			if len(log.errs) != 1 || !errors.Is(log.errs[0], tt.told) {
				t.Errorf("OnError was told %v, want %v", log.errs, tt.told)
			}
		})
	}
}

var errSecret = errors.New("secret")

const unsendable = "the responder's reply could not be sent"

func TestRespondToAMessageWithoutReplyAddress(t *testing.T) {
	b := newBroker(t, startServer(t), nil)
	log := newErrorLog()
	respond(t, b, "ask", answer("x"), log.option())
	publish(t, b, broker.Message{Subject: "ask"})
	if err := receive(t, log.rang, "the error"); err == nil {
		t.Error("a reply without an address is told to nobody")
	}
}

// Foreign services and clients, by their own conventions.
func TestForeignRequestersAndServices(t *testing.T) {
	s := startServer(t)
	b, foreign := newBroker(t, s, nil), dial(t, s)
	service, err := micro.AddService(foreign, micro.Config{
		Name: "prices", Version: "1.0.0", ErrorHandler: func(micro.Service, *micro.NATSError) {},
		Endpoint: &micro.EndpointConfig{Subject: "prices", Handler: micro.HandlerFunc(func(r micro.Request) {
			_ = r.Error("404", "no such price", []byte("tea"))
		})},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = service.Stop() })
	if err := foreign.Flush(); err != nil {
		t.Fatal(err)
	}
	_, err = b.Request(soon(t), broker.Message{Subject: "prices"})
	if got, ok := errors.AsType[*broker.ReplyError](err); !ok || got.Code != "404" || got.Description != "no such price" || string(got.Body) != "tea" {
		t.Errorf("got %#v, want the service's error", err)
	}

	respond(t, b, "ours", func(context.Context, *broker.Delivery) (broker.Message, error) {
		return broker.Message{}, &broker.ReplyError{Code: "409", Description: "taken"}
	})
	msg, err := foreign.Request("ours", nil, patience)
	if err != nil || msg.Header.Get(micro.ErrorCodeHeader) != "409" || msg.Header.Get(micro.ErrorHeader) != "taken" {
		t.Errorf("got %v and %v, want the error in a service's headers", msg, err)
	}
}

// Responders answer what they have while the broker drains.
func TestRespondWhileDraining(t *testing.T) {
	s := startServer(t)
	b := newBroker(t, s, nil)
	entered := make(chan struct{})
	respond(t, b, "ask", func(ctx context.Context, _ *broker.Delivery) (broker.Message, error) {
		close(entered)
		<-broker.Draining(ctx)
		return broker.Message{Body: []byte("late")}, nil
	})
	result := make(chan error, 1)
	requester := newBroker(t, s, nil)
	go func() {
		d, err := requester.Request(soon(t), broker.Message{Subject: "ask"})
		if err == nil && string(d.Body) != "late" {
			err = errors.New(string(d.Body))
		}
		result <- err
	}()
	receive(t, entered, "the request")
	if err := b.Close(soon(t)); err != nil {
		t.Error(err)
	}
	if err := receive(t, result, "the reply"); err != nil {
		t.Error(err)
	}
}
