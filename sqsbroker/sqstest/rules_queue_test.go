package sqstest_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

var queueRules = []rule{
	{"defaults-standard", "A Standard queue made without attributes has 12, with AWS's defaults.", "API CreateQueue; OBS 2025-12-10",
		func(t *testing.T, e *env) {
			got := e.attributes(e.queue("q", nil))
			want := attrs{
				"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesDelayed": "0",
				"ApproximateNumberOfMessagesNotVisible": "0", "DelaySeconds": "0", "MaximumMessageSize": "1048576",
				"MessageRetentionPeriod": "345600", "ReceiveMessageWaitTimeSeconds": "0", "VisibilityTimeout": "30",
				"SqsManagedSseEnabled": "true", "QueueArn": e.arn("q"),
				"CreatedTimestamp": fmt.Sprint(time.Now().Unix()), "LastModifiedTimestamp": fmt.Sprint(time.Now().Unix()),
			}
			if !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}},
	{"defaults-fifo", "A FIFO queue has 16: FifoQueue, ContentBasedDeduplication, DeduplicationScope and FifoThroughputLimit as well.", "OBS 2025-08-19",
		func(t *testing.T, e *env) {
			got := e.attributes(e.queue("q.fifo", nil))
			equal(t, "attributes", len(got), 16)
			for name, want := range (attrs{
				"FifoQueue": "true", "ContentBasedDeduplication": "false", "DeduplicationScope": "queue", "FifoThroughputLimit": "perQueue",
			}) {
				equal(t, name, got[name], want)
			}
		}},
	{"create-again", "CreateQueue with the same attributes, or with none, returns the queue's URL.", "API CreateQueue; OBS",
		func(t *testing.T, e *env) {
			url := e.queue("q", attrs{"DelaySeconds": "1"})
			equal(t, "same attributes", e.queue("q", attrs{"DelaySeconds": "1"}), url)
			equal(t, "no attributes", e.queue("q", nil), url)
		}},
	{"create-other", "CreateQueue of a queue with another value for an attribute is QueueNameExists and names the attribute.", "API CreateQueue; OBS 2024-04-30",
		func(t *testing.T, e *env) {
			e.queue("q", attrs{"DelaySeconds": "1"})
			_, err := e.c.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: str("q"), Attributes: attrs{"DelaySeconds": "2"}})
			e.refused("other DelaySeconds", err, "QueueAlreadyExists",
				"A queue already exists with the same name and a different value for attribute DelaySeconds")
		}},
	{"deleted-recently", "The name of a deleted queue is taken for 60 seconds.", "API CreateQueue, DeleteQueue",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			_, err := e.c.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &url})
			e.ok("DeleteQueue", err)
			again := &sqs.CreateQueueInput{QueueName: str("q")}
			e.pass(60*time.Second - 1)
			_, err = e.c.CreateQueue(t.Context(), again)
			e.refused("within 60 s", err, "AWS.SimpleQueueService.QueueDeletedRecently", "60 seconds")
			e.pass(time.Nanosecond)
			_, err = e.c.CreateQueue(t.Context(), again)
			e.ok("after 60 s", err)
		}},
	{"delete", "A deleted queue does not exist, nor do its messages come back with its name.", "API DeleteQueue",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			e.send(url, "old")
			_, err := e.c.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &url})
			e.ok("DeleteQueue", err)
			_, err = e.c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: str("x")})
			e.refused("send to it", err, "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
			e.pass(time.Minute)
			e.queue("q", nil)
			e.bodies("the new one", e.receive(url, 1))
		}},
	{"purge", "PurgeQueue deletes the messages, those in flight and delayed too.", "API PurgeQueue; OBS",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			e.send(url, "in flight")
			e.receive(url, 1)
			e.send(url, "ready")
			e.sendInput(&sqs.SendMessageInput{QueueUrl: &url, MessageBody: str("delayed"), DelaySeconds: 9})
			_, err := e.c.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: &url})
			e.ok("PurgeQueue", err)
			e.pass(time.Minute)
			e.bodies("after", e.receive(url, 10))
		}},
	{"purge-twice", "A second PurgeQueue within 60 seconds is PurgeQueueInProgress, status 403.", "API PurgeQueue; OBS 2024-04-30",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			in := map[string]any{"QueueUrl": url}
			equal(t, "first", e.call("PurgeQueue", in).status, 200)
			e.pass(60*time.Second - 1)
			second := e.call("PurgeQueue", in)
			equal(t, "status", second.status, 403)
			equal(t, "name", second.name(), "PurgeQueueInProgress")
			equal(t, "message", second.message(), "Only one PurgeQueue operation on q is allowed every 60 seconds.")
			e.pass(time.Nanosecond)
			equal(t, "after 60 s", e.call("PurgeQueue", in).status, 200)
		}},
	{"get-url", "GetQueueUrl finds a queue by name, and by its owner's account; the URL ends in the account and the name.", "API GetQueueUrl",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			got, err := e.c.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: str("q"), QueueOwnerAWSAccountId: &e.account})
			e.ok("GetQueueUrl", err)
			equal(t, "URL", *got.QueueUrl, url)
			equal(t, "URL", url, e.url("q"))
			_, err = e.c.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: str("q"), QueueOwnerAWSAccountId: str("999999999999")})
			e.refused("another account's", err, "AWS.SimpleQueueService.NonExistentQueue", "")
		}},
	{"url-is-a-name", "A bare queue name does for a queue's URL.", "OBS (seen on the real service, not documented)",
		func(_ *testing.T, e *env) {
			url := e.queue("q", nil)
			e.send("q", "hello")
			e.bodies("by URL", e.receive(url, 1), "hello")
		}},
	{"list", "ListQueues filters by prefix; without MaxResults it has no token, with it pages in order.", "API ListQueues; OBS 2025-03-19",
		func(t *testing.T, e *env) {
			var want []string
			for i := range 10 {
				want = append(want, e.queue(fmt.Sprintf("test-%d", i), nil))
			}
			e.queue("other", nil)
			all, err := e.c.ListQueues(t.Context(), &sqs.ListQueuesInput{QueueNamePrefix: str("test-")})
			e.ok("ListQueues", err)
			if !slices.Equal(all.QueueUrls, want) || all.NextToken != nil {
				t.Errorf("all: got %v, token %v, want %v and none", all.QueueUrls, all.NextToken, want)
			}
			two := int32(2)
			part, err := e.c.ListQueues(t.Context(), &sqs.ListQueuesInput{QueueNamePrefix: str("test-"), MaxResults: &two})
			e.ok("ListQueues", err)
			if !slices.Equal(part.QueueUrls, want[:2]) || part.NextToken == nil {
				t.Fatalf("first two: got %v, token %v", part.QueueUrls, part.NextToken)
			}
			rest := int32(1000)
			part, err = e.c.ListQueues(t.Context(), &sqs.ListQueuesInput{QueueNamePrefix: str("test-"), MaxResults: &rest, NextToken: part.NextToken})
			e.ok("ListQueues", err)
			if !slices.Equal(part.QueueUrls, want[2:]) || part.NextToken != nil {
				t.Errorf("rest: got %v, token %v", part.QueueUrls, part.NextToken)
			}
		}},
	{"list-empty", "ListQueues of nothing has no QueueUrls member.", "OBS",
		func(t *testing.T, e *env) { equal(t, "answer", e.call("ListQueues", nil).raw, "{}") }},
	{"get-some-attributes", "GetQueueAttributes gives the names asked for, skips what the queue lacks, and refuses unknown names.", "API GetQueueAttributes; OBS",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			a := e.call("GetQueueAttributes", map[string]any{"QueueUrl": url, "AttributeNames": []string{"DelaySeconds", "RedrivePolicy"}})
			equal(t, "answer", a.raw, `{"Attributes":{"DelaySeconds":"0"}}`)
			equal(t, "no names", e.call("GetQueueAttributes", map[string]any{"QueueUrl": url}).raw, "{}")
			bad := e.call("GetQueueAttributes", map[string]any{"QueueUrl": url, "AttributeNames": []string{"Foobar"}})
			equal(t, "unknown", bad.code()+" "+bad.message(), "InvalidAttributeName Unknown Attribute Foobar.")
		}},
	{"set-attributes", "SetQueueAttributes changes what it names and the LastModifiedTimestamp, and nothing else.", "API SetQueueAttributes; OBS 2025-08-19",
		func(t *testing.T, e *env) {
			url := e.queue("q", attrs{"MessageRetentionPeriod": "604800", "ReceiveMessageWaitTimeSeconds": "10", "VisibilityTimeout": "20"})
			want := e.attributes(url)
			e.pass(5 * time.Second)
			change := attrs{"MaximumMessageSize": "2048", "VisibilityTimeout": "69", "DelaySeconds": "420"}
			e.ok("SetQueueAttributes", e.set(url, change))
			maps.Copy(want, change)
			want["LastModifiedTimestamp"] = fmt.Sprint(time.Now().Unix())
			if got := e.attributes(url); !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}},
	{"set-all-or-nothing", "SetQueueAttributes with one bad attribute changes none.", "(strict reading: a refused call has no effect)",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			e.refused("set", e.set(url, attrs{"DelaySeconds": "5", "VisibilityTimeout": "-1"}), "InvalidAttributeValue", "VisibilityTimeout")
			equal(t, "DelaySeconds", e.attributes(url)["DelaySeconds"], "0")
		}},
	{"set-empty", "An empty Policy or RedrivePolicy removes it.", "OBS 2024-08-20",
		func(t *testing.T, e *env) {
			e.queue("dlq", nil)
			url := e.queue("q", attrs{"RedrivePolicy": redrive(e.arn("dlq"), 3), "Policy": `{"Statement":[]}`})
			e.ok("SetQueueAttributes", e.set(url, attrs{"RedrivePolicy": "", "Policy": ""}))
			got := e.attributes(url)
			equal(t, "RedrivePolicy", got["RedrivePolicy"]+got["Policy"], "")
		}},
	{"encryption", "A KMS key turns SQS's own encryption off, and is shown with its reuse period.", "API SetQueueAttributes; OBS 2024-04-30",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			e.ok("set", e.set(url, attrs{"KmsMasterKeyId": "testKeyId", "KmsDataKeyReusePeriodSeconds": "6000", "SqsManagedSseEnabled": "false"}))
			got := e.attributes(url)
			equal(t, "key", got["KmsMasterKeyId"]+" "+got["KmsDataKeyReusePeriodSeconds"]+" "+got["SqsManagedSseEnabled"], "testKeyId 6000 false")
			e.ok("set", e.set(url, attrs{"KmsMasterKeyId": "", "KmsDataKeyReusePeriodSeconds": ""}))
			equal(t, "attributes", len(e.attributes(url)), 12)
			e.ok("set", e.set(e.queue("key", nil), attrs{"KmsMasterKeyId": "k"}))
			got = e.attributes(e.url("key"))
			equal(t, "a key alone", got["KmsDataKeyReusePeriodSeconds"]+" "+got["SqsManagedSseEnabled"], "300 false")
		}},
	{"counts", "The three approximate counts tell ready, in flight and delayed messages.", "API GetQueueAttributes",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			for range 3 {
				e.send(url, "x")
			}
			e.receive(url, 2)
			e.sendInput(&sqs.SendMessageInput{QueueUrl: &url, MessageBody: str("later"), DelaySeconds: 9})
			got := e.attributes(url)
			equal(t, "counts", got["ApproximateNumberOfMessages"]+got["ApproximateNumberOfMessagesNotVisible"]+got["ApproximateNumberOfMessagesDelayed"], "121")
		}},
	{"accounts", "A listing shows the caller's own account only.", "API ListQueues",
		func(t *testing.T, e *env) { e.here(); testAccounts(t) }},
	{"high-throughput", "perMessageGroupId needs DeduplicationScope messageGroup, in the same call or before.", "API CreateQueue",
		func(_ *testing.T, e *env) {
			url := e.queue("q.fifo", nil)
			limit := attrs{"FifoThroughputLimit": "perMessageGroupId"}
			e.refused("alone", e.set(url, limit), "InvalidAttributeValue", "FifoThroughputLimit")
			e.ok("with scope", e.set(url, attrs{"FifoThroughputLimit": "perMessageGroupId", "DeduplicationScope": "messageGroup"}))
			e.refused("scope alone back", e.set(url, attrs{"DeduplicationScope": "queue"}), "InvalidAttributeValue", "FifoThroughputLimit")
		}},
	{"fifo-kind-is-fixed", "FifoQueue can be repeated and not changed.", "OBS 2024-05-14",
		func(_ *testing.T, e *env) {
			fifo, standard := e.queue("q.fifo", nil), e.queue("q", nil)
			e.ok("true on FIFO", e.set(fifo, attrs{"FifoQueue": "true"}))
			e.refused("false on FIFO", e.set(fifo, attrs{"FifoQueue": "false"}), "InvalidAttributeValue",
				"Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.")
			e.refused("true on Standard", e.set(standard, attrs{"FifoQueue": "true"}), "InvalidAttributeName", "Unknown Attribute FifoQueue.")
			e.refused("false on Standard", e.set(standard, attrs{"FifoQueue": "false"}), "InvalidAttributeName", "Unknown Attribute FifoQueue.")
		}},
	{"unknown-queue", "A queue that is not there is QueueDoesNotExist in every action.", "API errors; OBS 2024-04-30",
		func(t *testing.T, e *env) {
			_, err := e.c.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: str(e.url("none"))})
			e.refused("ReceiveMessage", err, "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
			_, err = e.c.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: str("none")})
			e.refused("GetQueueUrl", err, "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
		}},
}
