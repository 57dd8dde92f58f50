package sqstest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// three sends 1, 2 and 3 of one group, receives them together, and returns them.
func three(e *env) (url string, ms []types.Message) {
	e.t.Helper()
	url = e.queue("q.fifo", nil)
	for _, b := range []string{"1", "2", "3"} {
		e.sendTo(url, "g", b, b)
	}
	ms = e.receive(url, 10, visibility(30))
	e.bodies("together", ms, "1", "2", "3")
	return url, ms
}

var orderRules = []rule{
	{"together", "A receive takes as many of one group as it can, in order, then of other groups.", "DG FIFO-queues-understanding-logic",
		func(_ *testing.T, e *env) {
			url := e.queue("q.fifo", nil)
			for _, m := range []string{"a1", "b1", "a2", "b2", "a3"} {
				e.sendTo(url, m[:1], m, m)
			}
			e.bodies("four", e.receive(url, 4), "a1", "a2", "a3", "b1")
		}},
	{"group-blocked", "While a message of a group is in flight, none of the group comes; other groups go on.", "API ReceiveMessage",
		func(_ *testing.T, e *env) {
			url := e.queue("q.fifo", nil)
			for _, m := range []string{"a1", "a2", "b1"} {
				e.sendTo(url, m[:1], m, m)
			}
			e.bodies("head", e.receive(url, 1), "a1")
			e.bodies("others", e.receive(url, 10), "b1")
			e.bodies("nothing", e.receive(url, 10))
		}},
	{"delete-frees", "Deleting the head lets the next of its group come, in order.", "DG FIFO-queues-understanding-logic; OBS 2024-04-30",
		func(_ *testing.T, e *env) {
			url := e.queue("q.fifo", nil)
			for i := range 4 {
				e.sendTo(url, "g", fmt.Sprint(i), fmt.Sprint(i))
			}
			for i := range 4 {
				m := e.receive(url, 1)
				e.bodies("next", m, fmt.Sprint(i))
				e.ok("delete", e.delete(url, m[0]))
			}
		}},
	{"partial-delete", "Deleting some of what was received together does not free the group.", "OBS",
		func(_ *testing.T, e *env) {
			url, ms := three(e)
			e.sendTo(url, "g", "4", "4")
			e.ok("delete", e.delete(url, ms[0]))
			e.ok("delete", e.delete(url, ms[1]))
			e.bodies("blocked", e.receive(url, 10))
			e.ok("delete", e.delete(url, ms[2]))
			e.bodies("free", e.receive(url, 10), "4")
		}},
	{"head-released", "The head released alone is delivered again while those behind it are still in flight.", "OBS 2025-11-19",
		func(_ *testing.T, e *env) {
			url, ms := three(e)
			e.ok("release", e.change(url, ms[0], 0))
			e.bodies("the head", e.receive(url, 10), "1")
			e.bodies("no more", e.receive(url, 10))
		}},
	{"head-extended", "The head extended: nothing of the group comes when the others' timeouts end.", "OBS 2025-11-19",
		func(_ *testing.T, e *env) {
			url, ms := three(e)
			e.ok("extend", e.change(url, ms[0], 100))
			e.pass(30 * time.Second)
			e.bodies("nothing", e.receive(url, 10))
		}},
	{"middle-extended", "The second extended: only the first comes again.", "OBS 2025-11-19",
		func(_ *testing.T, e *env) {
			url, ms := three(e)
			e.ok("extend", e.change(url, ms[1], 100))
			e.pass(30 * time.Second)
			e.bodies("the first", e.receive(url, 10), "1")
		}},
	{"tail-extended", "The last extended: those before it come again when their timeouts end.", "OBS 2025-11-19",
		func(_ *testing.T, e *env) {
			url, ms := three(e)
			e.ok("extend", e.change(url, ms[2], 100))
			e.pass(30 * time.Second)
			e.bodies("the first two", e.receive(url, 10), "1", "2")
		}},
	{"released-in-reverse", "Released last to first, the group comes again in order.", "follows from OBS 2025-11-19",
		func(_ *testing.T, e *env) {
			url, ms := three(e)
			for i := range 3 {
				e.ok("release", e.change(url, ms[2-i], 0))
			}
			e.bodies("again", e.receive(url, 10), "1", "2", "3")
		}},
	{"freed-wakes-poll", "A freed group wakes a waiting poll at once.", "DG FIFO-queues-understanding-logic; sqs-short-and-long-polling",
		func(_ *testing.T, e *env) {
			url := e.queue("q.fifo", nil)
			e.sendTo(url, "g", "1", "1")
			e.sendTo(url, "g", "2", "2")
			head := e.receive(url, 1)[0]
			begin := time.Now()
			go func() {
				e.pass(5 * time.Second)
				_ = e.delete(url, head) // its failure shows as a poll that stays empty
			}()
			e.bodies("polled", e.receive(url, 1, wait(20)), "2")
			e.lasted("after", begin, 5*time.Second)
		}},
	{"delayed-group", "FIFO: the queue's delay holds, also with an explicit DelaySeconds of 0.", "OBS 2025-07-31",
		func(t *testing.T, e *env) {
			url := e.queue("q.fifo", attrs{"DelaySeconds": "2"})
			a := e.call("SendMessage", map[string]any{
				"QueueUrl": url, "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "d", "DelaySeconds": 0,
			})
			equal(t, "status", a.status, 200)
			e.bodies("at once", e.receive(url, 1))
			e.pass(2 * time.Second)
			e.bodies("after 2 s", e.receive(url, 1), "x")
		}},
}

