//go:build !race

package sqstest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// By default 120,000 messages may be in flight, and one more may not [DG
// quotas-queues]. With the race detector the 24,000 requests take 15 seconds, and
// it has nothing to find in them.
func TestInFlightQuota(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 120,000 messages")
	}
	h := sqstest.NewHandler(nil)
	defer h.Close()
	if err := h.CreateQueue("q", attrs{"VisibilityTimeout": "43200"}); err != nil {
		t.Fatal(err)
	}
	call := func(action, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("X-Amz-Target", "AmazonSQS."+action)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	const quota = 120_000
	batch := `{"QueueUrl":"q","Entries":[` + entries(10, `{"Id":"#","MessageBody":"x"}`) + `]}`
	for range quota/10 + 1 {
		if w := call("SendMessageBatch", batch); w.Code != http.StatusOK {
			t.Fatal(w.Code, w.Body)
		}
	}
	for i := range quota / 10 {
		var got struct{ Messages []struct{ MessageID string } }
		w := call("ReceiveMessage", `{"QueueUrl":"q","MaxNumberOfMessages":10}`)
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Messages) != 10 {
			t.Fatalf("receive %d: %d messages, %v", i, len(got.Messages), err)
		}
	}
	w := call("ReceiveMessage", `{"QueueUrl":"q"}`)
	equal(t, "one more: status", w.Code, http.StatusForbidden)
	equal(t, "one more: error", w.Header().Get("x-amzn-query-error"), "OverLimit;Sender")
}
