package sqstest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// post makes a request of the handler, without a network.
func post(b *testing.B, h http.Handler, action, body string, out any) {
	b.Helper()
	r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", "AmazonSQS."+action)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		b.Fatalf("%s: %d %s", action, w.Code, w.Body)
	}
	if out != nil {
		if err := json.Unmarshal(w.Body.Bytes(), out); err != nil {
			b.Fatal(err)
		}
	}
}

// fill puts n messages into a queue, in as many groups if it is FIFO, ten at a
// time.
func fill(b *testing.B, h http.Handler, queue string, n, groups int) {
	b.Helper()
	for i := 0; i < n; i += 10 {
		var body strings.Builder
		fmt.Fprintf(&body, `{"QueueUrl":%q,"Entries":[`, queue)
		for j := i; j < i+10; j++ {
			if j > i {
				body.WriteByte(',')
			}
			fmt.Fprintf(&body, `{"Id":"%d","MessageBody":"x"`, j)
			if groups > 0 {
				fmt.Fprintf(&body, `,"MessageGroupId":"g%d","MessageDeduplicationId":"%d"`, j%groups, j)
			}
			body.WriteByte('}')
		}
		body.WriteString("]}")
		post(b, h, "SendMessageBatch", body.String(), nil)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkBacklog sends, receives and deletes a message in a queue that holds
// many others; B/msg is what each of those occupies.
func BenchmarkBacklog(b *testing.B) {
	for _, c := range []struct {
		queue          string
		backlog, group int
	}{
		{"q", 1_000, 0}, {"q", 100_000, 0}, {"q", 1_000_000, 0},
		{"q.fifo", 1_000, 100}, {"q.fifo", 100_000, 10_000}, {"q.fifo", 1_000_000, 100_000},
	} {
		b.Run(fmt.Sprintf("%s/%d", c.queue, c.backlog), func(b *testing.B) {
			h := sqstest.NewHandler(nil)
			defer h.Close()
			kind, group := attrs{}, ""
			if c.group > 0 {
				kind["FifoQueue"] = "true"
				group = `,"MessageGroupId":"g1","MessageDeduplicationId":"new%d"`
			}
			if err := h.CreateQueue(c.queue, kind); err != nil {
				b.Fatal(err)
			}
			before := heap()
			fill(b, h, c.queue, c.backlog, c.group)
			occupied := float64(heap()-before) / float64(c.backlog)
			i := 0
			for b.Loop() {
				i++
				body := `{"QueueUrl":"` + c.queue + `","MessageBody":"x"`
				if group != "" {
					body += fmt.Sprintf(group, i)
				}
				post(b, h, "SendMessage", body+"}", nil)
				var got struct {
					Messages []struct{ ReceiptHandle string }
				}
				post(b, h, "ReceiveMessage", `{"QueueUrl":"`+c.queue+`"}`, &got)
				post(b, h, "DeleteMessage", `{"QueueUrl":"`+c.queue+`","ReceiptHandle":"`+got.Messages[0].ReceiptHandle+`"}`, nil)
			}
			b.ReportMetric(occupied, "B/msg")
			runtime.KeepAlive(h)
		})
	}
}
