package sqsaudit

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

type doer func(*http.Request) (*http.Response, error)

func (d doer) Do(req *http.Request) (*http.Response, error) { return d(req) }

// An answer that never comes, or ends in the middle, is none; the client sees
// what it would see without the audit.
func TestWatch(t *testing.T) {
	cut := errors.New("connection reset")
	for _, c := range []struct {
		name       string
		status     int
		body       io.Reader
		err        error
		stored     int
		unanswered int
	}{
		{"answered", http.StatusOK, strings.NewReader(`{}`), nil, 1, 0},
		{"refused", http.StatusBadRequest, strings.NewReader(`{}`), nil, 0, 0},
		{"no answer", 0, nil, cut, 0, 1},
		{"half an answer", http.StatusOK, io.MultiReader(strings.NewReader(`{`), failing{cut}), cut, 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := New(Options{})
			client := a.Watch(doer(func(req *http.Request) (*http.Response, error) {
				if sent, err := io.ReadAll(req.Body); err != nil || string(sent) != `{"MessageBody":"a"}` {
					t.Errorf("the endpoint got %q, %v", sent, err)
				}
				if c.body == nil {
					return nil, c.err
				}
				return &http.Response{StatusCode: c.status, Body: io.NopCloser(c.body)}, nil
			}))
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://sqs", strings.NewReader(`{"MessageBody":"a"}`))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X-Amz-Target", "AmazonSQS.SendMessage")
			resp, err := client.Do(req)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
			}
			if !errors.Is(err, c.err) {
				t.Errorf("the client got %v, want %v", err, c.err)
			}
			if s := a.sends["a"]; s.stored != c.stored || s.unanswered != c.unanswered {
				t.Errorf("got %+v", s)
			}
		})
	}
}