var dedupRules = []rule{
	{"five-minutes", "A message with a known id is accepted and not stored for five minutes, after receive and delete too.", "API SendMessage; OBS 2024-04-30",
		func(t *testing.T, e *env) {
			url := e.queue("q.fifo", nil)
			first := e.sendTo(url, "g", "d", "first")
			e.ok("delete", e.delete(url, e.receive(url, 1)[0]))
			e.pass(5*time.Minute - 1)
			again := e.sendTo(url, "g", "d", "second")
			equal(t, "sequence number", *again.SequenceNumber, *first.SequenceNumber)
			e.bodies("within", e.receive(url, 1))
			e.pass(time.Nanosecond)
			e.sendTo(url, "g", "d", "third")
			e.bodies("after", e.receive(url, 1), "third")
		}},
	{"window-from-first", "The five minutes count from the message that was stored; a duplicate does not prolong them.", "API SendMessage",
		func(_ *testing.T, e *env) {
			url := e.queue("q.fifo", nil)
			e.sendTo(url, "g", "d", "first")
			e.pass(4 * time.Minute)
			e.sendTo(url, "g", "d", "second")
			e.pass(time.Minute)
			e.sendTo(url, "g", "d", "third")
			e.bodies("received", e.receive(url, 10), "first", "third")
		}},
	{"content-based", "Content-based: the id is the SHA-256 of the body alone; attributes do not count, an explicit id wins, and one equal to the hash is a duplicate.", "API SendMessage",
		func(_ *testing.T, e *env) {
			url := e.queue("q.fifo", attrs{"ContentBasedDeduplication": "true"})
			e.sendTo(url, "g", "", "hello")
			e.sendTo(url, "g", "", "hello")
			e.sendTo(url, "g", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "same id")
			e.sendTo(url, "g", "other", "hello")
			e.bodies("received", e.receive(url, 10), "hello", "hello")
		}},
	{"scope-queue", "Scope queue: the same id in another group is a duplicate.", "API CreateQueue; OBS 2024-04-30",
		func(_ *testing.T, e *env) {
			url := e.queue("q.fifo", nil)
			e.sendTo(url, "a", "d", "1")
			e.sendTo(url, "b", "d", "2")
			e.bodies("received", e.receive(url, 10), "1")
		}},
	{"scope-group", "Scope messageGroup: it is not, with the throughput limit perQueue or perMessageGroupId.", "API CreateQueue; OBS 2024-05-24",
		func(_ *testing.T, e *env) {
			for i, limit := range []string{"perQueue", "perMessageGroupId"} {
				url := e.queue(fmt.Sprint("q", i, ".fifo"), attrs{"DeduplicationScope": "messageGroup", "FifoThroughputLimit": limit})
				e.sendTo(url, "a", "d", "1")
				e.sendTo(url, "b", "d", "2")
				e.sendTo(url, "b", "d", "3")
				e.bodies("received", e.receive(url, 10), "1", "2")
			}
		}},
	{"scope-narrowed", "An id sent under scope queue goes on counting for all groups when the scope becomes messageGroup.", "OBS 2025-08-19",
		func(_ *testing.T, e *env) {
			url := e.queue("q.fifo", nil)
			e.sendTo(url, "a", "d", "1")
			e.ok("set", e.set(url, attrs{"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}))
			e.sendTo(url, "a", "d", "2")
			e.sendTo(url, "b", "d", "3")
			e.sendTo(url, "b", "e", "4")
			e.bodies("received", e.receive(url, 10), "1", "4")
		}},
	{"scope-widened", "An id sent under scope messageGroup does not count for the queue when the scope becomes queue.", "OBS 2025-08-19",
		func(_ *testing.T, e *env) {
			url := e.queue("q.fifo", attrs{"DeduplicationScope": "messageGroup"})
			e.sendTo(url, "a", "d", "1")
			e.ok("set", e.set(url, attrs{"DeduplicationScope": "queue"}))
			e.sendTo(url, "b", "d", "2")
			e.bodies("received", e.receive(url, 10), "1", "2")
		}},
	{"purge-forgets", "PurgeQueue forgets the ids.", "OBS",
		func(t *testing.T, e *env) {
			url := e.queue("q.fifo", nil)
			e.sendTo(url, "g", "d", "1")
			equal(t, "purge", e.call("PurgeQueue", map[string]any{"QueueUrl": url}).status, 200)
			e.sendTo(url, "g", "d", "2")
			e.bodies("received", e.receive(url, 10), "2")
		}},
	{"ids-syntax", "Group and deduplication ids have 1 to 128 visible ASCII characters, punctuation included.", "API SendMessage",
		func(_ *testing.T, e *env) {
			url := e.queue("q.fifo", nil)
			long := strings.Repeat("x", 128)
			e.sendTo(url, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~09azAZ", long, "1")
			e.sendTo(url, long, "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~09azAZ", "2")
			e.bodies("received", e.receive(url, 10), "1", "2")
		}},
}
