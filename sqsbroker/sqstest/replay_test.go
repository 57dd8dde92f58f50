package sqstest_test

import (
	"fmt"
	"strings"
	"time"
)

var highThroughput = attrs{"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}

func (r *replay) describe(label, url string, names ...string) {
	r.call(label, "GetQueueAttributes", in{"QueueUrl": url, "AttributeNames": names})
}

func messages(out map[string]any) []map[string]any {
	var ms []map[string]any
	list, _ := out["Messages"].([]any)
	for _, m := range list {
		ms = append(ms, m.(map[string]any))
	}
	return ms
}

func (r *replay) take(label, url string) []map[string]any {
	return messages(r.call(label, "ReceiveMessage", in{"QueueUrl": url, "WaitTimeSeconds": 1}))
}

// batch makes a batch of n entries, with that id if there is one.
func (r *replay) batch(label, action string, n int, id string) {
	var all []in
	for i := range n {
		e := in{"Id": fmt.Sprint("message-", i), "MessageBody": "x", "ReceiptHandle": "x", "VisibilityTimeout": 1}
		if id != "" {
			e["Id"] = strings.TrimPrefix(id, "EMPTY")
		}
		all = append(all, e)
	}
	r.call(label, action, in{"QueueUrl": r.queue("q", nil), "Entries": all})
}

func (r *replay) deadLetterAttributes() {
	dead := r.queue("dead", nil)
	source := r.queue("source", attrs{"RedrivePolicy": redrive(r.arn("dead"), 1)})
	r.call("", "SendMessage", in{
		"QueueUrl": source, "MessageBody": "message-1",
		"MessageAttributes":       in{"MyAttribute": in{"DataType": "String", "StringValue": "foobar"}},
		"MessageSystemAttributes": in{"AWSTraceHeader": in{"DataType": "String", "StringValue": trace}},
	})
	r.send(source, "message-2")
	receive := func(url string) any {
		out := r.call("", "ReceiveMessage", in{
			"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0, "MessageAttributeNames": []string{"All"},
			"MessageSystemAttributeNames": []string{
				"ApproximateFirstReceiveTimestamp", "ApproximateReceiveCount", "SentTimestamp", "AWSTraceHeader", "DeadLetterQueueSourceArn",
			},
		})
		return out["Messages"]
	}
	r.got["dlq-arn"], r.got["sourcen-arn"] = r.arn("dead"), r.arn("source")
	r.got["rec-pre-dlq"] = receive(source)
	receive(source)
	r.got["dlq-messages"] = receive(dead)
}

func fifoQueue(r *replay, contentBased bool) (url, dedup string) {
	if contentBased {
		return r.queue("q.fifo", attrs{"ContentBasedDeduplication": "true"}), ""
	}
	return r.queue("q.fifo", nil), "dedup1"
}

func (r *replay) onceAfterDelete(contentBased bool) {
	url, dedup := fifoQueue(r, contentBased)
	r.sendTo(url, "group-1", dedup, `{"foo": "bar"}`)
	m := r.take("get-messages", url)
	r.call("", "DeleteMessage", in{"QueueUrl": url, "ReceiptHandle": m[0]["ReceiptHandle"]})
	r.sendTo(url, "group-1", dedup, `{"foo": "bar"}`)
	r.take("get-messages-duplicate", url)
}

func (r *replay) notOnGroup(contentBased bool) {
	url, dedup := fifoQueue(r, contentBased)
	r.sendTo(url, "group-1", dedup, `{"foo": "bar"}`)
	r.sendTo(url, "group-2", dedup, `{"foo": "bar"}`)
	r.take("get-messages", url)
	r.take("get-dedup-messages", url)
}

func (r *replay) twoGroups(url, first, second string) {
	r.sendTo(url, "g1", "dedup1", first)
	r.sendTo(url, "g2", "dedup1", second)
	for _, label := range []string{"same-dedup-different-grp-1", "same-dedup-different-grp-2"} {
		for _, m := range r.take(label, url) {
			r.call("", "DeleteMessage", in{"QueueUrl": url, "ReceiptHandle": m["ReceiptHandle"]})
		}
	}
}

func (r *replay) attributeFilters() {
	url := r.queue("q", attrs{"VisibilityTimeout": "0"})
	of := func(v string) in { return in{"DataType": "String", "StringValue": v} }
	r.call("send_message_response", "SendMessage", in{"QueueUrl": url, "MessageBody": "msg", "MessageAttributes": in{
		"Help.Me": of("Me"), "Hello": of("There"), "General": of("Kenobi"),
	}})
	for _, f := range []struct {
		label string
		names []string
		whole bool // the whole answer was recorded
	}{
		{"empty_filter", []string{}, true}, {"all_name", []string{"All"}, true},
		{"all_wildcard_asterisk", []string{"*"}, false}, {"all_wildcard", []string{".*"}, false},
		{"only_non_existing_names", []string{"Foo", "Help"}, false}, {"only_existing", []string{"Hello", "General"}, false},
		{"existing_and_non_existing", []string{"Foo", "Hello"}, false}, {"prefix_filter", []string{"Hel.*"}, false},
		{"illegal_name_1", []string{"AWS."}, true}, {"illegal_name_2", []string{"..foo"}, true},
	} {
		out := r.call(f.label, "ReceiveMessage", in{"QueueUrl": url, "MessageAttributeNames": f.names})
		if !f.whole {
			r.got[f.label] = out["Messages"].([]any)[0]
		}
	}
}

func (r *replay) systemFilters(parameter string) {
	url := r.queue("q", attrs{"VisibilityTimeout": "0"})
	r.call("", "SendMessage", in{"QueueUrl": url, "MessageBody": "msg", "MessageAttributes": in{"Foo": in{"DataType": "String", "StringValue": "Bar"}}})
	receive := func(label string, system, user []string) {
		r.call(label, "ReceiveMessage", in{"QueueUrl": url, parameter: system, "MessageAttributeNames": user})
	}
	receive("all_attributes", []string{"All"}, nil)
	receive("all_system_and_message_attributes", []string{"All"}, []string{"All"})
	receive("single_attribute", []string{"SenderId"}, nil)
	receive("multiple_attributes", []string{"SenderId", "SequenceNumber"}, nil)
}

func (r *replay) permissions() {
	url, own, other := r.queue("q", nil), "123456789012", "668614515564"
	add := func(answer, label string, accounts ...string) {
		r.call(answer, "AddPermission", in{"QueueUrl": url, "AWSAccountIds": accounts, "Actions": []string{"ReceiveMessage"}, "Label": label})
	}
	remove := func(answer, label string) { r.call(answer, "RemovePermission", in{"QueueUrl": url, "Label": label}) }
	policy := func(answer string) { r.describe(answer, url, "Policy") }
	const one, two = "crossaccountpermission", "crossaccountpermission2"
	add("add-permission-response", one, other, own)
	policy("get-queue-policy-attribute")
	remove("remove-permission-response", one)
	policy("get-queue-policy-attribute-after-removal")
	add("", one, own)
	policy("get-queue-policy-attribute-first-account-same-label")
	add("get-queue-policy-attribute-second-account-same-label", one, other)
	add("", two, own)
	policy("get-queue-policy-attribute-second-account-different-label")
	remove("", one)
	policy("get-queue-policy-attribute-delete-first-permission")
	remove("", two)
	policy("get-queue-policy-attribute-delete-second-permission")
	remove("get-queue-policy-attribute-delete-non-existent-label", two)
}

func (r *replay) badGroup(id string) {
	r.call("error-response", "SendMessage", in{"QueueUrl": r.queue("q", nil), "MessageBody": "x", "MessageGroupId": id})
}

func (r *replay) badDedup(id string) {
	r.call("error-response", "SendMessage", in{"QueueUrl": r.queue("q.fifo", nil), "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": id})
}

// groupVisibility receives three messages, extends the one at index i, and
// receives again when the others' timeouts have ended.
func (r *replay) groupVisibility(i int) {
	url := r.queue("q.fifo", attrs{"VisibilityTimeout": "5"})
	for _, body := range []string{"foo", "bar", "baz"} {
		r.sendTo(url, "g", body, body)
	}
	ms := messages(r.call("receive_all_messages", "ReceiveMessage", in{"QueueUrl": url, "MaxNumberOfMessages": 10}))
	r.call("", "ChangeMessageVisibility", in{"QueueUrl": url, "ReceiptHandle": ms[i]["ReceiptHandle"], "VisibilityTimeout": 30})
	time.Sleep(6 * time.Second)
	r.call("some-messages-invisible", "ReceiveMessage", in{"QueueUrl": url, "MaxNumberOfMessages": 10})
}
