package sqstest_test

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// refusal is a request that SQS refuses. In its body, STD, FIFO and CONTENT are
// the URLs of a Standard queue, a FIFO queue, and one with content-based
// deduplication; HANDLE is the receipt handle of a message of the Standard one.
type refusal struct {
	name, source  string
	action, body  string
	code, message string // the query protocol's code; a part of the message
}

// range of numbers: one below and one above.
func outside(name, action, source, before, after string, low, high int, code, message string) []refusal {
	var rs []refusal
	for _, n := range []int{low - 1, high + 1} {
		rs = append(rs, refusal{
			fmt.Sprintf("%s %d", name, n), source, action, before + fmt.Sprint(n) + after, code,
			strings.ReplaceAll(message, "#", fmt.Sprint(n)),
		})
	}
	return rs
}

func attributeRange(name string, low, high int) []refusal {
	return outside(name, "SetQueueAttributes", "API CreateQueue", `{"QueueUrl":"STD","Attributes":{"`+name+`":"`, `"}}`,
		low, high, "InvalidAttributeValue", "Invalid value for the parameter "+name)
}

func setTo(name, attributes, queue, code, message, source string) refusal {
	return refusal{name, source, "SetQueueAttributes", `{"QueueUrl":"` + queue + `","Attributes":` + attributes + `}`, code, message}
}

func create(name, queue, attributes, code, message, source string) refusal {
	return refusal{name, source, "CreateQueue", `{"QueueName":"` + queue + `","Attributes":` + attributes + `}`, code, message}
}

func sendWith(name, queue, more, code, message, source string) refusal {
	return refusal{name, source, "SendMessage", `{"QueueUrl":"` + queue + `","MessageBody":"x",` + more + `}`, code, message}
}

func attributeOf(name, attribute, message string) refusal {
	return sendWith("attribute "+name, "STD", `"MessageAttributes":{`+attribute+`}`, "InvalidParameterValue", message, "DG sqs-message-metadata")
}

