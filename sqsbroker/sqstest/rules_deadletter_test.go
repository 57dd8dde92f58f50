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

// pair creates a queue with a dead-letter queue, both Standard or both FIFO.
func pair(e *env, suffix string, n int) (source, dead string) {
	e.t.Helper()
	dead = e.queue("dead"+suffix, nil)
	return e.queue("source"+suffix, attrs{"RedrivePolicy": redrive(e.arn("dead"+suffix), n)}), dead
}

// exhaust makes the messages of a queue dead letters, received n times each.
func exhaust(e *env, url string, n int) {
	e.t.Helper()
	for range n + 1 {
		for len(e.receive(url, 10, visibility(1))) > 0 {
			continue
		}
		e.pass(time.Second)
	}
}

func startMove(e *env, in *sqs.StartMessageMoveTaskInput) *string {
	e.t.Helper()
	out, err := e.c.StartMessageMoveTask(e.t.Context(), in)
	e.ok("StartMessageMoveTask", err)
	return out.TaskHandle
}

func lastMove(e *env, arn string) types.ListMessageMoveTasksResultEntry {
	e.t.Helper()
	out, err := e.c.ListMessageMoveTasks(e.t.Context(), &sqs.ListMessageMoveTasksInput{SourceArn: &arn})
	e.ok("ListMessageMoveTasks", err)
	if len(out.Results) != 1 {
		e.t.Fatalf("got %d tasks, want the last one", len(out.Results))
	}
	return out.Results[0]
}

