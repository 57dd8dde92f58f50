package sqsbroker

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

func manyHeaders(n int) broker.Header {
	h := broker.Header{}
	for i := range n {
		h.Set(fmt.Sprintf("h%02d", i), strings.Repeat("v", i+1))
	}
	return h
}

// contents are messages of which SQS carries none, or not each part, as it is.
var contents = map[string]broker.Message{
	"text":          {Body: []byte("100% text\n\U0010ffff")},
	"binary":        {Body: []byte{0, 1, 2, 0xff, 0xfe}},
	"no UTF-8":      {Body: []byte("a\xed\xa0\x80"), Header: manyHeaders(10)},
	"forbidden":     {Body: []byte("a\x0bb"), Header: broker.Header{"k": "v"}},
	"40 headers":    {Body: []byte("x"), Header: manyHeaders(40)},
	"odd headers":   {Body: []byte("x"), Header: broker.Header{"a/b": "1", "empty": "", "aws.x": "\x01", "n": "\uffff", "plain": "text"}},
	"trace":         {Body: []byte("x"), Header: broker.Header{"AWSTraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793", "a": "1"}},
	"of both kinds": {Body: []byte{0}, Header: manyHeaders(12)},
}

// What is published comes back as it was, alone and in a batch, and in the
// in-memory broker as well.
func TestContentsComeBack(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		m := memory.NewSQS(nil)
		defer func() { _ = m.Close(t.Context()) }()
		if err := m.CreateQueue("jobs", memory.QueueOptions{}); err != nil {
			t.Fatal(err)
		}
		for name, want := range contents {
			want.Subject = "jobs"
			for _, b := range []interface {
				broker.Publisher
				broker.Receiver
			}{r.Broker, m} {
				if _, err := b.Publish(t.Context(), want); err != nil {
					t.Fatalf("%s: %T: %v", name, b, err)
				}
				if _, err := b.PublishBatch(t.Context(), []broker.Message{want, want}); err != nil {
					t.Fatalf("%s: %T: %v", name, b, err)
				}
				ds, err := b.Receive(t.Context(), "jobs", 3)
				if err != nil || len(ds) != 3 {
					t.Fatalf("%s: %T: got %d messages, %v", name, b, len(ds), err)
				}
				for _, d := range ds {
					if !bytes.Equal(d.Body, want.Body) || !maps.Equal(d.Header, want.Header) {
						t.Errorf("%s: %T: got %q, %q", name, b, d.Body, d.Header)
					}
				}
				if err := b.Delete(t.Context(), ds...); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

// Other consumers see text as text, and are told where it is not.
func TestOthersReadOurMessages(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		for _, c := range []struct {
			name, body string
			attributes map[string]string
		}{
			{"text", "100% text\n\U0010ffff", map[string]string{}},
			{"forbidden", "YQti", map[string]string{"candidmq-body-encoding": "base64", "k": "v"}},
			{"trace", "x", map[string]string{"a": "1"}},
			{"odd headers", "x", map[string]string{
				"plain":            "text",
				"candidmq-headers": `{"a/b":"1","aws.x":"\u0001","empty":"","n":"\uffff"}`,
			}},
		} {
			m := contents[c.name]
			m.Subject = "jobs"
			if _, err := r.Publish(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			var native types.Message
			r.take(t, "jobs", 1)[0].As(&native)
			got := map[string]string{}
			for name, a := range native.MessageAttributes {
				got[name] = aws.ToString(a.StringValue)
			}
			if *native.Body != c.body || !maps.Equal(got, c.attributes) {
				t.Errorf("%s: got %q, %q", c.name, *native.Body, got)
			}
			if c.name == "trace" && native.Attributes["AWSTraceHeader"] != m.Header["AWSTraceHeader"] {
				t.Errorf("got %v", native.Attributes)
			}
		}
	})
}

// A rejected message is still what it was, on both brokers alike.
func TestRejectedContents(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "dead")
		r.create(t, "jobs", "RedrivePolicy", redriveTo("dead", "3"))
		m := memory.NewSQS(nil)
		defer func() { _ = m.Close(t.Context()) }()
		if err := m.CreateQueue("dead", memory.QueueOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := m.CreateQueue("jobs", memory.QueueOptions{DeadLetter: "dead", MaxReceives: 3}); err != nil {
			t.Fatal(err)
		}
		for name, want := range contents {
			var headers [2]broker.Header
			for i, b := range []interface {
				broker.Publisher
				broker.Receiver
			}{r.Broker, m} {
				want.Subject = "jobs"
				if _, err := b.Publish(t.Context(), want); err != nil {
					t.Fatal(err)
				}
				ds, err := b.Receive(t.Context(), "jobs", 1)
				if err != nil {
					t.Fatal(err)
				}
				if err := b.Reject(t.Context(), "spoilt", ds...); err != nil {
					t.Fatal(err)
				}
				if ds, err = b.Receive(t.Context(), "dead", 1); err != nil || !bytes.Equal(ds[0].Body, want.Body) {
					t.Fatalf("%s: got %q, %v", name, ds[0].Body, err)
				}
				headers[i] = ds[0].Header
				for k, v := range want.Header {
					if headers[i][k] != v {
						t.Errorf("%s: %T: %s is lost", name, b, k)
					}
				}
			}
			if !maps.Equal(headers[0], headers[1]) {
				t.Errorf("%s: got %q, in memory %q", name, headers[0], headers[1])
			}
		}
	})
}

