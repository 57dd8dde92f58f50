package sqstest_test

import (
	"fmt"
	"strings"
	"time"
)

type in = map[string]any

// scenarios make the calls of LocalStack's tests of the same names.
var scenarios = map[string]func(r *replay){
	"send_receive_max_number_of_messages[sqs]": func(r *replay) {
		r.call("send_max_number_of_messages", "ReceiveMessage", in{"QueueUrl": r.queue("q", nil), "MaxNumberOfMessages": 11})
	},
	"send_oversized_message[sqs]": func(r *replay) {
		r.call("send_oversized_message", "SendMessage", in{"QueueUrl": r.queue("q", nil), "MessageBody": strings.Repeat("a", 1<<20+1)})
	},
	"send_message_with_updated_maximum_message_size[sqs]": func(r *replay) {
		r.call("send_oversized_message", "SendMessage", in{"QueueUrl": r.queue("q", attrs{"MaximumMessageSize": "1024"}), "MessageBody": strings.Repeat("a", 1025)})
	},
	"send_message_batch_with_oversized_contents[sqs]": func(r *replay) {
		r.call("send_oversized_message_batch", "SendMessageBatch", in{"QueueUrl": r.queue("q", nil), "Entries": []in{
			{"Id": "1", "MessageBody": strings.Repeat("a", 1<<20)}, {"Id": "2", "MessageBody": "a"},
		}})
	},
	"send_message_batch_with_oversized_contents_with_updated_maximum_message_size[sqs]": func(r *replay) {
		r.call("send_oversized_message_batch", "SendMessageBatch", in{"QueueUrl": r.queue("q", attrs{"MaximumMessageSize": "2048"}), "Entries": []in{
			{"Id": "1", "MessageBody": strings.Repeat("a", 2040), "MessageAttributes": in{"k": in{"DataType": "String", "StringValue": "x"}}},
			{"Id": "2", "MessageBody": "a"},
		}})
	},
	"send_batch_message_size": func(r *replay) {
		r.call("send-message-batch-result", "SendMessageBatch", in{"QueueUrl": r.queue("q", attrs{"MaximumMessageSize": "1024"}), "Entries": []in{
			{"Id": "1", "MessageBody": strings.Repeat("a", 1025)}, {"Id": "2", "MessageBody": strings.Repeat("a", 1024)},
		}})
	},
	"tag_untag_queue[sqs]": func(r *replay) {
		url := r.queue("q", nil)
		r.call("", "TagQueue", in{"QueueUrl": url, "Tags": attrs{"tag1": "value1", "tag2": "value2", "tag3": ""}})
		r.call("get-tag-1", "ListQueueTags", in{"QueueUrl": url})
		r.call("", "UntagQueue", in{"QueueUrl": url, "TagKeys": []string{"tag1", "tag3"}})
		r.call("get-tag-2", "ListQueueTags", in{"QueueUrl": url})
		r.call("", "UntagQueue", in{"QueueUrl": url, "TagKeys": []string{"tag2"}})
		r.call("get-tag-after-untag", "ListQueueTags", in{"QueueUrl": url})
	},
	"create_fifo_queue_with_different_attributes_raises_error[sqs]": func(r *replay) {
		r.queue("q.fifo", attrs{"ContentBasedDeduplication": "true"})
		r.call("queue-already-exists", "CreateQueue", in{"QueueName": "q.fifo", "Attributes": attrs{"FifoQueue": "true", "ContentBasedDeduplication": "false"}})
	},
	"create_queue_with_different_attributes_raises_exception[sqs]": func(r *replay) {
		r.queue("q", attrs{"DelaySeconds": "1"})
		r.call("create_queue_01", "CreateQueue", in{"QueueName": "q", "Attributes": attrs{"DelaySeconds": "2"}})
		r.ok("set", r.set("q", attrs{"DelaySeconds": "2"}))
		r.call("create_queue_02", "CreateQueue", in{"QueueName": "q", "Attributes": attrs{"DelaySeconds": "1"}})
	},
	"create_and_update_queue_attributes[sqs]": func(r *replay) {
		url := r.queue("q", attrs{"MessageRetentionPeriod": "604800", "ReceiveMessageWaitTimeSeconds": "10", "VisibilityTimeout": "20"})
		r.describe("get_queue_attributes", url, "All")
		r.ok("set", r.set(url, attrs{"MaximumMessageSize": "2048", "VisibilityTimeout": "69", "DelaySeconds": "420"}))
		r.describe("get_updated_queue_attributes", url, "All")
	},
	"change_message_visibility_after_visibility_timeout_expiration[sqs]": func(r *replay) {
		url := r.queue("q", nil)
		r.send(url, "foobar")
		m := r.receive(url, 1, visibility(1))[0]
		time.Sleep(2 * time.Second)
		r.call("visibility_timeout_expired", "ChangeMessageVisibility", in{"QueueUrl": url, "ReceiptHandle": *m.ReceiptHandle, "VisibilityTimeout": 2})
	},
	"fifo_empty_message_groups_added_back_to_queue[sqs]": func(r *replay) {
		url := r.queue("q.fifo", nil)
		r.sendTo(url, "g1", "1", "Message 1")
		first := r.take("inital-fifo-receive", url) //nolint:misspell // the recording's label
		r.call("", "DeleteMessage", in{"QueueUrl": url, "ReceiptHandle": first[0]["ReceiptHandle"]})
		r.take("empty-fifo-receive", url)
		r.sendTo(url, "g1", "2", "Message 2")
		r.take("final-fifo-receive", url)
	},
	"fifo_queue_send_message_with_delay_seconds_fails[sqs]": func(r *replay) {
		r.call("send_message", "SendMessage", in{"QueueUrl": r.queue("q.fifo", nil), "MessageBody": "x", "MessageGroupId": "1", "MessageDeduplicationId": "1", "DelaySeconds": 2})
	},
	"fifo_message_attributes[sqs]": func(r *replay) {
		url := r.queue("q.fifo", attrs{"VisibilityTimeout": "0"})
		r.call("send_message", "SendMessage", in{"QueueUrl": url, "MessageBody": "message-body-1", "MessageGroupId": "group-1", "MessageDeduplicationId": "dedup-1"})
		for i := range 2 {
			r.call(fmt.Sprint("receive_message_", i), "ReceiveMessage", in{"QueueUrl": url, "AttributeNames": []string{"All"}})
		}
	},
	"fifo_set_content_based_deduplication_strategy[sqs]": func(r *replay) {
		url := r.queue("q.fifo", attrs{"ContentBasedDeduplication": "true"})
		r.describe("before-update", url, "All")
		r.ok("set", r.set(url, attrs{"ContentBasedDeduplication": "false"}))
		r.describe("after-update", url, "All")
	},
	"too_many_entries_in_batch_request[sqs]": func(r *replay) {
		r.batch("test_too_many_entries_in_batch_request", "SendMessageBatch", 20, "")
	},
	"invalid_batch_id[sqs]": func(r *replay) { r.batch("test_invalid_batch_id", "SendMessageBatch", 1, "message:0") },
	"send_batch_missing_deduplication_id_for_fifo_queue[sqs]": func(r *replay) {
		r.call("test_missing_deduplication_id_for_fifo_queue", "SendMessageBatch", in{"QueueUrl": r.queue("q.fifo", nil), "Entries": []in{
			{"Id": "1", "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "d"}, {"Id": "2", "MessageBody": "x", "MessageGroupId": "g"},
		}})
	},
	"send_batch_missing_message_group_id_for_fifo_queue[sqs]": func(r *replay) {
		r.call("test_missing_message_group_id_for_fifo_queue", "SendMessageBatch", in{"QueueUrl": r.queue("q.fifo", nil), "Entries": []in{
			{"Id": "1", "MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "d"}, {"Id": "2", "MessageBody": "x", "MessageDeduplicationId": "e"},
		}})
	},
	"delete_message_batch_invalid_msg_id[sqs-]": func(r *replay) { r.batch("error_response", "DeleteMessageBatch", 1, "EMPTY") },
	"delete_message_batch_invalid_msg_id[sqs-testLongId" + strings.Repeat("testLongId", 9) + "]": func(r *replay) {
		r.batch("error_response", "DeleteMessageBatch", 1, strings.Repeat("testLongId", 10))
	},
	"delete_message_batch_invalid_msg_id[sqs-invalid:id]":       func(r *replay) { r.batch("error_response", "DeleteMessageBatch", 1, "invalid:id") },
	"delete_message_batch_with_too_large_batch[sqs]":            func(r *replay) { r.batch("error_response", "DeleteMessageBatch", 20, "") },
	"change_message_visibility_batch_with_too_large_batch[sqs]": func(r *replay) { r.batch("error_response", "ChangeMessageVisibilityBatch", 20, "") },
	"send_message_with_binary_attributes[sqs]": func(r *replay) {
		url := r.queue("q", nil)
		r.call("", "SendMessage", in{"QueueUrl": url, "MessageBody": "test", "MessageAttributes": in{"attr1": in{
			"DataType": "Binary", "BinaryValue": []byte("traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01"),
		}}})
		r.call("binary-attrs-msg", "ReceiveMessage", in{"QueueUrl": url, "MessageAttributeNames": []string{"All"}})
	},
	"send_message_with_empty_string_attribute[sqs]": func(r *replay) {
		r.call("empty-string-attr", "SendMessage", in{"QueueUrl": r.queue("q", nil), "MessageBody": "test", "MessageAttributes": in{"ErrorDetails": in{"DataType": "String", "StringValue": ""}}})
	},
	"dead_letter_queue_message_attributes": func(r *replay) { r.deadLetterAttributes() },
	"set_unsupported_attribute_fifo[sqs]": func(r *replay) {
		r.call("invalid-attr-name-1", "SetQueueAttributes", in{"QueueUrl": r.queue("q", nil), "Attributes": attrs{"FifoQueue": "true"}})
		r.call("invalid-attr-name-2", "SetQueueAttributes", in{"QueueUrl": r.queue("q.fifo", nil), "Attributes": attrs{"FifoQueue": "false"}})
	},
	"set_unsupported_attribute_standard[sqs]": func(r *replay) {
		url := r.queue("q", nil)
		r.call("invalid-attr-name-1", "SetQueueAttributes", in{"QueueUrl": url, "Attributes": attrs{"FifoQueue": "true"}})
		r.call("invalid-attr-name-2", "SetQueueAttributes", in{"QueueUrl": url, "Attributes": attrs{"FifoQueue": "false"}})
	},
	"fifo_deduplication_arrives_once_after_delete[sqs-True]":  func(r *replay) { r.onceAfterDelete(true) },
	"fifo_deduplication_arrives_once_after_delete[sqs-False]": func(r *replay) { r.onceAfterDelete(false) },
	"fifo_deduplication_not_on_message_group_id[sqs-True]":    func(r *replay) { r.notOnGroup(true) },
	"fifo_deduplication_not_on_message_group_id[sqs-False]":   func(r *replay) { r.notOnGroup(false) },
	"posting_to_fifo_requires_deduplicationid_group_id[sqs]": func(r *replay) {
		url := r.queue("q.fifo", nil)
		for _, suffix := range []string{"", "-query"} {
			r.call("invalid-parameter-value"+suffix, "SendMessage", in{"QueueUrl": url, "MessageBody": "x", "MessageGroupId": "g"})
			r.call("missing-parameter"+suffix, "SendMessage", in{"QueueUrl": url, "MessageBody": "x", "MessageDeduplicationId": "d"})
		}
	},
	"successive_purge_calls_fail[sqs]": func(r *replay) {
		url := r.queue("q", nil)
		r.call("", "PurgeQueue", in{"QueueUrl": url})
		r.call("purge_queue_error", "PurgeQueue", in{"QueueUrl": url})
	},
	"sqs_fifo_same_dedup_id_different_message_groups[sqs]": func(r *replay) {
		r.twoGroups(r.queue("q.fifo", nil), "Test", "Test")
	},
	"fifo_high_throughput_ordering[sqs]": func(r *replay) {
		r.twoGroups(r.queue("q.fifo", highThroughput), "Test1", "Test2")
	},
	"sqs_fifo_message_group_scope_no_throughput_setting[sqs]": func(r *replay) {
		r.twoGroups(r.queue("q.fifo", attrs{"DeduplicationScope": "messageGroup"}), "Test", "Test")
	},
	"fifo_change_to_high_throughput_after_creation[sqs]": func(r *replay) {
		url := r.queue("q.fifo", nil)
		r.twoGroups(url, "Test1", "Test2")
		r.ok("set", r.set(url, highThroughput))
		r.describe("set-to-high-throughput", url, "All")
		r.sendTo(url, "g1", "dedup1", "Test1") // the calls are a guess from here on
		r.take("same-dedup-different-grp-high-throughput", url)
		r.sendTo(url, "g2", "dedup1", "Test2")
		r.take("same-dedup-different-grp-high-throughput-2", url)
		r.sendTo(url, "g1", "dedup2", "Test4")
		r.take("new-dedup2-high-throughput", url)
		r.sendTo(url, "g1", "dedup2", "Test5")
		r.take("same-dedup2-high-throughput", url)
	},
	"fifo_change_to_regular_throughput_after_creation[sqs]": func(r *replay) {
		url := r.queue("q.fifo", highThroughput)
		r.twoGroups(url, "Test1", "Test2")
		r.ok("set", r.set(url, attrs{"DeduplicationScope": "queue", "FifoThroughputLimit": "perQueue"}))
		r.describe("set-to-regular-throughput", url, "All")
		r.sendTo(url, "g3", "dedup1", "Test3")
		r.take("same-dedup-different-grp-regular-throughput", url)
	},
	"sse_queue_attributes[sqs]": func(r *replay) {
		names := []string{"KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled"}
		kms, own := r.queue("kms", nil), r.queue("own", nil)
		r.ok("set", r.set(kms, attrs{"KmsMasterKeyId": "testKeyId", "KmsDataKeyReusePeriodSeconds": "6000", "SqsManagedSseEnabled": "false"}))
		r.describe("sse_kms_attributes", kms, names...)
		r.ok("set", r.set(own, attrs{"SqsManagedSseEnabled": "true"}))
		r.describe("sse_sqs_attributes", own, names...)
	},
	"sse_kms_and_sqs_are_mutually_exclusive[sqs]": func(r *replay) {
		a := r.env.call("SetQueueAttributes", in{"QueueUrl": r.queue("q", nil), "Attributes": attrs{"KmsMasterKeyId": "testKeyId", "SqsManagedSseEnabled": "true"}})
		r.got["error"] = fmt.Sprintf("An error occurred (%s) when calling the SetQueueAttributes operation: %s", a.code(), a.message())
	},
	"receive_message_message_attribute_names_filters[sqs]": func(r *replay) { r.attributeFilters() },
	"receive_message_attribute_names_filters[sqs]":         func(r *replay) { r.systemFilters("AttributeNames") },
	"receive_message_message_system_attribute_names_filters[sqs]": func(r *replay) {
		r.systemFilters("MessageSystemAttributeNames")
	},
	"message_system_attribute_names_with_attribute_names[sqs]": func(r *replay) {
		url := r.queue("q", attrs{"VisibilityTimeout": "0"})
		r.send(url, "msg")
		r.call("same_values", "ReceiveMessage", in{"QueueUrl": url, "AttributeNames": []string{"All"}, "MessageSystemAttributeNames": []string{"All"}})
		r.call("different_values", "ReceiveMessage", in{"QueueUrl": url, "AttributeNames": []string{"SenderId"}, "MessageSystemAttributeNames": []string{"All"}})
	},
	"sqs_permission_lifecycle[sqs]": func(r *replay) { r.permissions() },
	"non_existent_queue": func(r *replay) {
		r.call("queue-does-not-exist", "GetQueueUrl", in{"QueueName": "none"})
		r.call("queue-does-not-exist-url", "GetQueueAttributes", in{"QueueUrl": r.url("none")})
	},
	"send_message_via_queue_url_with_json_protocol": func(r *replay) {
		r.call("receive-json-on-queue-url", "ReceiveMessage", in{"QueueUrl": r.queue("q", nil)})
	},
	"create_standard_queue_with_fifo_attribute_raises_error[sqs]": func(r *replay) {
		for label, set := range map[string]attrs{
			"invalid-attribute-fifo-queue":                  {"FifoQueue": "false"},
			"invalid-attribute-content-based-deduplication": {"ContentBasedDeduplication": "false"},
			"invalid-attribute-deduplication-scope":         {"DeduplicationScope": "messageGroup"},
			"invalid-attribute-throughput-limit":            {"FifoThroughputLimit": "perMessageGroupId"},
		} {
			r.call(label, "CreateQueue", in{"QueueName": "q", "Attributes": set})
		}
	},
	"send_receive_wait_time_seconds[sqs]": func(r *replay) {
		url := r.queue("q", nil)
		r.call("recieve_message_error_too_large", "ReceiveMessage", in{"QueueUrl": url, "WaitTimeSeconds": 21}) //nolint:misspell // as above
		r.call("recieve_message_error_too_small", "ReceiveMessage", in{"QueueUrl": url, "WaitTimeSeconds": -1}) //nolint:misspell // as above
		r.send(url, "message")
		r.call("empty_short_poll_by_default_resp", "ReceiveMessage", in{"QueueUrl": url})
		r.send(url, "message")
		r.call("empty_short_poll_explicit_resp", "ReceiveMessage", in{"QueueUrl": url, "WaitTimeSeconds": 0})
	},
	"receive_empty_queue[sqs]": func(r *replay) {
		url := r.queue("q", nil)
		r.call("empty_short_poll_resp_no_param", "ReceiveMessage", in{"QueueUrl": url})
		r.call("empty_short_poll_resp", "ReceiveMessage", in{"QueueUrl": url, "WaitTimeSeconds": 0})
		r.call("empty_long_poll_resp", "ReceiveMessage", in{"QueueUrl": url, "WaitTimeSeconds": 1})
	},
	"send_empty_message[sqs]": func(r *replay) {
		r.call("send_empty_message", "SendMessage", in{"QueueUrl": r.queue("q", nil), "MessageBody": ""})
	},
	"list_queues_pagination": func(r *replay) {
		for i := range 10 {
			r.queue(fmt.Sprint("test-queue-", i), nil)
		}
		r.call("list_all", "ListQueues", in{"QueueNamePrefix": "test-"})
		two := r.call("list_two_max", "ListQueues", in{"QueueNamePrefix": "test-", "MaxResults": 2})
		r.call("list_remaining", "ListQueues", in{"QueueNamePrefix": "test-", "MaxResults": 8, "NextToken": two["NextToken"]})
	},
	"delete_after_visibility_timeout[sqs]": func(r *replay) {
		url := r.queue("q", attrs{"VisibilityTimeout": "1"})
		r.send(url, "foobar")
		m := r.receive(url, 1)[0]
		time.Sleep(2 * time.Second)
		r.ok("delete", r.delete(url, m))
		r.take("delete_after_timeout_queue_empty", url)
	},
	"fifo_delete_after_visibility_timeout[sqs]": func(r *replay) {
		url := r.queue("q.fifo", attrs{"VisibilityTimeout": "1"})
		r.sendTo(url, "g", "d", "foobar")
		m := r.take("received_sqs_message", url)
		time.Sleep(2 * time.Second)
		r.call("delete_after_timeout_fifo", "DeleteMessage", in{"QueueUrl": url, "ReceiptHandle": m[0]["ReceiptHandle"]})
	},
	"fifo_delete_after_visibility_timeout_extended[sqs]": func(r *replay) {
		url := r.queue("q.fifo", attrs{"VisibilityTimeout": "1"})
		r.sendTo(url, "g", "d", "foobar")
		m := r.take("received_sqs_message", url)
		r.call("", "ChangeMessageVisibility", in{"QueueUrl": url, "ReceiptHandle": m[0]["ReceiptHandle"], "VisibilityTimeout": 10})
		time.Sleep(2 * time.Second)
		r.call("delete_after_timeout_fifo_extended", "DeleteMessage", in{"QueueUrl": url, "ReceiptHandle": m[0]["ReceiptHandle"]})
	},
	"aws_trace_header_propagation[sqs]": func(r *replay) {
		url := r.queue("q", nil)
		r.call("", "SendMessage", in{
			"QueueUrl": url, "MessageBody": "test",
			"MessageAttributes":       in{"timestamp": in{"DataType": "Number", "StringValue": "1493147359900"}},
			"MessageSystemAttributes": in{"AWSTraceHeader": in{"DataType": "String", "StringValue": "Root=1-3152b799-8954dae64eda91bc9a23a7e8;Parent=7fa8c0f79203be72;Sampled=1"}},
		})
		out := r.call("", "ReceiveMessage", in{"QueueUrl": url, "MessageAttributeNames": []string{"All"}, "MessageSystemAttributeNames": []string{"AWSTraceHeader", "SentTimestamp"}})
		m := messages(out)[0]
		m["MessageAttributes"] = in{"timestamp": "timestamp"} // as the recorder wrote it
		r.got["xray-msg"] = m
	},
	"fair_queue_with_message_group_id[sqs]": func(r *replay) {
		url := r.queue("q", nil)
		r.call("send_message", "SendMessage", in{"QueueUrl": url, "MessageBody": "message", "MessageGroupId": "test"})
		r.call("get-message-with-deduplication-id", "ReceiveMessage", in{"QueueUrl": url, "AttributeNames": []string{"All"}})
	},
	"send_message_to_standard_queue_with_invalid_message_group_id[empty]":    func(r *replay) { r.badGroup("") },
	"send_message_to_standard_queue_with_invalid_message_group_id[too_long]": func(r *replay) { r.badGroup(strings.Repeat("a", 129)) },
	"send_message_to_standard_queue_with_invalid_message_group_id[spaces]":   func(r *replay) { r.badGroup("group 123") },
	"message_deduplication_id_invalid[empty]":                                func(r *replay) { r.badDedup("") },
	"message_deduplication_id_invalid[too_long]":                             func(r *replay) { r.badDedup(strings.Repeat("a", 129)) },
	"message_deduplication_id_invalid[spaces]":                               func(r *replay) { r.badDedup("group 123") },
	"fifo_queue_send_message_with_zero_delay_defaults_to_queue_delay[sqs]": func(r *replay) {
		url := r.queue("q.fifo", attrs{"DelaySeconds": "2"})
		r.call("send_message_result", "SendMessage", in{"QueueUrl": url, "MessageBody": "message-1", "MessageGroupId": "g", "MessageDeduplicationId": "d", "DelaySeconds": 0})
		r.take("receive_message_initial_result", url)
		time.Sleep(3 * time.Second)
		r.take("receive_message_after_delay_result", url)
	},
	"fifo_group_visibility_extends_with_change_message_visibility[sqs-all-invisible]": func(r *replay) { r.groupVisibility(0) },
	"fifo_group_visibility_extends_with_change_message_visibility[sqs-1-invisible]":   func(r *replay) { r.groupVisibility(1) },
	"fifo_group_visibility_extends_with_change_message_visibility[sqs-no-invisible]":  func(r *replay) { r.groupVisibility(2) },
	"fifo_group_visibility_extends_with_change_message_visibility[sqs-0-visible]":     func(r *replay) { r.groupVisibility(0) },
	"fifo_group_visibility_extends_with_change_message_visibility[sqs-1-visible]":     func(r *replay) { r.groupVisibility(1) },
	"fifo_group_visibility_extends_with_change_message_visibility[sqs-2-visible]":     func(r *replay) { r.groupVisibility(2) },
	"set_queue_attributes_default_values[sqs]": func(r *replay) {
		url := r.queue("q", nil)
		r.describe("get-queue-attributes-initial-values", url, "All")
		r.ok("set", r.set(url, attrs{"KmsMasterKeyId": "testKeyId", "KmsDataKeyReusePeriodSeconds": "6000"}))
		r.describe("get-queue-attributes-after-update", url, "All")
		r.ok("set", r.set(url, attrs{"KmsMasterKeyId": "", "KmsDataKeyReusePeriodSeconds": ""}))
		r.describe("get-queue-attributes-after-set-to-defaults", url, "All")
	},
}
