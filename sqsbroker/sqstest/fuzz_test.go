package sqstest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// FuzzRequest sends any body to any action: the answer is a success or a
// sender's fault in JSON, never a panic and never an internal failure.
func FuzzRequest(f *testing.F) {
	actions := []string{
		"AddPermission", "CancelMessageMoveTask", "ChangeMessageVisibility", "ChangeMessageVisibilityBatch", "CreateQueue",
		"DeleteMessage", "DeleteMessageBatch", "GetQueueAttributes", "GetQueueUrl", "ListDeadLetterSourceQueues",
		"ListMessageMoveTasks", "ListQueueTags", "ListQueues", "PurgeQueue", "ReceiveMessage", "RemovePermission",
		"SendMessage", "SendMessageBatch", "SetQueueAttributes", "StartMessageMoveTask", "TagQueue", "UntagQueue", "Fly",
	}
	h := sqstest.NewHandler(nil)
	f.Cleanup(h.Close)
	for _, name := range []string{"std", "dead"} {
		if err := h.CreateQueue(name, nil); err != nil {
			f.Fatal(err)
		}
	}
	if err := h.CreateQueue("q.fifo", attrs{"FifoQueue": "true"}); err != nil {
		f.Fatal(err)
	}
	for i := range actions {
		for _, r := range refusals() {
			if r.action == actions[i] {
				f.Add(i, strings.NewReplacer("STD", "std", "FIFO", "q.fifo", "ARN", h.ARN("dead")).Replace(r.body))
			}
		}
	}
	f.Add(14, `{"QueueUrl":"std","MaxNumberOfMessages":10,"MessageAttributeNames":["All"],"AttributeNames":["All"]}`)
	f.Add(16, `{"QueueUrl":"std","MessageBody":"x","MessageAttributes":{"a":{"DataType":"Number","StringValue":"1e5"}}}`)
	f.Fuzz(func(t *testing.T, action int, body string) {
		if action < 0 {
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/", strings.NewReader(body))
		req.Header.Set("X-Amz-Target", "AmazonSQS."+actions[action%len(actions)])
		w := httptest.NewRecorder()
		h.ServeHTTP(w, req)
		if ctx.Err() != nil { // a long poll
			return
		}
		if w.Code >= 500 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s %q: got %d %s", actions[action%len(actions)], body, w.Code, w.Body)
		}
		if failed := w.Code != http.StatusOK; failed != (w.Header().Get("x-amzn-query-error") != "") {
			t.Errorf("%d with x-amzn-query-error %q", w.Code, w.Header().Get("x-amzn-query-error"))
		}
	})
}