func attributesNumbered(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"a%d":{"DataType":"String","StringValue":"v"}`, i))
	}
	return strings.Join(all, ",")
}

func entries(n int, entry string) string {
	var all []string
	for i := range n {
		all = append(all, strings.ReplaceAll(entry, "#", fmt.Sprint("i", i)))
	}
	return strings.Join(all, ",")
}

// batches are the refusals that all batch actions share.
func batches() []refusal {
	var rs []refusal
	for _, kind := range [][2]string{
		{"SendMessageBatch", `"MessageBody":"x"`},
		{"DeleteMessageBatch", `"ReceiptHandle":"HANDLE"`},
		{"ChangeMessageVisibilityBatch", `"ReceiptHandle":"HANDLE","VisibilityTimeout":1`},
	} {
		action, rest := kind[0], kind[1]
		one := func(name, entries, code, message string) {
			rs = append(rs, refusal{"batch " + name + " (" + action + ")", "API " + action + "; OBS 2024-04-30", action,
				`{"QueueUrl":"STD","Entries":[` + entries + `]}`, "AWS.SimpleQueueService." + code, message})
		}
		badID := "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long."
		one("empty", "", "EmptyBatchRequest", "")
		one("of 11", entries(11, `{"Id":"#",`+rest+`}`), "TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10. You have sent 11.")
		one("with an id twice", `{"Id":"a",`+rest+`},{"Id":"a",`+rest+`}`, "BatchEntryIdsNotDistinct", "Id a repeated.")
		one("with an empty id", `{"Id":"",`+rest+`}`, "InvalidBatchEntryId", badID)
		one("with a bad id", `{"Id":"invalid:id",`+rest+`}`, "InvalidBatchEntryId", badID)
		one("with a long id", `{"Id":"`+strings.Repeat("x", 81)+`",`+rest+`}`, "InvalidBatchEntryId", badID)
	}
	return rs
}

const badName = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"

func refusals() []refusal {
	long := strings.Repeat("a", 129)
	idReason := func(id, parameter string) string {
		return "Value " + id + " for parameter " + parameter + " is invalid. Reason: " + parameter +
			" can only include alphanumeric and punctuation characters. 1 to 128 in length."
	}
	rs := []refusal{
		create("queue name with a space", "a b", "{}", "InvalidParameterValue", badName, "API CreateQueue"),
		create("queue name of 81", strings.Repeat("a", 81), "{}", "InvalidParameterValue", badName, "API CreateQueue; DG quotas-queues"),
		create("queue name empty", "", "{}", "MissingParameter", "QueueName", "API CreateQueue"),
		create("FIFO name of 81", strings.Repeat("a", 76)+".fifo", `{"FifoQueue":"true"}`, "InvalidParameterValue", badName, "DG quotas-fifo"),
		create("FIFO without suffix", "q", `{"FifoQueue":"true"}`, "InvalidParameterValue", "must end with .fifo suffix", "API CreateQueue"),
		create("suffix without FIFO", "q.fifo", `{}`, "InvalidParameterValue", badName, "API CreateQueue"),
		create("FifoQueue false", "q", `{"FifoQueue":"false"}`, "InvalidAttributeName", "Unknown Attribute FifoQueue.", "OBS 2024-05-15"),
		create("ContentBasedDeduplication on Standard", "q", `{"ContentBasedDeduplication":"true"}`, "InvalidAttributeName", "Unknown Attribute ContentBasedDeduplication.", "OBS 2024-05-15"),
		create("DeduplicationScope on Standard", "q", `{"DeduplicationScope":"queue"}`, "InvalidAttributeName", "You can specify the DeduplicationScope only when FifoQueue is set to true.", "OBS 2024-05-15"),
		create("FifoThroughputLimit on Standard", "q", `{"FifoThroughputLimit":"perQueue"}`, "InvalidAttributeName", "You can specify the FifoThroughputLimit only when FifoQueue is set to true.", "OBS 2024-05-15"),
		create("unknown attribute", "q", `{"Foo":"1"}`, "InvalidAttributeName", "Unknown Attribute Foo.", "API CreateQueue"),
		create("perMessageGroupId without scope", "q.fifo", `{"FifoQueue":"true","FifoThroughputLimit":"perMessageGroupId"}`, "InvalidAttributeValue", "FifoThroughputLimit", "API CreateQueue"),
		setTo("read-only attribute", `{"QueueArn":"x"}`, "STD", "InvalidAttributeName", "Unknown Attribute QueueArn.", "API SetQueueAttributes"),
		setTo("number that is none", `{"DelaySeconds":"ten"}`, "STD", "InvalidAttributeValue", "DelaySeconds", "API SetQueueAttributes"),
		setTo("bad boolean", `{"ContentBasedDeduplication":"maybe"}`, "FIFO", "InvalidAttributeValue", "ContentBasedDeduplication", "API SetQueueAttributes"),
		setTo("bad scope", `{"DeduplicationScope":"group"}`, "FIFO", "InvalidAttributeValue", "DeduplicationScope", "API SetQueueAttributes"),
		setTo("bad throughput limit", `{"FifoThroughputLimit":"none"}`, "FIFO", "InvalidAttributeValue", "FifoThroughputLimit", "API SetQueueAttributes"),
		setTo("policy that is no JSON", `{"Policy":"{"}`, "STD", "InvalidAttributeValue", "Policy", "API SetQueueAttributes"),
		setTo("both encryptions", `{"KmsMasterKeyId":"k","SqsManagedSseEnabled":"true"}`, "STD", "InvalidAttributeName", "You can use one type of server-side encryption (SSE) at one time.", "OBS 2024-04-30"),
		setTo("KMS reuse period", `{"KmsMasterKeyId":"k","KmsDataKeyReusePeriodSeconds":"59"}`, "STD", "InvalidAttributeValue", "KmsDataKeyReusePeriodSeconds", "API SetQueueAttributes"),
		setTo("redrive policy no JSON", `{"RedrivePolicy":"x"}`, "STD", "InvalidParameterValue", "RedrivePolicy", "API SetQueueAttributes"),
		setTo("redrive policy without count", `{"RedrivePolicy":"{\"deadLetterTargetArn\":\"ARN\"}"}`, "STD", "InvalidParameterValue", "maxReceiveCount", "API SetQueueAttributes"),
		setTo("redrive policy without target", `{"RedrivePolicy":"{\"maxReceiveCount\":1}"}`, "STD", "InvalidParameterValue", "deadLetterTargetArn", "API SetQueueAttributes"),
		setTo("redrive count 0", `{"RedrivePolicy":"{\"deadLetterTargetArn\":\"ARN\",\"maxReceiveCount\":0}"}`, "STD", "InvalidParameterValue", "from 1 to 1000", "API SetQueueAttributes; AWS MDAA docs"),
		setTo("redrive count 1001", `{"RedrivePolicy":"{\"deadLetterTargetArn\":\"ARN\",\"maxReceiveCount\":1001}"}`, "STD", "InvalidParameterValue", "from 1 to 1000", "AWS MDAA docs"),
		setTo("allow policy permission", `{"RedriveAllowPolicy":"{\"redrivePermission\":\"some\"}"}`, "STD", "InvalidParameterValue", "allowAll, denyAll, byQueue", "API SetQueueAttributes"),
		setTo("allow policy byQueue without ARNs", `{"RedriveAllowPolicy":"{\"redrivePermission\":\"byQueue\"}"}`, "STD", "InvalidParameterValue", "1 to 10", "API SetQueueAttributes"),
		setTo("allow policy denyAll with ARNs", `{"RedriveAllowPolicy":"{\"redrivePermission\":\"denyAll\",\"sourceQueueArns\":[\"a\"]}"}`, "STD", "InvalidParameterValue", "byQueue only", "API SetQueueAttributes"),

		{"send without body", "OBS 2025-09-22", "SendMessage", `{"QueueUrl":"STD","MessageBody":""}`, "MissingParameter", "The request must contain the parameter MessageBody."},
		{"send without queue", "API SendMessage", "SendMessage", `{"MessageBody":"x"}`, "MissingParameter", "The request must contain the parameter QueueUrl."},
		{"body with a control character", "API SendMessage; OBS", "SendMessage", `{"QueueUrl":"STD","MessageBody":"a\u0008"}`, "InvalidMessageContents", "Invalid characters found."},
		{"body with #xFFFE", "API SendMessage; OBS", "SendMessage", `{"QueueUrl":"STD","MessageBody":"` + "\ufffe" + `"}`, "InvalidMessageContents", "Invalid characters found."},
		sendWith("group id empty", "STD", `"MessageGroupId":""`, "InvalidParameterValue", idReason("", "MessageGroupId"), "OBS 2025-07-30"),
		sendWith("group id of 129", "STD", `"MessageGroupId":"`+long+`"`, "InvalidParameterValue", idReason(long, "MessageGroupId"), "OBS 2025-07-30"),
		sendWith("group id with a space", "STD", `"MessageGroupId":"group 123"`, "InvalidParameterValue", idReason("group 123", "MessageGroupId"), "OBS 2025-07-30"),
		sendWith("dedup id empty", "FIFO", `"MessageGroupId":"g","MessageDeduplicationId":""`, "InvalidParameterValue", idReason("", "MessageDeduplicationId"), "OBS 2025-07-30"),
		sendWith("dedup id of 129", "FIFO", `"MessageGroupId":"g","MessageDeduplicationId":"`+long+`"`, "InvalidParameterValue", idReason(long, "MessageDeduplicationId"), "OBS 2025-07-30"),
		sendWith("dedup id with a space", "FIFO", `"MessageGroupId":"g","MessageDeduplicationId":"group 123"`, "InvalidParameterValue", idReason("group 123", "MessageDeduplicationId"), "OBS 2025-07-30"),
		sendWith("dedup id on Standard", "STD", `"MessageDeduplicationId":"d"`, "InvalidParameterValue", "not valid for this queue type", "API SendMessage"),
		sendWith("no dedup id", "FIFO", `"MessageGroupId":"g"`, "InvalidParameterValue", "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly", "OBS 2024-04-30"),
		sendWith("no group", "FIFO", `"MessageDeduplicationId":"d"`, "MissingParameter", "The request must contain the parameter MessageGroupId.", "OBS 2024-04-30"),
		sendWith("no group, content-based", "CONTENT", `"MessageAttributes":{}`, "MissingParameter", "The request must contain the parameter MessageGroupId.", "OBS 2024-04-30"),
		sendWith("delay on FIFO", "FIFO", `"MessageGroupId":"g","MessageDeduplicationId":"d","DelaySeconds":2`, "InvalidParameterValue",
			"Value 2 for parameter DelaySeconds is invalid. Reason: The request include parameter that is not valid for this queue type.", "OBS 2024-04-30"),
		sendWith("system attribute unknown", "STD", `"MessageSystemAttributes":{"Foo":{"DataType":"String","StringValue":"x"}}`, "InvalidParameterValue", "Foo", "API SendMessage"),
		sendWith("trace header not a string", "STD", `"MessageSystemAttributes":{"AWSTraceHeader":{"DataType":"Binary","BinaryValue":"AA=="}}`, "InvalidParameterValue", "AWSTraceHeader", "API SendMessage"),
		sendWith("list values", "STD", `"MessageAttributes":{"a":{"DataType":"String","StringListValues":["x"]}}`, "AWS.SimpleQueueService.UnsupportedOperation", "list values", "API MessageAttributeValue (the code is a guess)"),

		attributeOf("11 of them", attributesNumbered(11), "Number of message attributes [11] exceeds the allowed maximum [10]."),
		attributeOf("name empty", `"":{"DataType":"String","StringValue":"v"}`, "name"),
		attributeOf("name with !", `"a!":{"DataType":"String","StringValue":"v"}`, "a!"),
		attributeOf("name with a space", `"a b":{"DataType":"String","StringValue":"v"}`, "a b"),
		attributeOf("name with ø (AWS takes it)", `"ø":{"DataType":"String","StringValue":"v"}`, "ø"),
		attributeOf("name of 257", `"`+strings.Repeat("L", 257)+`":{"DataType":"String","StringValue":"v"}`, "256"),
		attributeOf("name aWs.", `"aWs.x":{"DataType":"String","StringValue":"v"}`, "reserved"),
		attributeOf("name AMAZON.", `"AMAZON.x":{"DataType":"String","StringValue":"v"}`, "reserved"),
		attributeOf("name .a", `".a":{"DataType":"String","StringValue":"v"}`, "period"),
		attributeOf("name a.", `"a.":{"DataType":"String","StringValue":"v"}`, "period"),
		attributeOf("name a..b (AWS takes it)", `"a..b":{"DataType":"String","StringValue":"v"}`, "period"),
		attributeOf("type missing", `"a":{"StringValue":"v"}`, "non-empty attribute type"),
		attributeOf("type unknown", `"a":{"DataType":"Invalid","StringValue":"v"}`, "Binary, Number, and String"),
		attributeOf("type lower case", `"a":{"DataType":"string","StringValue":"v"}`, "Binary, Number, and String"),
		attributeOf("type of 263", `"a":{"DataType":"Number.`+strings.Repeat("L", 256)+`","StringValue":"1"}`, "256"),
		attributeOf("String empty", `"ErrorDetails":{"DataType":"String","StringValue":""}`, "Message (user) attribute 'ErrorDetails' must contain a non-empty value of type 'String'."),
		attributeOf("String missing", `"a":{"DataType":"String"}`, "non-empty value"),
		attributeOf("String with binary value", `"a":{"DataType":"String","BinaryValue":"AA=="}`, "non-empty value"),
		attributeOf("String and binary value", `"a":{"DataType":"String","StringValue":"v","BinaryValue":"AA=="}`, "more than one type"),
		attributeOf("Binary empty", `"a":{"DataType":"Binary","BinaryValue":""}`, "non-empty value of type 'Binary'"),
		attributeOf("control character", `"a":{"DataType":"String","StringValue":"Invalid-\u0008"}`, "Invalid characters found."),
		attributeOf("Number that is none", `"a":{"DataType":"Number","StringValue":"one"}`, "to a number"),
		attributeOf("Number NaN", `"a":{"DataType":"Number","StringValue":"NaN"}`, "to a number"),
		attributeOf("Number hexadecimal", `"a":{"DataType":"Number.hex","StringValue":"0x10"}`, "to a number"),
		attributeOf("Number of 39 digits", `"a":{"DataType":"Number","StringValue":"`+strings.Repeat("1", 39)+`"}`, "to a number"),
		attributeOf("Number too large", `"a":{"DataType":"Number","StringValue":"1e127"}`, "to a number"),
		attributeOf("Number too small", `"a":{"DataType":"Number","StringValue":"1e-129"}`, "to a number"),

		{"receive visibility absent queue", "API ReceiveMessage", "ReceiveMessage", `{"QueueUrl":"http://x/123456789012/none"}`, "AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist."},
		{"attempt id on Standard", "API ReceiveMessage", "ReceiveMessage", `{"QueueUrl":"STD","ReceiveRequestAttemptId":"a"}`, "InvalidParameterValue", "not valid for this queue type"},
		{"attempt id with a space", "API ReceiveMessage", "ReceiveMessage", `{"QueueUrl":"FIFO","ReceiveRequestAttemptId":"a b"}`, "InvalidParameterValue", "ReceiveRequestAttemptId"},
		{"system attribute name unknown", "API ReceiveMessage", "ReceiveMessage", `{"QueueUrl":"STD","MessageSystemAttributeNames":["Foo"]}`, "InvalidAttributeName", "Unknown Attribute Foo."},
		{"delete without handle", "API DeleteMessage", "DeleteMessage", `{"QueueUrl":"STD"}`, "MissingParameter", "ReceiptHandle"},
		{"delete with garbage", "OBS", "DeleteMessage", `{"QueueUrl":"STD","ReceiptHandle":"garbage"}`, "ReceiptHandleIsInvalid", `The input receipt handle "garbage" is not a valid receipt handle.`},
		{"delete with base64 garbage", "OBS", "DeleteMessage", `{"QueueUrl":"STD","ReceiptHandle":"` + strings.Repeat("AAAA", 8) + `"}`, "ReceiptHandleIsInvalid", "not a valid receipt handle"},
		{"change without timeout", "API ChangeMessageVisibility", "ChangeMessageVisibility", `{"QueueUrl":"STD","ReceiptHandle":"HANDLE"}`, "MissingParameter", "VisibilityTimeout"},
		{"list with a bad token", "API ListQueues", "ListQueues", `{"NextToken":"%"}`, "InvalidParameterValue", "NextToken"},
		{"list moves of none", "API ListMessageMoveTasks", "ListMessageMoveTasks", `{"SourceArn":"arn:aws:sqs:us-east-1:123456789012:none"}`, "ResourceNotFoundException", "SourceArn"},
		{"tag without tags", "API TagQueue", "TagQueue", `{"QueueUrl":"STD"}`, "MissingParameter", "Tags"},
		{"tag key empty", "API TagQueue; DG sqs-queue-tags", "TagQueue", `{"QueueUrl":"STD","Tags":{"":"v"}}`, "InvalidParameterValue", "Tag keys"},
		{"untag without keys", "API UntagQueue", "UntagQueue", `{"QueueUrl":"STD"}`, "MissingParameter", "TagKeys"},
		{"permission with a bad label", "API AddPermission", "AddPermission", `{"QueueUrl":"STD","Label":"a b","AWSAccountIds":["111111111111"],"Actions":["*"]}`, "InvalidParameterValue", "Label"},
		{"permission with a bad action", "API AddPermission", "AddPermission", `{"QueueUrl":"STD","Label":"a","AWSAccountIds":["111111111111"],"Actions":["Fly"]}`, "InvalidParameterValue", "Fly"},
		{"permission with a bad account", "API AddPermission", "AddPermission", `{"QueueUrl":"STD","Label":"a","AWSAccountIds":["1"],"Actions":["*"]}`, "InvalidParameterValue", "PrincipalId"},
	}
	rs = append(rs, attributeRange("DelaySeconds", 0, 900)...)
	rs = append(rs, attributeRange("MaximumMessageSize", 1024, 1048576)...)
	rs = append(rs, attributeRange("MessageRetentionPeriod", 60, 1209600)...)
	rs = append(rs, attributeRange("ReceiveMessageWaitTimeSeconds", 0, 20)...)
	rs = append(rs, attributeRange("VisibilityTimeout", 0, 43200)...)
	rs = append(rs, outside("delay", "SendMessage", "API SendMessage", `{"QueueUrl":"STD","MessageBody":"x","DelaySeconds":`, `}`, 0, 900,
		"InvalidParameterValue", "Value # for parameter DelaySeconds is invalid.")...)
	rs = append(rs, outside("receive", "ReceiveMessage", "OBS 2024-04-30", `{"QueueUrl":"STD","MaxNumberOfMessages":`, `}`, 1, 10,
		"InvalidParameterValue", "Value # for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if provided.")...)
	rs = append(rs, outside("wait", "ReceiveMessage", "OBS 2025-02-10", `{"QueueUrl":"STD","WaitTimeSeconds":`, `}`, 0, 20,
		"InvalidParameterValue", "Value # for parameter WaitTimeSeconds is invalid. Reason: Must be >= 0 and <= 20, if provided.")...)
	rs = append(rs, outside("receive visibility", "ReceiveMessage", "API ReceiveMessage", `{"QueueUrl":"STD","VisibilityTimeout":`, `}`, 0, 43200,
		"InvalidParameterValue", "Value # for parameter VisibilityTimeout is invalid.")...)
	rs = append(rs, outside("change visibility", "ChangeMessageVisibility", "API ChangeMessageVisibility", `{"QueueUrl":"STD","ReceiptHandle":"HANDLE","VisibilityTimeout":`, `}`, 0, 43200,
		"InvalidParameterValue", "Value # for parameter VisibilityTimeout is invalid.")...)
	rs = append(rs, outside("page", "ListQueues", "API ListQueues", `{"MaxResults":`, `}`, 1, 1000, "InvalidParameterValue", "Value # for parameter MaxResults is invalid.")...)
	rs = append(rs, outside("moves shown", "ListMessageMoveTasks", "API ListMessageMoveTasks", `{"SourceArn":"ARN","MaxResults":`, `}`, 1, 10, "InvalidParameterValue", "MaxResults")...)
	return append(rs, batches()...)
}

// errorRules are the refusals, and what is not of their form.
var errorRules = func() []rule {
	rs := []rule{
		{"unknown-action", "An action that does not exist is UnknownOperationException.", "DG sqs-json-api-responses (the protocol's own error)",
			func(t *testing.T, e *env) {
				a := e.raw("Fly", "{}")
				equal(t, "answer", fmt.Sprintf("%d %s", a.status, a.name()), "400 UnknownOperationException")
			}},
		{"query-protocol", "A request of the query protocol gets an error of its own form that names the JSON protocol.", "(this endpoint's own)",
			func(t *testing.T, e *env) {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.endpoint, strings.NewReader("Action=ListQueues&Version=2012-11-05"))
				e.ok("request", err)
				req.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
				a := e.do(req)
				if a.status != 400 || !strings.Contains(a.raw, "<ErrorResponse") || !strings.Contains(a.raw, "AWS JSON 1.0") {
					t.Errorf("got %d %s", a.status, a.raw)
				}
			}},
		{"malformed", "What is no JSON object, or has members of other types, is SerializationException.", "the protocol's own error",
			func(t *testing.T, e *env) {
				for _, body := range []string{"", "x", "[]", "1", `{"QueueUrl":1}`, `{"MaxNumberOfMessages":"1"}`, `{"MaxNumberOfMessages":1.5}`, "{\"QueueUrl\":\"\xff\"}"} {
					a := e.raw("ReceiveMessage", body)
					equal(t, body, fmt.Sprintf("%d %s", a.status, a.name()), "400 SerializationException")
					equal(t, body+": code", a.code(), a.name())
				}
			}},
		{"request-id", "Every answer has a request id of its own, errors too.", "DG sqs-json-api-responses",
			func(t *testing.T, e *env) {
				a, b := e.raw("ListQueues", "{}"), e.raw("Fly", "{}")
				x, y := a.header.Get("x-amzn-RequestId"), b.header.Get("x-amzn-RequestId")
				if len(x) != 36 || len(y) != 36 || x == y {
					t.Errorf("ids %q and %q", x, y)
				}
			}},
	}
	for _, r := range refusals() {
		rs = append(rs, rule{"refused: " + r.name, r.action + " is refused with " + r.code + ": " + r.name + ".", r.source, r.test})
	}
	return rs
}()

func (r refusal) test(t *testing.T, e *env) {
	std := e.queue("std", attrs{"ReceiveMessageWaitTimeSeconds": "0"})
	e.queue("dlq", nil)
	e.send(std, "hello")
	handle := *e.receive(std, 1)[0].ReceiptHandle
	body := strings.NewReplacer(
		"STD", std, "FIFO", e.queue("fifo.fifo", nil), "CONTENT", e.queue("content.fifo", attrs{"ContentBasedDeduplication": "true"}),
		"HANDLE", handle, "ARN", e.arn("dlq"),
	).Replace(r.body)
	a := e.raw(r.action, body)
	if e.srv == nil {
		equal(t, "status", a.status/100, 4)
		equal(t, "error", kindOf(cmp.Or(a.code(), a.name())), kindOf(r.code))
		return
	}
	if a.status/100 != 4 || a.code() != r.code || !strings.Contains(a.message(), r.message) {
		t.Errorf("%s %.200s\ngot %d %s %q\nwant %s and a message with %q", r.action, body, a.status, a.code(), a.message(), r.code, r.message)
	}
}

// newLimited is an endpoint whose queues may have three messages in flight.
func newLimited(t *testing.T) *env {
	t.Helper()
	return newEnv(t, &sqstest.Options{MaxInFlight: 3})
}

func testAccounts(t *testing.T) {
	t.Helper()
	e := newEnv(t, &sqstest.Options{Accounts: map[string]string{"other": "222222222222"}})
	defer e.srv.Close()
	url := e.queue("q", nil)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.endpoint, strings.NewReader("{}"))
	e.ok("request", err)
	req.Header.Set("X-Amz-Target", "AmazonSQS.ListQueues")
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=other/20261123/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=x")
	equal(t, "the other's listing", e.do(req).raw, "{}")
	equal(t, "one's own", e.raw("ListQueues", "{}").raw, `{"QueueUrls":["`+url+`"]}`)
}
