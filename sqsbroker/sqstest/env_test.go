package sqstest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// env is what a rule is tested with.
type env struct {
	t        *testing.T
	srv      *sqstest.Server // nil if the endpoint is another one
	c        *sqs.Client
	web      aws.HTTPClient
	endpoint string
	region   string
	account  string
}

func newEnv(t *testing.T, opts *sqstest.Options) *env {
	t.Helper()
	return envOf(t, sqstest.NewMemoryServer(opts))
}

func envOf(t *testing.T, srv *sqstest.Server) *env {
	t.Helper()
	return &env{
		t: t, srv: srv, c: srv.Client(func(o *sqs.Options) { o.RetryMaxAttempts = 1 }),
		web: srv.Config().HTTPClient, endpoint: srv.URL(), region: "us-east-1", account: "123456789012",
	}
}

func (e *env) arn(queue string) string {
	return "arn:aws:sqs:" + e.region + ":" + e.account + ":" + queue
}

func (e *env) url(queue string) string { return e.endpoint + "/" + e.account + "/" + queue }

// here skips what only an endpoint of this package can be asked.
func (e *env) here() {
	e.t.Helper()
	if e.srv == nil {
		e.t.Skip("needs an endpoint of this package")
	}
}

// pass lets time go by: in a bubble none, elsewhere only a little.
func (e *env) pass(d time.Duration) {
	e.t.Helper()
	if e.srv == nil && d > 5*time.Second {
		e.t.Skipf("takes %v", d)
	}
	time.Sleep(d)
}

// lasted wants that something took that long, to the nanosecond in a bubble.
func (e *env) lasted(what string, begin time.Time, want time.Duration) {
	e.t.Helper()
	got := time.Since(begin)
	if e.srv == nil && (got-want).Abs() < 1500*time.Millisecond {
		return
	}
	if got != want {
		e.t.Errorf("%s: took %v, want %v", what, got, want)
	}
}

type attrs = map[string]string

// queue creates a queue and returns its URL; FIFO by the suffix.
func (e *env) queue(name string, attributes attrs) string {
	e.t.Helper()
	if strings.HasSuffix(name, ".fifo") {
		more := attrs{"FifoQueue": "true"}
		maps.Copy(more, attributes)
		attributes = more
	}
	out, err := e.c.CreateQueue(e.t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		e.t.Fatalf("CreateQueue %s: %v", name, err)
	}
	return *out.QueueUrl
}

// send sends to a Standard queue.
func (e *env) send(url, body string) *sqs.SendMessageOutput {
	e.t.Helper()
	return e.sendInput(&sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body})
}

// sendTo sends to a FIFO queue.
func (e *env) sendTo(url, group, dedup, body string) *sqs.SendMessageOutput {
	e.t.Helper()
	in := &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body, MessageGroupId: &group}
	if dedup != "" {
		in.MessageDeduplicationId = &dedup
	}
	return e.sendInput(in)
}

func (e *env) sendInput(in *sqs.SendMessageInput) *sqs.SendMessageOutput {
	e.t.Helper()
	out, err := e.c.SendMessage(e.t.Context(), in)
	if err != nil {
		e.t.Fatalf("SendMessage: %v", err)
	}
	return out
}

// receive takes up to n messages without waiting.
func (e *env) receive(url string, n int32, more ...func(*sqs.ReceiveMessageInput)) []types.Message {
	e.t.Helper()
	in := &sqs.ReceiveMessageInput{QueueUrl: &url, MaxNumberOfMessages: n}
	for _, f := range more {
		f(in)
	}
	out, err := e.c.ReceiveMessage(e.t.Context(), in)
	if err != nil {
		e.t.Fatalf("ReceiveMessage: %v", err)
	}
	return out.Messages
}

func visibility(seconds int32) func(*sqs.ReceiveMessageInput) {
	return func(in *sqs.ReceiveMessageInput) { in.VisibilityTimeout = seconds }
}

func wait(seconds int32) func(*sqs.ReceiveMessageInput) {
	return func(in *sqs.ReceiveMessageInput) { in.WaitTimeSeconds = seconds }
}

func allSystem(in *sqs.ReceiveMessageInput) {
	in.MessageSystemAttributeNames = []types.MessageSystemAttributeName{"All"}
}

