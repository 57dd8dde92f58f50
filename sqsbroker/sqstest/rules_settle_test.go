package sqstest_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

var settleRules = []rule{
	{"handles-change", "Each receive gives a new receipt handle.", "API DeleteMessage, Message",
		func(t *testing.T, e *env) {
			url := e.queue("q", attrs{"VisibilityTimeout": "0"})
			e.send(url, "x")
			if a, b := e.receive(url, 1)[0], e.receive(url, 1)[0]; *a.ReceiptHandle == *b.ReceiptHandle {
				t.Error("two receives gave the same handle")
			}
		}},
	{"delete-twice", "Deleting again succeeds.", "API DeleteMessage; OBS",
		func(_ *testing.T, e *env) {
			for _, name := range []string{"q", "q.fifo"} {
				url := e.queue(name, nil)
				if name == "q" {
					e.send(url, "x")
				} else {
					e.sendTo(url, "g", "d", "x")
				}
				m := e.receive(url, 1)[0]
				for range 3 {
					e.ok("delete", e.delete(url, m))
				}
			}
		}},
	{"delete-old-handle", "Standard: an older handle still deletes, after the visibility timeout and a later receive too.", "RP sqs-receipt-handle-error; OBS 2025-03-28",
		func(_ *testing.T, e *env) {
			url := e.queue("q", attrs{"VisibilityTimeout": "1"})
			e.send(url, "x")
			old := e.receive(url, 1)[0]
			e.pass(2 * time.Second)
			e.receive(url, 1)
			e.ok("delete", e.delete(url, old))
			e.pass(2 * time.Second)
			e.bodies("after", e.receive(url, 1))
		}},
	{"change-expired-standard", "Standard: after the visibility timeout, the handle still changes it.", "OBS 2024-04-30",
		func(_ *testing.T, e *env) {
			url := e.queue("q", nil)
			e.send(url, "x")
			m := e.receive(url, 1, visibility(1))[0]
			e.pass(2 * time.Second)
			e.ok("change", e.change(url, m, 10))
			e.bodies("in flight again", e.receive(url, 1))
		}},
	{"fifo-expired-delete", "FIFO: after the visibility timeout, DeleteMessage fails and the message comes again.", "API ReceiveMessage; RP; OBS 2025-03-28",
		func(_ *testing.T, e *env) {
			url := e.queue("q.fifo", nil)
			e.sendTo(url, "g", "d", "x")
			m := e.receive(url, 1, visibility(1))[0]
			e.pass(time.Second)
			e.refused("delete", e.delete(url, m), "InvalidParameterValue",
				fmt.Sprintf("Value %s for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.", *m.ReceiptHandle))
			e.bodies("again", e.receive(url, 1), "x")
		}},
	{"fifo-extended-delete", "FIFO: after ChangeMessageVisibility, the extended time counts.", "OBS 2025-10-05",
		func(_ *testing.T, e *env) {
			url := e.queue("q.fifo", nil)
			e.sendTo(url, "g", "d", "x")
			m := e.receive(url, 1, visibility(2))[0]
			e.ok("change", e.change(url, m, 10))
			e.pass(5 * time.Second)
			e.ok("delete", e.delete(url, m))
			e.bodies("after", e.receive(url, 1, wait(10)))
		}},
	{"change-counts-from-call", "ChangeMessageVisibility counts from the call, and the next receive has the queue's value again.", "API ChangeMessageVisibility",
		func(_ *testing.T, e *env) {
			url := e.queue("q", attrs{"VisibilityTimeout": "30"})
			e.send(url, "x")
			m := e.receive(url, 1)[0]
			e.pass(20 * time.Second)
			e.ok("change", e.change(url, m, 30))
			e.pass(29 * time.Second)
			e.bodies("49 s after the receive", e.receive(url, 1))
			e.pass(time.Second)
			e.bodies("30 s after the call", e.receive(url, 1), "x")
			e.pass(29 * time.Second)
			e.bodies("29 s after the next receive", e.receive(url, 1))
			e.pass(time.Second)
			e.bodies("30 s after the next receive", e.receive(url, 1), "x")
		}},
	{"change-to-zero", "A visibility timeout of 0 makes the message visible at once, and the receive counts.", "API ChangeMessageVisibility",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			e.send(url, "x")
			e.ok("change", e.change(url, e.receive(url, 1)[0], 0))
			equal(t, "count", e.receive(url, 1, allSystem)[0].Attributes["ApproximateReceiveCount"], "2")
		}},
	{"change-deleted", "ChangeMessageVisibility of a deleted message is InvalidParameterValue.", "OBS",
		func(_ *testing.T, e *env) {
			url := e.queue("q", nil)
			e.send(url, "x")
			m := e.receive(url, 1)[0]
			e.ok("delete", e.delete(url, m))
			e.refused("change", e.change(url, m, 10), "InvalidParameterValue",
				fmt.Sprintf("Value %s for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.", *m.ReceiptHandle))
		}},
	{"twelve-hours", "The visibility timeout is 12 hours in total from the receive; asking for more than is left is an error.", "API ChangeMessageVisibility; DG sqs-visibility-timeout",
		func(_ *testing.T, e *env) {
			url := e.queue("q", nil)
			e.send(url, "x")
			m := e.receive(url, 1, visibility(43200))[0]
			e.pass(11 * time.Hour)
			e.refused("12 h more", e.change(url, m, 43200), "InvalidParameterValue",
				"Value 43200 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [43200 seconds].")
			e.ok("what is left", e.change(url, m, 3600))
			e.pass(time.Hour - 1)
			e.bodies("before 12 h", e.receive(url, 1))
			e.pass(time.Nanosecond)
			e.bodies("after 12 h", e.receive(url, 1), "x")
		}},
	{"other-queues-handle", "A handle of another queue is ReceiptHandleIsInvalid.", "RP; OBS",
		func(_ *testing.T, e *env) {
			a, b := e.queue("a", nil), e.queue("b", nil)
			e.send(a, "x")
			m := e.receive(a, 1)[0]
			e.refused("delete", e.delete(b, m), "ReceiptHandleIsInvalid", "not a valid receipt handle")
			e.refused("change", e.change(b, m, 1), "ReceiptHandleIsInvalid", "not a valid receipt handle")
		}},
	{"forged-handle", "A handle that was altered is ReceiptHandleIsInvalid.", "RP; OBS",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			e.send(url, "x")
			m := e.receive(url, 1)[0]
			raw, err := base64.StdEncoding.DecodeString(*m.ReceiptHandle)
			e.ok("handle", err)
			for i := range raw {
				forged := slices.Clone(raw)
				forged[i] ^= 1
				m.ReceiptHandle = str(base64.StdEncoding.EncodeToString(forged))
				e.refused("delete", e.delete(url, m), "ReceiptHandleIsInvalid", "not a valid receipt handle")
			}
			equal(t, "in flight", e.attributes(url)["ApproximateNumberOfMessagesNotVisible"], "1")
		}},
	{"empty-receive", "An empty answer has no Messages member.", "OBS 2025-02-10",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			equal(t, "answer", e.call("ReceiveMessage", map[string]any{"QueueUrl": url}).raw, "{}")
		}},
	{"receive-default", "Without MaxNumberOfMessages one message comes.", "API ReceiveMessage",
		func(_ *testing.T, e *env) {
			url := e.queue("q", nil)
			e.send(url, "a")
			e.send(url, "b")
			e.bodies("received", e.receive(url, 0), "a")
		}},
	{"wait-overrides", "A request's WaitTimeSeconds of 0 overrides the queue's, and so does its VisibilityTimeout of 0.", "DG sqs-short-and-long-polling; API ReceiveMessage",
		func(_ *testing.T, e *env) {
			url := e.queue("q", attrs{"ReceiveMessageWaitTimeSeconds": "20"})
			begin := time.Now()
			e.call("ReceiveMessage", map[string]any{"QueueUrl": url, "WaitTimeSeconds": 0})
			e.lasted("short poll took", begin, 0)
			e.receive(url, 1)
			e.lasted("the queue's poll took", begin, 20*time.Second)
			e.send(url, "x")
			e.call("ReceiveMessage", map[string]any{"QueueUrl": url, "VisibilityTimeout": 0})
			e.bodies("visible", e.receive(url, 1), "x")
		}},
	{"settle-batches", "Batches of deletes and visibility changes report each entry.", "API DeleteMessageBatch, ChangeMessageVisibilityBatch",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			e.send(url, "a")
			e.send(url, "b")
			ms := e.receive(url, 10)
			changed, err := e.c.ChangeMessageVisibilityBatch(t.Context(), &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &url, Entries: []types.ChangeMessageVisibilityBatchRequestEntry{
				{Id: str("good"), ReceiptHandle: ms[0].ReceiptHandle, VisibilityTimeout: 0},
				{Id: str("range"), ReceiptHandle: ms[1].ReceiptHandle, VisibilityTimeout: 43201},
				{Id: str("handle"), ReceiptHandle: str("garbage"), VisibilityTimeout: 1},
			}})
			e.ok("ChangeMessageVisibilityBatch", err)
			equal(t, "changed", len(changed.Successful), 1)
			equal(t, "codes", *changed.Failed[0].Code+" "+*changed.Failed[1].Code, "InvalidParameterValue ReceiptHandleIsInvalid")
			deleted, err := e.c.DeleteMessageBatch(t.Context(), &sqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: []types.DeleteMessageBatchRequestEntry{
				{Id: str("good"), ReceiptHandle: ms[1].ReceiptHandle}, {Id: str("bad"), ReceiptHandle: str("garbage")},
			}})
			e.ok("DeleteMessageBatch", err)
			equal(t, "deleted", *deleted.Successful[0].Id, "good")
			f := deleted.Failed[0]
			equal(t, "fault", fmt.Sprint(*f.Id, *f.Code, *f.Message, f.SenderFault),
				fmt.Sprint("bad", "ReceiptHandleIsInvalid", `The input receipt handle "garbage" is not a valid receipt handle.`, true))
			e.bodies("left", e.receive(url, 10), "a")
		}},
	{"in-flight-standard", "Standard, too many in flight: OverLimit on a short poll, nothing on a long one.", "API ReceiveMessage; DG quotas-queues",
		func(t *testing.T, here *env) {
			here.here()
			e := newLimited(t)
			defer e.srv.Close()
			url := e.queue("q", nil)
			for range 4 {
				e.send(url, "x")
			}
			ms := e.receive(url, 10)
			equal(t, "up to the limit", len(ms), 3)
			_, err := e.c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url})
			e.refused("short poll", err, "OverLimit", "")
			begin := time.Now()
			e.bodies("long poll", e.receive(url, 1, wait(20)))
			e.lasted("long poll took", begin, 20*time.Second)
			e.ok("delete", e.delete(url, ms[0]))
			e.bodies("room again", e.receive(url, 1), "x")
		}},
	{"in-flight-fifo", "FIFO, too many in flight: nothing and no error.", "API ReceiveMessage; DG quotas-fifo",
		func(t *testing.T, here *env) {
			here.here()
			e := newLimited(t)
			defer e.srv.Close()
			url := e.queue("q.fifo", nil)
			for i := range 4 {
				e.sendTo(url, fmt.Sprint(i), fmt.Sprint(i), "x")
			}
			equal(t, "up to the limit", len(e.receive(url, 10)), 3)
			e.bodies("short poll", e.receive(url, 1))
		}},
	{"attempt-id", "FIFO: a receive repeated with its ReceiveRequestAttemptId gives the same messages and handles, and starts their timeouts anew.", "API ReceiveMessage",
		func(t *testing.T, e *env) {
			url := e.queue("q.fifo", nil)
			for i := range 3 {
				e.sendTo(url, "g", fmt.Sprint(i), fmt.Sprint(i))
			}
			first := e.receive(url, 2, attempt("id"), visibility(30))
			e.bodies("first", first, "0", "1")
			e.pass(20 * time.Second)
			again := e.receive(url, 2, attempt("id"), visibility(30))
			e.bodies("again", again, "0", "1")
			equal(t, "handle", *again[1].ReceiptHandle, *first[1].ReceiptHandle)
			e.pass(29 * time.Second)
			e.bodies("without the id", e.receive(url, 2))
			e.ok("delete", e.delete(url, first[0]))
		}},
	{"attempt-id-spent", "An attempt id is refused once one of its messages was deleted or changed, and forgotten with their visibility timeout or after five minutes.",
		"API ReceiveMessage; AWS support in awslabs/amazon-sqs-java-messaging-lib#213; the code is a guess",
		func(t *testing.T, e *env) {
			url := e.queue("q.fifo", nil)
			e.sendTo(url, "a", "1", "a")
			e.sendTo(url, "b", "2", "b")
			ms := e.receive(url, 2, attempt("id"), visibility(1000))
			e.ok("delete", e.delete(url, ms[0]))
			_, err := e.c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, ReceiveRequestAttemptId: str("id")})
			e.refused("after a delete", err, "InvalidParameterValue", "not valid anymore")
			e.pass(5 * time.Minute)
			e.bodies("after five minutes", e.receive(url, 1, attempt("id")))
			e.pass(time.Hour)
			e.bodies("new receive", e.receive(url, 1, attempt("other"), visibility(1)), "b")
			e.pass(time.Second)
			equal(t, "timeout over: a new receive", e.receive(url, 1, attempt("other"), allSystem, visibility(1000))[0].Attributes["ApproximateReceiveCount"], "3")
			e.pass(4 * time.Minute)
			e.bodies("within five minutes", e.receive(url, 1, attempt("other"), visibility(1000)), "b")
			e.pass(time.Minute)
			e.bodies("five minutes from the first", e.receive(url, 1, attempt("other")))
		}},
}

func attempt(id string) func(*sqs.ReceiveMessageInput) {
	return func(in *sqs.ReceiveMessageInput) { in.ReceiveRequestAttemptId = &id }
}
