package sqstest_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

var permissionRules = []rule{
	{"tags", "Tags are added, replaced, removed and listed; none at all is no Tags member.", "API TagQueue, UntagQueue, ListQueueTags; OBS 2024-04-30",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			in := map[string]any{"QueueUrl": url}
			call := func(action, key string, value any) {
				t.Helper()
				equal(t, action, e.call(action, map[string]any{"QueueUrl": url, key: value}).raw, "{}")
			}
			call("TagQueue", "Tags", attrs{"tag1": "value1", "tag2": "old", "tag3": ""})
			call("TagQueue", "Tags", attrs{"tag2": "value2"})
			equal(t, "three", e.call("ListQueueTags", in).raw, `{"Tags":{"tag1":"value1","tag2":"value2","tag3":""}}`)
			call("UntagQueue", "TagKeys", []string{"tag1", "tag3", "none"})
			equal(t, "one", e.call("ListQueueTags", in).raw, `{"Tags":{"tag2":"value2"}}`)
			call("UntagQueue", "TagKeys", []string{"tag2"})
			equal(t, "none", e.call("ListQueueTags", in).raw, `{}`)
		}},
	{"create-with-tags", "CreateQueue sets tags.", "API CreateQueue",
		func(t *testing.T, e *env) {
			_, err := e.c.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: str("q"), Tags: attrs{"k": "v"}})
			e.ok("CreateQueue", err)
			equal(t, "tags", e.call("ListQueueTags", map[string]any{"QueueUrl": e.url("q")}).raw, `{"Tags":{"k":"v"}}`)
		}},
	{"permissions", "AddPermission writes a statement into the policy, which is shown and not enforced; the last one's removal removes the policy.",
		"API AddPermission, RemovePermission; OBS 2024-04-30",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			add := func(label string, accounts ...string) *answer {
				t.Helper()
				return e.call("AddPermission", map[string]any{"QueueUrl": url, "Label": label, "AWSAccountIds": accounts, "Actions": []string{"ReceiveMessage"}})
			}
			equal(t, "add", add("one", "111111111111", "222222222222").raw, "{}")
			equal(t, "policy", e.attributes(url)["Policy"], `{"Version":"2008-10-17","Id":"`+e.arn("q")+`/SQSDefaultPolicy",`+
				`"Statement":[{"Sid":"one","Effect":"Allow","Principal":{"AWS":["arn:aws:iam::111111111111:root","arn:aws:iam::222222222222:root"]},`+
				`"Action":"SQS:ReceiveMessage","Resource":"`+e.arn("q")+`"}]}`)
			equal(t, "same label", add("one", "333333333333").message(), "Value one for parameter Label is invalid. Reason: Already exists.")
			equal(t, "another", add("two", "111111111111").raw, "{}")
			remove := func(label string) *answer {
				return e.call("RemovePermission", map[string]any{"QueueUrl": url, "Label": label})
			}
			equal(t, "remove", remove("one").raw+remove("two").raw, "{}{}")
			equal(t, "policy", e.attributes(url)["Policy"], "")
			again := remove("two")
			equal(t, "remove again", again.code()+again.message(), "InvalidParameterValueValue two for parameter Label is invalid. Reason: can't find label.")
		}},
}
