package sqsbroker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/candidmq/candidmq/broker"
)

// Each fault hits the attempts of one send, and the last one stays.
func TestOutcomeOfASend(t *testing.T) {
	refuse := func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { writeError(w, 400, "RequestThrottled") }
	storeAndCut := func(_ http.ResponseWriter, req *http.Request, next http.Handler) {
		next.ServeHTTP(discard{}, req)
		panic(http.ErrAbortHandler)
	}
	break500 := func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { writeError(w, 500, "InternalError") }
	wrongSum := func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		_, _ = w.Write([]byte(`{"MessageId":"1","MD5OfMessageBody":"0"}`))
	}
	type fault = func(http.ResponseWriter, *http.Request, http.Handler)
	for _, c := range []struct {
		name    string
		faults  []fault
		unknown bool
		kind    error
	}{
		{"throttled", []fault{refuse}, false, broker.ErrThrottled},
		{"cut off", []fault{storeAndCut}, true, broker.ErrUnavailable},
		{"cut off, then throttled", []fault{storeAndCut, refuse}, true, broker.ErrThrottled},
		{"internal error", []fault{break500}, true, broker.ErrUnavailable},
		{"wrong checksum", []fault{wrongSum}, true, broker.ErrUnavailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, "jobs")
				r.none(t, "jobs")
				attempt := 0
				r.setFault(func(_ string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
					attempt++
					c.faults[min(attempt, len(c.faults))-1](w, req, next)
					return true
				})
				_, err := r.Publish(t.Context(), broker.Message{Subject: "jobs", Body: []byte("a")})
				wantError(t, "Publish", err, c.kind)
				if got := errors.Is(err, broker.ErrOutcomeUnknown); got != c.unknown {
					t.Errorf("outcome unknown: got %v, want %v: %v", got, c.unknown, err)
				}
				if e, ok := errors.AsType[*broker.Error](err); !ok || !e.Retryable {
					t.Errorf("got %v, want a retryable *broker.Error", err)
				}
			})
		})
	}
}

// discard is an answer that gets lost.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}

// An entry that SQS fails may have been stored all the same, by an earlier try
// of the call or by an earlier call: whatever fails it in the end, the outcome
// is unknown.
func TestOutcomeOfAnEntry(t *testing.T) {
	for _, c := range []struct {
		name   string
		sender bool
		calls  int           // after the one whose answer is lost
		within time.Duration // of the caller's patience; 0: no end
		alone  bool
	}{
		{"the sender's fault", true, 1, 0, false},
		{"SQS's fault, for good", false, entryTries, 0, false},
		{"no time for another call", false, 1, entryPause.Min / 4, false},
		{"of a caller that shares a call", true, 1, 0, true},
		{"of such a caller, without time for another call", false, 1, entryPause.Min / 4, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, "jobs")
				r.none(t, "jobs")
				calls := 0
				r.setFault(func(action string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
					if action != "SendMessageBatch" {
						time.Sleep(time.Millisecond) // so that the others wait and share a call
						return false
					}
					if calls++; calls == 1 {
						next.ServeHTTP(discard{}, req)
						panic(http.ErrAbortHandler)
					}
					_, _ = io.Copy(io.Discard, req.Body)
					w.Header().Set("Content-Type", "application/x-amz-json-1.0")
					entry := `{"Id":"%d","Code":"InternalError","SenderFault":` + strconv.FormatBool(c.sender) + `}`
					_, _ = fmt.Fprintf(w, `{"Failed":[`+entry+`,`+entry+`]}`, 0, 1)
					return true
				})
				errs := r.sendTwo(t, c.alone, c.within)
				r.setFault(nil)
				stored, err := r.Receive(t.Context(), "jobs", 10)
				if err != nil || len(stored) < 2 {
					t.Fatalf("%d messages are stored, %v", len(stored), err)
				}
				for i, err := range errs {
					wantError(t, fmt.Sprint("message ", i), err, broker.ErrOutcomeUnknown, broker.ErrUnavailable)
				}
				if calls != 1+c.calls {
					t.Errorf("%d calls, want %d", calls, 1+c.calls)
				}
			})
		})
	}
}

// sendTwo sends two messages in a call, and returns their errors: a batch, or
// behind one that is alone.
func (r *rig) sendTwo(t *testing.T, alone bool, within time.Duration) []error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if within > 0 {
		// The AWS client pauses before the second try for as long as it likes.
		fault := r.fault
		r.setFault(func(action string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
			done := fault(action, w, req, next)
			if done {
				time.AfterFunc(within, cancel)
			}
			return done
		})
	}
	if !alone {
		_, err := r.PublishBatch(ctx, letters(2))
		return []error{broker.ItemError(err, 0), broker.ItemError(err, 1)}
	}
	errs := make([]error, 3)
	var all sync.WaitGroup
	for i, m := range letters(3) {
		all.Go(func() { _, errs[i] = r.Publish(ctx, m) })
		synctest.Wait()
	}
	all.Wait()
	if errs[0] != nil {
		t.Error(errs[0])
	}
	return errs[1:]
}

// sendAPI fails each send with an error, and knows every queue.
type sendAPI struct {
	API
	err error
}

func (a sendAPI) SendMessage(context.Context, *sqs.SendMessageInput, ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	return nil, a.err
}

func TestOutcomeWithoutAnAnswer(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		for _, c := range []struct {
			name    string
			err     error
			unknown bool
		}{
			{"not connected", connectionError{&net.OpError{Op: "dial", Err: errors.New("refused")}}, false},
			{"no such host", connectionError{&net.DNSError{Err: "no such host"}}, false},
			{"reset", connectionError{&net.OpError{Op: "read", Err: errors.New("reset")}}, true},
			{"a client that gives up by itself", context.DeadlineExceeded, true},
			{"refused by the client itself", errors.New("no region"), false},
		} {
			b, err := New(sendAPI{r.client, c.err}, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = b.Publish(t.Context(), broker.Message{Subject: "jobs", Body: []byte("a")})
			wantError(t, c.name, err, c.err)
			if got := errors.Is(err, broker.ErrOutcomeUnknown); got != c.unknown {
				t.Errorf("%s: outcome unknown: got %v, want %v", c.name, got, c.unknown)
			}
		}
	})
}

type connectionError struct{ error }

func (connectionError) ConnectionError() bool { return true }
func (e connectionError) Unwrap() error       { return e.error }

// The watch must not change how often the client tries.
func TestWatchKeepsTheRetries(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		r.fail("SendMessage", 500, "InternalError")
		r.called()
		_, err := r.Publish(t.Context(), broker.Message{Subject: "jobs", Body: []byte("a")})
		wantError(t, "Publish", err, broker.ErrUnavailable)
		watched := r.called()["SendMessage"]
		_, err = r.client.SendMessage(t.Context(), &sqs.SendMessageInput{
			QueueUrl: aws.String(r.server.QueueURL("jobs")), MessageBody: aws.String("a"),
		})
		if raw := r.called()["SendMessage"]; err == nil || watched != raw || raw < 2 {
			t.Errorf("%d attempts, the raw client %d; want the same, and more than one", watched, raw)
		}
	})
}