func (e *env) delete(url string, m types.Message) error {
	_, err := e.c.DeleteMessage(e.t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: m.ReceiptHandle})
	return err
}

func (e *env) change(url string, m types.Message, seconds int32) error {
	_, err := e.c.ChangeMessageVisibility(e.t.Context(), &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &url, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: seconds,
	})
	return err
}

func (e *env) attributes(url string) attrs {
	e.t.Helper()
	out, err := e.c.GetQueueAttributes(e.t.Context(), &sqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []types.QueueAttributeName{"All"},
	})
	if err != nil {
		e.t.Fatalf("GetQueueAttributes: %v", err)
	}
	return out.Attributes
}

func (e *env) set(url string, attributes attrs) error {
	_, err := e.c.SetQueueAttributes(e.t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: attributes})
	return err
}

// ok fails the test on an error.
func (e *env) ok(what string, err error) {
	e.t.Helper()
	if err != nil {
		e.t.Fatalf("%s: %v", what, err)
	}
}

// refused wants an error with that code of the query protocol and a message
// that contains part.
func (e *env) refused(what string, err error, code, part string) {
	e.t.Helper()
	api, ok := errors.AsType[smithy.APIError](err)
	if !ok {
		e.t.Fatalf("%s: got %v, want the error %s", what, err, code)
	}
	if e.srv == nil { // texts are not compared elsewhere, and either form of a name will do
		equal(e.t, what, kindOf(api.ErrorCode()), kindOf(code))
		return
	}
	if api.ErrorCode() != code || !strings.Contains(api.ErrorMessage(), part) {
		e.t.Errorf("%s: got %s %q, want %s and a message with %q", what, api.ErrorCode(), api.ErrorMessage(), code, part)
	}
}

// bodies wants messages with those bodies, in that order.
func (e *env) bodies(what string, got []types.Message, want ...string) {
	e.t.Helper()
	var have []string
	for _, m := range got {
		have = append(have, *m.Body)
	}
	if !slices.Equal(have, want) {
		e.t.Errorf("%s: got %q, want %q", what, have, want)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// kindOf is a name or code of an error in one form.
func kindOf(code string) string {
	code = code[strings.LastIndexByte(code, '#')+1:]
	code = strings.TrimSuffix(strings.TrimPrefix(code, "AWS.SimpleQueueService."), "Exception")
	switch code {
	case "MissingRequiredParameter":
		return "MissingParameter"
	case "QueueDoesNotExist":
		return "NonExistentQueue"
	case "QueueNameExists":
		return "QueueAlreadyExists"
	}
	return code
}

// answer is a raw answer of the endpoint.
type answer struct {
	status int
	header http.Header
	body   map[string]any
	raw    string
}

// code is the error's code of the query protocol; "" for a success.
func (a *answer) code() string {
	code, _, _ := strings.Cut(a.header.Get("x-amzn-query-error"), ";")
	return code
}

// name is the error's name of the JSON protocol, without its namespace.
func (a *answer) name() string {
	full, _ := a.body["__type"].(string)
	return full[strings.LastIndexByte(full, '#')+1:]
}

func (a *answer) message() string {
	m, _ := a.body["message"].(string)
	return m
}

// raw posts a request that no SDK would send.
func (e *env) raw(action, body string) *answer {
	e.t.Helper()
	req, err := http.NewRequestWithContext(e.t.Context(), http.MethodPost, e.endpoint, bytes.NewBufferString(body))
	e.ok("request", err)
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", "AmazonSQS."+action)
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test/20261101/"+e.region+"/sqs/aws4_request, SignedHeaders=host, Signature=0")
	return e.do(req)
}

func (e *env) do(req *http.Request) *answer {
	e.t.Helper()
	resp, err := e.web.Do(req)
	e.ok("request", err)
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	e.ok("answer", err)
	a := &answer{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &a.body) // not every answer is JSON
	return a
}

// call posts a request made of a map.
func (e *env) call(action string, in map[string]any) *answer {
	e.t.Helper()
	body, err := json.Marshal(in)
	e.ok("request", err)
	return e.raw(action, string(body))
}

func redrive(arn string, n int) string {
	b, _ := json.Marshal(map[string]any{"deadLetterTargetArn": arn, "maxReceiveCount": n}) // a string and a number
	return string(b)
}

func str(s string) *string { return aws.String(s) }
