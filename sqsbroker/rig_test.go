package sqsbroker

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// rig is a broker on a real AWS client on an endpoint in memory, all of it in
// one bubble of virtual time.
type rig struct {
	*Broker
	client *sqs.Client
	server *sqstest.Server

	mu    sync.Mutex
	calls map[string]int
	fault func(action string, w http.ResponseWriter, r *http.Request, next http.Handler) bool // true: dealt with
}

// inBubble runs f with a rig that has the named queues.
func inBubble(t *testing.T, o *Options, f func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{calls: map[string]int{}}
		r.server = sqstest.NewMemoryServer(&sqstest.Options{Wrap: r.wrap})
		defer r.server.Close()
		r.client = r.server.Client()
		b, err := New(r.client, o)
		if err != nil {
			t.Fatal(err)
		}
		r.Broker = b
		defer func() {
			if err := b.Close(context.Background()); err != nil {
				t.Errorf("Close: %v", err)
			}
		}()
		f(t, r)
	})
}

func (r *rig) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, action, _ := strings.Cut(req.Header.Get("X-Amz-Target"), ".")
		r.mu.Lock()
		r.calls[action]++
		fault := r.fault
		r.mu.Unlock()
		if fault == nil || !fault(action, w, req, next) {
			next.ServeHTTP(w, req)
		}
	})
}

func (r *rig) setFault(f func(action string, w http.ResponseWriter, req *http.Request, next http.Handler) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = f
}

// fail lets every call of an action fail with an error code.
func (r *rig) fail(action string, status int, code string) {
	r.setFault(func(a string, w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
		if a == action {
			writeError(w, status, code)
		}
		return a == action
	})
}

func writeError(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(`{"__type":"com.amazonaws.sqs#` + code + `","message":"as the test wants"}`))
}

// hang does not answer for as long as the client waits. A server learns of the
// client's end only once it has read the request.
func hang(req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	<-req.Context().Done()
}

// called returns the calls since it was last asked.
func (r *rig) called() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := maps.Clone(r.calls)
	clear(r.calls)
	return c
}

// sends returns how many calls sent messages since called was last asked.
func (r *rig) sends() int {
	c := r.called()
	return c["SendMessage"] + c["SendMessageBatch"]
}

// create makes a queue with attributes, given in pairs.
func (r *rig) create(t testing.TB, name string, pairs ...string) {
	t.Helper()
	attrs := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		attrs[pairs[i]] = pairs[i+1]
	}
	if strings.HasSuffix(name, ".fifo") {
		attrs["FifoQueue"] = "true"
	}
	_, err := r.client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attrs})
	if err != nil {
		t.Fatal(err)
	}
}

func (r *rig) set(t testing.TB, name string, pairs ...string) {
	t.Helper()
	attrs := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		attrs[pairs[i]] = pairs[i+1]
	}
	_, err := r.client.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{
		QueueUrl: aws.String(r.server.QueueURL(name)), Attributes: attrs,
	})
	if err != nil {
		t.Fatal(err)
	}
}

func redriveTo(name, receives string) string {
	return `{"deadLetterTargetArn":"` + arnOf(name) + `","maxReceiveCount":` + receives + `}`
}

func arnOf(name string) string { return "arn:aws:sqs:us-east-1:123456789012:" + name }

// publish sends bodies to a queue; on a FIFO queue with the given key.
func (r *rig) publish(t testing.TB, queue, key string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		m := broker.Message{Subject: queue, Body: []byte(body), Key: key}
		if key != "" {
			m.DedupID = body
		}
		if _, err := r.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
}

// take receives exactly n messages, in one call.
func (r *rig) take(t testing.TB, queue string, n int, opts ...broker.ReceiveOption) []*broker.Delivery {
	t.Helper()
	ds, err := r.Receive(t.Context(), queue, n, opts...)
	if err != nil || len(ds) != n {
		t.Fatalf("Receive(%s, %d): got %d messages, %v", queue, n, len(ds), err)
	}
	return ds
}

// none sees that no message is there to be had at once.
func (r *rig) none(t testing.TB, queue string) {
	t.Helper()
	ds, err := r.Receive(t.Context(), queue, 10, broker.Wait(0))
	if err != nil || len(ds) != 0 {
		t.Fatalf("Receive(%s): got %d messages, %v; want none", queue, len(ds), err)
	}
}

func bodies(ds []*broker.Delivery) []string {
	all := make([]string, len(ds))
	for i, d := range ds {
		all[i] = string(d.Body)
	}
	return all
}

// wantError checks each category.
func wantError(t testing.TB, what string, err error, targets ...error) {
	t.Helper()
	if err == nil {
		t.Errorf("%s: no error, want one matching %v", what, targets)
	}
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("%s: got %v, want an error matching %v", what, err, target)
		}
	}
}

// sleep advances the bubble's time.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
