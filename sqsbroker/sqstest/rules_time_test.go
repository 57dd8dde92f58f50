package sqstest_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

var timeRules = []rule{
	{"retention", "A message is gone when its retention ends, 14 days at most, also in flight and delayed.", "API CreateQueue",
		func(t *testing.T, e *env) {
			url := e.queue("q", attrs{"MessageRetentionPeriod": "1209600"})
			e.send(url, "x")
			e.pass(14*24*time.Hour - time.Hour)
			e.bodies("before", e.receive(url, 1, visibility(7200)), "x")
			e.pass(time.Hour)
			equal(t, "in flight", e.attributes(url)["ApproximateNumberOfMessagesNotVisible"], "0")
			e.pass(2 * time.Hour)
			e.bodies("after", e.receive(url, 1))
		}},
	{"visibility", "A message is invisible for the visibility timeout, 30 s by default, the request's value first.", "DG sqs-visibility-timeout",
		func(_ *testing.T, e *env) {
			url := e.queue("q", nil)
			e.send(url, "x")
			e.receive(url, 1)
			e.pass(30*time.Second - 1)
			e.bodies("before 30 s", e.receive(url, 1))
			e.pass(time.Nanosecond)
			e.bodies("after 30 s", e.receive(url, 1, visibility(43200)), "x")
			e.pass(12*time.Hour - 1)
			e.bodies("before 12 h", e.receive(url, 1))
			e.pass(time.Nanosecond)
			e.bodies("after 12 h", e.receive(url, 1), "x")
		}},
	{"delay", "A delayed message is invisible until its delay ends, the message's value before the queue's, up to 15 minutes.", "API SendMessage",
		func(t *testing.T, e *env) {
			url := e.queue("q", attrs{"DelaySeconds": "5"})
			e.send(url, "queue's")
			e.sendInput(&sqs.SendMessageInput{QueueUrl: &url, MessageBody: str("own"), DelaySeconds: 900})
			equal(t, "zero", e.call("SendMessage", map[string]any{"QueueUrl": url, "MessageBody": "none", "DelaySeconds": 0}).status, 200)
			e.bodies("at once", e.receive(url, 10, visibility(1000)), "none")
			e.pass(5 * time.Second)
			e.bodies("after 5 s", e.receive(url, 10, visibility(1000)), "queue's")
			e.pass(895*time.Second - 1)
			e.bodies("before 15 min", e.receive(url, 10))
			e.pass(time.Nanosecond)
			e.bodies("after 15 min", e.receive(url, 10), "own")
		}},
	{"long-poll", "A long poll waits its time out when nothing comes.", "DG sqs-short-and-long-polling",
		func(_ *testing.T, e *env) {
			url := e.queue("q", nil)
			begin := time.Now()
			e.bodies("nothing", e.receive(url, 1, wait(20)))
			e.lasted("took", begin, 20*time.Second)
		}},
	{"poll-woken", "A long poll wakes at once on a send, a release, the end of a delay and the end of a visibility timeout.", "DG sqs-short-and-long-polling",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			polled := func(what string, f func()) {
				t.Helper()
				begin := time.Now()
				var done sync.WaitGroup
				done.Go(func() { e.pass(3 * time.Second); f() })
				ms := e.receive(url, 1, wait(20), visibility(7))
				equal(t, what+": messages", len(ms), 1)
				e.lasted(what+": woken after", begin, 3*time.Second)
				done.Wait()
			}
			polled("send", func() { e.send(url, "x") })
			e.pass(4 * time.Second)
			polled("timeout", func() {})
			e.pass(7 * time.Second)
			m := e.receive(url, 1, visibility(100))[0]
			polled("release", func() { e.ok("release", e.change(url, m, 0)) })
			e.receive(url, 1, wait(20), visibility(1000))
			e.sendInput(&sqs.SendMessageInput{QueueUrl: &url, MessageBody: str("later"), DelaySeconds: 3})
			polled("delay", func() {})
		}},
	{"poll-cancelled", "A poll that its client gives up loses nothing: what comes later stays for others.", "(inference; the API does not say)",
		func(t *testing.T, e *env) {
			e.here()
			url := e.queue("q", nil)
			ctx, cancel := context.WithCancel(t.Context())
			var done sync.WaitGroup
			for range 50 {
				done.Go(func() {
					_, err := e.c.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 20})
					if err == nil {
						t.Error("a cancelled poll succeeded")
					}
				})
			}
			synctest.Wait()
			stats, err := e.srv.Stats("q")
			e.ok("Stats", err)
			equal(t, "polls", stats.Polls, 50)
			cancel()
			done.Wait()
			synctest.Wait()
			e.send(url, "x")
			e.bodies("received", e.receive(url, 1), "x")
		}},
	{"polls-in-turn", "Many polls wait at once and each message goes to one of them.", "DG sqs-short-and-long-polling",
		func(t *testing.T, e *env) {
			e.here()
			url := e.queue("q", nil)
			var mu sync.Mutex
			got := make(map[string]int)
			var done sync.WaitGroup
			for range 200 {
				done.Go(func() {
					for _, m := range e.receive(url, 1, wait(20)) {
						mu.Lock()
						got[*m.Body]++
						mu.Unlock()
					}
				})
			}
			synctest.Wait()
			for i := range 100 {
				e.send(url, fmt.Sprint(i))
			}
			done.Wait()
			equal(t, "messages", len(got), 100)
			for body, n := range got {
				equal(t, body, n, 1)
			}
		}},
	{"standard-order", "A Standard queue hands out in the order of sending, as far as nothing comes back (best effort).", "DG standard-queues",
		func(_ *testing.T, e *env) {
			url := e.queue("q", nil)
			for _, b := range []string{"a", "b", "c"} {
				e.send(url, b)
			}
			e.bodies("received", e.receive(url, 10), "a", "b", "c")
		}},
}
