package sqsbroker

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/candidmq/candidmq/broker"
)

// Bad input is refused before any call, with the field that is wrong.
func TestBadInputMakesNoCall(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		publish := func(m broker.Message) error {
			_, err := r.Publish(t.Context(), m)
			return err
		}
		fifo := func(key, id string) error {
			return publish(broker.Message{Subject: "orders.fifo", Body: []byte("a"), Key: key, DedupID: id})
		}
		for _, c := range []struct {
			name, field string
			err         error
		}{
			{"another region", "Subject", publish(broker.Message{Subject: "arn:aws:sqs:eu-west-1:123456789012:jobs", Body: []byte("a")})},
			{"a body over 1 MiB", "Message", publish(broker.Message{Subject: "jobs", Body: make([]byte, 1<<20+1)})},
			{"an empty body", "Body", publish(broker.Message{Subject: "jobs"})},
			{"a group with a space", "Key", fifo("a b", "1")},
			{"a group of 129 bytes", "Key", fifo(strings.Repeat("k", 129), "1")},
			{"no group", "Key", fifo("", "1")},
			{"an id with a space", "DedupID", fifo("k", "1 2")},
		} {
			field, ok := errors.AsType[*broker.FieldError](c.err)
			if !ok || !errors.Is(c.err, broker.ErrInvalid) || field.Field != c.field || field.Limit == "" {
				t.Errorf("%s: got %v, want a FieldError of %s with its limit", c.name, c.err, c.field)
			}
		}
		if c := r.called(); len(c) > 0 {
			t.Errorf("calls were made: %v", c)
		}
	})
}

// What only the service knows has a category and AWS's own error, from every
// call that can meet it, and is not tried again.
func TestRefusalsOfTheService(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		calls := map[string]func() error{
			"Publish": func() error {
				_, err := r.Publish(t.Context(), broker.Message{Subject: "jobs", Body: []byte("a")})
				return err
			},
			"PublishBatch": func() error {
				_, err := r.PublishBatch(t.Context(), []broker.Message{{Subject: "jobs", Body: []byte("a")}})
				return broker.ItemError(err, 0)
			},
			"Receive": func() error {
				_, err := r.Receive(t.Context(), "jobs", 1)
				return err
			},
			"Subscribe": func() error {
				_, err := r.Subscribe(context.Background(), "jobs", nothing, workers)
				return err
			},
			"Describe": func() error {
				_, err := r.Describe(t.Context(), "jobs")
				return err
			},
		}
		refuse := func(code string, status int) {
			r.setFault(func(_ string, w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
				writeError(w, status, code)
				return true
			})
		}
		for name, call := range calls {
			err := call()
			wantError(t, name+" without a queue", err, broker.ErrNotFound)
			if _, ok := errors.AsType[*types.QueueDoesNotExist](err); !ok {
				t.Errorf("%s: AWS's error is not reachable in %v", name, err)
			}
		}
		for name, call := range calls {
			for _, code := range []string{"ExpiredToken", "InvalidClientTokenId", "SignatureDoesNotMatch"} {
				refuse(code, http.StatusForbidden)
				r.called()
				err := call()
				wantError(t, name+" with "+code, err, broker.ErrDenied)
				api, ok := errors.AsType[smithy.APIError](err)
				if !ok || api.ErrorCode() != code {
					t.Errorf("%s: AWS's error is not reachable in %v", name, err)
				}
				if e, ok := errors.AsType[*broker.Error](err); !ok || e.Retryable || e.OutcomeUnknown {
					t.Errorf("%s with %s: got %#v", name, code, e)
				}
				n := 0
				for _, made := range r.called() {
					n += made
				}
				if n != 1 {
					t.Errorf("%s with %s: %d calls, want 1", name, code, n)
				}
			}
		}
		r.setFault(nil)
	})
}