var deadLetterRules = []rule{
	{"dead-letter", "The attempt to receive a message once more than maxReceiveCount moves it: same id, body and attributes, the count goes on, its source is named.",
		"DG sqs-dead-letter-queues; OBS 2024-04-30",
		func(t *testing.T, e *env) {
			source, dead := pair(e, "", 2)
			sent := e.sendInput(&sqs.SendMessageInput{QueueUrl: &source, MessageBody: str("x"), MessageAttributes: messageAttrs{"a": text("v")}})
			for range 2 {
				e.bodies("received", e.receive(source, 1, visibility(1)), "x")
				e.pass(time.Second)
			}
			e.bodies("not before the third attempt", e.receive(dead, 1))
			e.bodies("third attempt", e.receive(source, 1))
			m := e.receive(dead, 1, allSystem, byName("All"))[0]
			equal(t, "id", *m.MessageId, *sent.MessageId)
			equal(t, "attribute", *m.MessageAttributes["a"].StringValue, "v")
			equal(t, "count", m.Attributes["ApproximateReceiveCount"], "3")
			equal(t, "source", m.Attributes["DeadLetterQueueSourceArn"], e.arn("source"))
			_, err := e.c.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &source})
			e.ok("DeleteQueue", err)
			e.pass(30 * time.Second)
			equal(t, "source deleted", e.receive(dead, 1, allSystem)[0].Attributes["DeadLetterQueueSourceArn"], e.arn("source"))
		}},
	{"count-as-string", "maxReceiveCount is a number or a string.", "OBS",
		func(t *testing.T, e *env) {
			e.queue("dead", nil)
			url := e.queue("q", attrs{"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"1"}`, e.arn("dead"))})
			e.send(url, "x")
			exhaust(e, url, 1)
			equal(t, "dead", e.attributes(e.url("dead"))["ApproximateNumberOfMessages"], "1")
		}},
	{"dead-letter-fifo", "FIFO: the later messages of the group go on, the dead letter keeps its group, and its deduplication id is its message id.",
		"DG sqs-dead-letter-queues, sqs-configure-dead-letter-queue-redrive; OBS 2024-05-21",
		func(t *testing.T, e *env) {
			source, dead := pair(e, ".fifo", 1)
			e.sendTo(source, "g", "1", "1")
			e.sendTo(source, "g", "2", "2")
			first := e.receive(source, 1, visibility(1))[0]
			e.pass(time.Second)
			e.bodies("the next", e.receive(source, 10), "2")
			m := e.receive(dead, 1, allSystem)[0]
			equal(t, "group", m.Attributes["MessageGroupId"], "g")
			equal(t, "dedup id", m.Attributes["MessageDeduplicationId"], *first.MessageId)
		}},
	{"dead-letter-retention-standard", "Standard: a dead letter's age counts from the original send.", "DG setting-up-dead-letter-queue-retention",
		func(_ *testing.T, e *env) {
			source, dead := pair(e, "", 1)
			e.send(source, "x")
			e.pass(3 * 24 * time.Hour)
			exhaust(e, source, 1)
			e.pass(24*time.Hour - time.Minute)
			e.bodies("before 4 days", e.receive(dead, 1, visibility(1)), "x")
			e.pass(time.Minute)
			e.bodies("after 4 days", e.receive(dead, 1))
		}},
	{"dead-letter-retention-fifo", "FIFO: it counts from the move.", "DG setting-up-dead-letter-queue-retention",
		func(_ *testing.T, e *env) {
			source, dead := pair(e, ".fifo", 1)
			e.sendTo(source, "g", "d", "x")
			e.pass(3 * 24 * time.Hour)
			exhaust(e, source, 1)
			e.pass(3 * 24 * time.Hour)
			e.bodies("after 6 days", e.receive(dead, 1), "x")
		}},
	{"dead-letter-target", "The target must exist and be of the same kind; its name is looked up when the policy is set.", "API CreateQueue; DG sqs-dead-letter-queues",
		func(_ *testing.T, e *env) {
			e.queue("dead", nil)
			e.queue("dead.fifo", nil)
			url, fifo := e.queue("q", nil), e.queue("q.fifo", nil)
			e.refused("absent", e.set(url, attrs{"RedrivePolicy": redrive(e.arn("none"), 3)}), "InvalidParameterValue", "Dead letter target does not exist.")
			e.refused("FIFO", e.set(url, attrs{"RedrivePolicy": redrive(e.arn("dead.fifo"), 3)}), "InvalidParameterValue", "same type of queue")
			e.refused("Standard", e.set(fifo, attrs{"RedrivePolicy": redrive(e.arn("dead"), 3)}), "InvalidParameterValue", "same type of queue")
			e.refused("no ARN", e.set(url, attrs{"RedrivePolicy": redrive("dummy", 3)}), "InvalidParameterValue", "deadLetterTargetArn")
			e.ok("good", e.set(url, attrs{"RedrivePolicy": redrive(e.arn("dead"), 3)}))
		}},
	{"dead-letter-gone", "The policy survives its target's deletion; messages stay then.", "(measured on three emulators; AWS's documents are silent)",
		func(t *testing.T, e *env) {
			source, dead := pair(e, "", 1)
			_, err := e.c.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &dead})
			e.ok("DeleteQueue", err)
			e.send(source, "x")
			exhaust(e, source, 2)
			e.bodies("still there", e.receive(source, 1), "x")
			e.ok("other attributes", e.set(source, attrs{"DelaySeconds": "1"}))
		}},
	{"redrive-allow", "RedriveAllowPolicy: denyAll refuses every source, byQueue all but those it names.", "API CreateQueue",
		func(t *testing.T, e *env) {
			dead, url := e.queue("dead", nil), e.queue("q", nil)
			policy := attrs{"RedrivePolicy": redrive(e.arn("dead"), 3)}
			e.ok("denyAll", e.set(dead, attrs{"RedriveAllowPolicy": `{"redrivePermission":"denyAll"}`}))
			e.refused("denied", e.set(url, policy), "InvalidParameterValue", "RedriveAllowPolicy")
			byQueue := fmt.Sprintf(`{"redrivePermission":"byQueue","sourceQueueArns":[%q]}`, e.arn("q"))
			e.ok("byQueue", e.set(dead, attrs{"RedriveAllowPolicy": byQueue}))
			e.ok("named", e.set(url, policy))
			e.refused("not named", e.set(e.queue("other", nil), policy), "InvalidParameterValue", "RedriveAllowPolicy")
			equal(t, "shown", e.attributes(dead)["RedriveAllowPolicy"], byQueue)
			e.ok("allowAll", e.set(dead, attrs{"RedriveAllowPolicy": `{"redrivePermission":"allowAll"}`}))
			e.ok("any", e.set(e.url("other"), policy))
		}},
	{"sources", "ListDeadLetterSourceQueues lists the queues whose policy names the queue.", "API ListDeadLetterSourceQueues; OBS",
		func(t *testing.T, e *env) {
			source, dead := pair(e, "", 3)
			out, err := e.c.ListDeadLetterSourceQueues(t.Context(), &sqs.ListDeadLetterSourceQueuesInput{QueueUrl: &dead})
			e.ok("ListDeadLetterSourceQueues", err)
			if !slices.Equal(out.QueueUrls, []string{source}) {
				t.Errorf("got %v, want %s", out.QueueUrls, source)
			}
			equal(t, "none", e.call("ListDeadLetterSourceQueues", map[string]any{"QueueUrl": source}).raw, `{"queueUrls":[]}`)
		}},
	{"move-back", "Without a destination, a move task gives each message back to its source, as a new message.",
		"API StartMessageMoveTask; DG sqs-configure-dead-letter-queue-redrive; OBS 2024-03-07",
		func(t *testing.T, e *env) {
			source, dead := pair(e, "", 1)
			sent := e.send(source, "x")
			exhaust(e, source, 1)
			begin := time.Now()
			startMove(e, &sqs.StartMessageMoveTaskInput{SourceArn: str(e.arn("dead"))})
			m := e.receive(source, 1, wait(20), allSystem)[0]
			if *m.MessageId == *sent.MessageId {
				t.Error("the message kept its id")
			}
			equal(t, "count", m.Attributes["ApproximateReceiveCount"], "1")
			if got := m.Attributes["SentTimestamp"]; got < fmt.Sprint(begin.UnixMilli()) {
				t.Errorf("sent at %s, before the move began at %d", got, begin.UnixMilli())
			}
			e.pass(time.Second)
			task := lastMove(e, e.arn("dead"))
			equal(t, "status", *task.Status, "COMPLETED")
			equal(t, "moved", task.ApproximateNumberOfMessagesMoved, 1)
			equal(t, "to move", *task.ApproximateNumberOfMessagesToMove, 1)
			equal(t, "started", task.StartedTimestamp, begin.UnixMilli())
			if task.TaskHandle != nil || task.DestinationArn != nil {
				t.Errorf("a handle after the end %v, or a destination %v", task.TaskHandle, task.DestinationArn)
			}
			e.bodies("dead letters", e.receive(dead, 1))
		}},
	{"move-rate", "A move task keeps its rate, tells how far it is, and can be cancelled while it runs.", "API CancelMessageMoveTask; OBS 2024-01-03",
		func(t *testing.T, e *env) {
			source, dead := pair(e, "", 1)
			target, arn := e.queue("target", nil), e.arn("dead")
			for i := range 10 {
				e.send(source, fmt.Sprint(i))
			}
			exhaust(e, source, 1)
			one := int32(1)
			handle := startMove(e, &sqs.StartMessageMoveTaskInput{SourceArn: &arn, DestinationArn: str(e.arn("target")), MaxNumberOfMessagesPerSecond: &one})
			e.pass(2500 * time.Millisecond)
			e.bodies("in 2.5 s, oldest first", e.receive(target, 10), "0", "1")
			task := lastMove(e, arn)
			equal(t, "running", *task.Status+*task.TaskHandle, "RUNNING"+*handle)
			equal(t, "counts", fmt.Sprint(task.ApproximateNumberOfMessagesMoved, *task.ApproximateNumberOfMessagesToMove, *task.MaxNumberOfMessagesPerSecond), "2 10 1")
			_, err := e.c.StartMessageMoveTask(t.Context(), &sqs.StartMessageMoveTaskInput{SourceArn: &arn})
			e.refused("a second one", err, "InvalidParameterValue", "There is already a task running.")
			cancelled, err := e.c.CancelMessageMoveTask(t.Context(), &sqs.CancelMessageMoveTaskInput{TaskHandle: handle})
			e.ok("cancel", err)
			equal(t, "moved", cancelled.ApproximateNumberOfMessagesMoved, 2)
			e.pass(time.Minute)
			equal(t, "status", *lastMove(e, arn).Status, "CANCELLED")
			equal(t, "left", e.attributes(dead)["ApproximateNumberOfMessages"], "8")
			_, err = e.c.CancelMessageMoveTask(t.Context(), &sqs.CancelMessageMoveTaskInput{TaskHandle: handle})
			e.refused("cancel again", err, "AWS.SimpleQueueService.UnsupportedOperation", "")
		}},
	{"move-fails", "A move task whose destination is deleted fails with the reason, and the rest stays.", "OBS 2024-01-03",
		func(t *testing.T, e *env) {
			source, dead := pair(e, "", 1)
			target, arn := e.queue("target", nil), e.arn("dead")
			e.send(source, "a")
			e.send(source, "b")
			exhaust(e, source, 1)
			one := int32(1)
			startMove(e, &sqs.StartMessageMoveTaskInput{SourceArn: &arn, DestinationArn: str(e.arn("target")), MaxNumberOfMessagesPerSecond: &one})
			e.pass(1500 * time.Millisecond)
			_, err := e.c.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &target})
			e.ok("DeleteQueue", err)
			e.pass(time.Second)
			task := lastMove(e, arn)
			equal(t, "status", *task.Status+" "+*task.FailureReason, "FAILED AWS.SimpleQueueService.NonExistentQueue")
			e.bodies("left", e.receive(dead, 10), "b")
		}},
	{"move-without-source", "A move back of a message that came from no queue fails.", "(reason as seen in AWS's console; not in the API Reference)",
		func(t *testing.T, e *env) {
			_, dead := pair(e, "", 1)
			e.send(dead, "sent here directly")
			startMove(e, &sqs.StartMessageMoveTaskInput{SourceArn: str(e.arn("dead"))})
			e.pass(time.Second)
			task := lastMove(e, e.arn("dead"))
			equal(t, "status", *task.Status+" "+*task.FailureReason, "FAILED CouldNotDetermineMessageSource")
		}},
	{"move-fifo", "FIFO messages move in order, with their groups.", "DG sqs-configure-dead-letter-queue-redrive",
		func(_ *testing.T, e *env) {
			source, _ := pair(e, ".fifo", 1)
			for i := range 4 {
				e.sendTo(source, fmt.Sprint("g", i%2), fmt.Sprint(i), fmt.Sprint(i))
			}
			exhaust(e, source, 1)
			startMove(e, &sqs.StartMessageMoveTaskInput{SourceArn: str(e.arn("dead.fifo"))})
			e.pass(time.Second)
			e.bodies("back", e.receive(source, 10), "0", "2", "1", "3")
		}},
	{"move-refused", "A move task needs a source that is a dead-letter queue, a destination that exists and is of its kind, and a rate from 1 to 500.",
		"API StartMessageMoveTask; OBS 2024-01-05",
		func(t *testing.T, e *env) {
			pair(e, "", 1)
			e.queue("plain", nil)
			e.queue("plain.fifo", nil)
			dead := e.arn("dead")
			for _, c := range []struct {
				in            map[string]any
				status        int
				code, message string
			}{
				{map[string]any{}, 400, "MissingParameter", "The request must contain the parameter SourceArn."},
				{map[string]any{"SourceArn": e.arn("plain")}, 400, "InvalidParameterValue", "Source queue must be configured as a Dead Letter Queue."},
				{map[string]any{"SourceArn": e.arn("none")}, 404, "ResourceNotFoundException", "The resource that you specified for the SourceArn parameter doesn't exist."},
				{map[string]any{"SourceArn": dead, "DestinationArn": e.arn("none")}, 404, "ResourceNotFoundException", "The resource that you specified for the DestinationArn parameter doesn't exist."},
				{map[string]any{"SourceArn": dead, "DestinationArn": e.arn("plain.fifo")}, 400, "InvalidParameterValue", "Source and destination queue must be of the same type."},
				{map[string]any{"SourceArn": dead, "DestinationArn": dead}, 400, "InvalidParameterValue", "Source queue arn and destination queue arn cannot be the same."},
				{map[string]any{"SourceArn": dead, "MaxNumberOfMessagesPerSecond": 501}, 400, "InvalidParameterValue", "Value 501 for parameter MaxNumberOfMessagesPerSecond is invalid. Reason: Must be between 1 and 500, if provided."},
			} {
				a := e.call("StartMessageMoveTask", c.in)
				equal(t, c.message, fmt.Sprint(a.status, a.code(), a.message()), fmt.Sprint(c.status, c.code, c.message))
			}
		}},
	{"cancel-refused", "CancelMessageMoveTask tells a malformed handle from an absent queue and an absent task.", "OBS 2024-01-05",
		func(t *testing.T, e *env) {
			pair(e, "", 1)
			handle := func(arn string) string {
				return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"taskId":"10f57157-fc38-4da9-a113-4de7e12d05aa","sourceArn":%q}`, arn))
			}
			for _, c := range []struct {
				handle        string
				status        int
				code, message string
			}{
				{"foobared", 400, "InvalidParameterValue", "Value for parameter TaskHandle is invalid."},
				{handle(e.arn("none")), 404, "ResourceNotFoundException", "The resource that you specified for the SourceArn parameter doesn't exist."},
				{handle(e.arn("dead")), 404, "ResourceNotFoundException", "Task does not exist."},
			} {
				a := e.call("CancelMessageMoveTask", map[string]any{"TaskHandle": c.handle})
				equal(t, c.message, fmt.Sprint(a.status, a.code(), a.message()), fmt.Sprint(c.status, c.code, c.message))
			}
		}},
}