// The digests of attributes in an answer.
const (
	digest       = "MD5OfMessageAttributes"
	systemDigest = "MD5OfMessageSystemAttributes"
)

// damage changes the n-th digest of that name in the answers of an action.
func (r *rig) damage(action, digest string, n int) {
	digests := regexp.MustCompile(`"` + digest + `":"[0-9a-f]{8}`)
	r.setFault(func(a string, w http.ResponseWriter, req *http.Request, next http.Handler) bool {
		if a != action {
			return false
		}
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, req)
		i := 0
		body := digests.ReplaceAllStringFunc(answer.Body.String(), func(s string) string {
			if i++; i == n {
				return `"` + digest + `":"00000000`
			}
			return s
		})
		maps.Copy(w.Header(), answer.Header())
		w.Header().Del("Content-Length")
		w.WriteHeader(answer.Code)
		_, _ = io.WriteString(w, body)
		return true
	})
}

func TestDigestOfASend(t *testing.T) {
	for _, name := range []string{digest, systemDigest} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, "jobs")
				m := broker.Message{Subject: "jobs", Body: []byte("x"), Header: broker.Header{"a": "1", "b": "2", "AWSTraceHeader": "Root=1-5759e988"}}
				r.damage("SendMessage", name, 1)
				_, err := r.Publish(t.Context(), m)
				wantError(t, "Publish", err, broker.ErrUnavailable, broker.ErrOutcomeUnknown)
				r.damage("SendMessageBatch", name, 2)
				_, err = r.PublishBatch(t.Context(), []broker.Message{m, m, m})
				for i := range 3 {
					if item := broker.ItemError(err, i); (item != nil) != (i == 1) {
						t.Errorf("message %d: got %v", i, item)
					}
				}
				wantError(t, "PublishBatch", broker.ItemError(err, 1), broker.ErrOutcomeUnknown)
			})
		})
	}
}

// What is damaged is left out, and on a FIFO queue what follows it in its group.
func TestDigestOfAReceive(t *testing.T) {
	for _, c := range []struct{ queue, want string }{{"jobs", "acd"}, {"orders.fifo", "ad"}} {
		inBubble(t, nil, func(t *testing.T, r *rig) {
			r.create(t, c.queue)
			for i, body := range []string{"a", "b", "c", "d"} {
				m := broker.Message{Subject: c.queue, Body: []byte(body), Header: broker.Header{"h": body}}
				if c.queue != "jobs" {
					m.Key, m.DedupID = []string{"k", "k", "k", "l"}[i], body
				}
				if _, err := r.Publish(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
			r.damage("ReceiveMessage", digest, 2)
			ds, err := r.Receive(t.Context(), c.queue, 10)
			if got := strings.Join(bodies(ds), ""); err != nil || got != c.want {
				t.Errorf("%s: got %q, %v; want %q", c.queue, got, err, c.want)
			}
		})
	}
}

func TestNothingButDamage(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, r *rig) {
		r.create(t, "jobs")
		m := broker.Message{Subject: "jobs", Body: []byte("x"), Header: broker.Header{"a": "1"}}
		if _, err := r.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		r.damage("ReceiveMessage", digest, 1)
		_, err := r.Receive(t.Context(), "jobs", 10)
		wantError(t, "Receive", err, broker.ErrUnavailable)
		trusting, err := New(r.server.Client(func(o *sqs.Options) { o.DisableMessageChecksumValidation = true }), nil)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ds, err := trusting.Receive(t.Context(), "jobs", 10, broker.Wait(20e9))
		if err != nil || len(ds) != 0 {
			t.Fatalf("it is leased still: got %d, %v", len(ds), err)
		}
		ds, err = trusting.Receive(t.Context(), "jobs", 10)
		if err != nil || len(ds) != 1 {
			t.Errorf("without checks: got %d, %v", len(ds), err)
		}
	})
}
