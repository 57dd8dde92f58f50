package sqstest_test

import (
	"fmt"
	"maps"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

type messageAttrs = map[string]types.MessageAttributeValue

func text(s string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: str("String"), StringValue: &s}
}

func number(s string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: str("Number"), StringValue: &s}
}

func binary(s string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: str("Binary"), BinaryValue: []byte(s)}
}

const trace = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"

func byName(names ...string) func(*sqs.ReceiveMessageInput) {
	return func(in *sqs.ReceiveMessageInput) { in.MessageAttributeNames = names }
}

var messageRules = []rule{
	{"body-md5", "Send and receive answer with the MD5 of the body.", "API SendMessage; RFC 1321's test vector",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			sent := e.send(url, "message digest")
			equal(t, "sent", *sent.MD5OfMessageBody, "f96b697d7cb7938d525a2f31aaf161d0")
			equal(t, "received", *e.receive(url, 1)[0].MD5OfBody, "f96b697d7cb7938d525a2f31aaf161d0")
		}},
	{"attributes-md5", "The digest of attributes is over name, type, transport type and value, sorted by name; binary ones too.",
		"DG sqs-message-metadata; OBS (digests the real service gave for these values)",
		func(t *testing.T, e *env) {
			url := e.queue("q", attrs{"VisibilityTimeout": "0"})
			for _, c := range []struct {
				attributes messageAttrs
				want       string
			}{
				{messageAttrs{"timestamp": number("1493147359900")}, "235c5c510d26fb653d073faed50ae77c"},
				{messageAttrs{"Foo": text("Bar")}, "ae7155c6026991b6d54b11589678bf9c"},
				{messageAttrs{"attr1": binary("traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01")}, "8cbe4db156db8a94db8b801b7addb984"},
			} {
				sent := e.sendInput(&sqs.SendMessageInput{QueueUrl: &url, MessageBody: str("x"), MessageAttributes: c.attributes})
				equal(t, "digest", *sent.MD5OfMessageAttributes, c.want)
			}
		}},
	{"system-md5", "AWSTraceHeader has a digest of its own, does not change the attributes', and comes back as a system attribute.",
		"API SendMessage; OBS 2025-06-27",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			sent := e.sendInput(&sqs.SendMessageInput{
				QueueUrl: &url, MessageBody: str("test"), MessageAttributes: messageAttrs{"timestamp": number("1493147359900")},
				MessageSystemAttributes: map[string]types.MessageSystemAttributeValue{"AWSTraceHeader": {DataType: str("String"), StringValue: str(trace)}},
			})
			equal(t, "attributes", *sent.MD5OfMessageAttributes, "235c5c510d26fb653d073faed50ae77c")
			equal(t, "system", *sent.MD5OfMessageSystemAttributes, "5ae4d5d7636402d80f4eb6d213245a88")
			equal(t, "received", e.receive(url, 1, allSystem)[0].Attributes["AWSTraceHeader"], trace)
		}},
	{"attribute-filters", "Message attributes come when asked for: by name, All, *, .*, or a prefix; the digest covers what is returned.",
		"API ReceiveMessage; OBS 2024-04-30",
		func(t *testing.T, e *env) {
			url := e.queue("q", attrs{"VisibilityTimeout": "0"})
			e.sendInput(&sqs.SendMessageInput{QueueUrl: &url, MessageBody: str("msg"), MessageAttributes: messageAttrs{
				"Help.Me": text("Me"), "Hello": text("There"), "General": text("Kenobi"),
			}})
			for _, c := range []struct{ filter, want, md5 string }{
				{"", "", ""},
				{"All", "General Hello Help.Me", "4c360f3fdafd970e05fae2f149d997f5"},
				{"*", "General Hello Help.Me", "4c360f3fdafd970e05fae2f149d997f5"},
				{".*", "General Hello Help.Me", "4c360f3fdafd970e05fae2f149d997f5"},
				{"Foo Help", "", ""},
				{"Hello General", "General Hello", "fca026605781cb4126a1e9044df24232"},
				{"Foo Hello", "Hello", "a311262e065454b75da111d535b8dacd"},
				{"Hel.*", "Hello Help.Me", "83fee93c1bcd8b9a5a923ffacdc636c7"},
				{"AWS.", "", ""},
				{"..foo", "", ""},
			} {
				m := e.receive(url, 1, byName(strings.Fields(c.filter)...))[0]
				got := strings.Join(slices.Sorted(maps.Keys(m.MessageAttributes)), " ")
				equal(t, c.filter, got, c.want)
				md5 := ""
				if m.MD5OfMessageAttributes != nil {
					md5 = *m.MD5OfMessageAttributes
				}
				equal(t, c.filter+" digest", md5, c.md5)
			}
		}},
	{"system-filters", "System attributes come when asked for, in either of the two parameters; what the message lacks is skipped.",
		"API ReceiveMessage; OBS 2024-06-04",
		func(t *testing.T, e *env) {
			url := e.queue("q", attrs{"VisibilityTimeout": "0"})
			e.send(url, "msg")
			all := "ApproximateFirstReceiveTimestamp ApproximateReceiveCount SenderId SentTimestamp"
			for _, c := range []struct{ older, newer, want string }{
				{"", "", ""}, {"All", "", all}, {"", "All", all}, {"All", "SenderId", all},
				{"SenderId", "", "SenderId"}, {"", "SenderId SequenceNumber", "SenderId"},
				{"SenderId", "SentTimestamp", "SenderId SentTimestamp"},
			} {
				a := e.call("ReceiveMessage", map[string]any{
					"QueueUrl": url, "AttributeNames": strings.Fields(c.older), "MessageSystemAttributeNames": strings.Fields(c.newer),
				})
				m := a.body["Messages"].([]any)[0].(map[string]any)
				got, _ := m["Attributes"].(map[string]any)
				equal(t, c.older+"|"+c.newer, strings.Join(slices.Sorted(maps.Keys(got)), " "), c.want)
			}
		}},
	{"system-values", "SentTimestamp and the first receive's are milliseconds; the receive count grows; SenderId is the caller's account.",
		"API ReceiveMessage",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			sent := time.Now()
			e.send(url, "msg")
			e.pass(1500 * time.Millisecond)
			first := time.Now()
			e.receive(url, 1, visibility(1))
			e.pass(2 * time.Second)
			got := e.receive(url, 1, allSystem)[0].Attributes
			want := attrs{
				"SentTimestamp": fmt.Sprint(sent.UnixMilli()), "ApproximateFirstReceiveTimestamp": fmt.Sprint(first.UnixMilli()),
				"ApproximateReceiveCount": "2", "SenderId": e.account,
			}
			if !maps.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		}},
	{"fifo-attributes", "A message of a FIFO queue has group, deduplication id and sequence number.", "API ReceiveMessage; OBS 2024-04-30",
		func(t *testing.T, e *env) {
			url := e.queue("q.fifo", nil)
			sent := e.sendTo(url, "group-1", "dedup-1", "msg")
			got := e.receive(url, 1, allSystem)[0].Attributes
			equal(t, "group", got["MessageGroupId"], "group-1")
			equal(t, "id", got["MessageDeduplicationId"], "dedup-1")
			equal(t, "number", got["SequenceNumber"], *sent.SequenceNumber)
			equal(t, "attributes", len(got), 7)
		}},
	{"sequence-numbers", "Sequence numbers rise, have 20 digits and exceed 64 bits.", "API SendMessage",
		func(t *testing.T, e *env) {
			url := e.queue("q.fifo", nil)
			last := new(big.Int).SetUint64(1<<64 - 1)
			for i := range 3 {
				text := *e.sendTo(url, "g", fmt.Sprint(i), "x").SequenceNumber
				n, ok := new(big.Int).SetString(text, 10)
				if !ok || len(text) != 20 || n.Cmp(last) <= 0 {
					t.Errorf("number %d: %s after %s", i, text, last)
				}
				last = n
			}
		}},
	{"fair-queue", "A Standard queue takes a MessageGroupId, returns it, and locks nothing.", "DG sqs-fair-queues; OBS 2025-08-18",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			for _, body := range []string{"a", "b"} {
				e.sendInput(&sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body, MessageGroupId: str("tenant")})
			}
			equal(t, "group", e.receive(url, 1, allSystem)[0].Attributes["MessageGroupId"], "tenant")
			e.bodies("with one in flight", e.receive(url, 10), "b")
		}},
	{"size", "Body, attribute names, types and values count against the queue's size; system attributes do not.", "DG sqs-message-metadata; API SendMessage",
		func(t *testing.T, e *env) {
			url := e.queue("q", attrs{"MaximumMessageSize": "1024"})
			in := func(body int) *sqs.SendMessageInput {
				return &sqs.SendMessageInput{
					QueueUrl: &url, MessageBody: str(strings.Repeat("é", body/2)), MessageAttributes: messageAttrs{"name": text("value")}, // 4+6+5
					MessageSystemAttributes: map[string]types.MessageSystemAttributeValue{"AWSTraceHeader": {DataType: str("String"), StringValue: str(trace)}},
				}
			}
			_, err := e.c.SendMessage(t.Context(), in(1024-15-1))
			e.ok("1023 bytes", err)
			_, err = e.c.SendMessage(t.Context(), in(1024-15+1))
			e.refused("1025 bytes", err, "InvalidParameterValue", "One or more parameters are invalid. Reason: Message must be shorter than 1024 bytes.")
		}},
	{"size-limit", "A message of 1 MiB is accepted, one of a byte more refused.", "API SendMessage; OBS 2025-08-19",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			body := strings.Repeat("a", 1<<20)
			e.send(url, body)
			equal(t, "received", len(*e.receive(url, 1)[0].Body), 1<<20)
			_, err := e.c.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: str(body + "a")})
			e.refused("a byte more", err, "InvalidParameterValue", "Message must be shorter than 1048576 bytes.")
		}},
	{"batch-size", "A send batch of more than 1 MiB in total fails as a whole, and nothing is sent.", "API SendMessageBatch; OBS 2025-08-19",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			half := strings.Repeat("a", 1<<19)
			batch := &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: []types.SendMessageBatchRequestEntry{
				{Id: str("1"), MessageBody: &half}, {Id: str("2"), MessageBody: str(half + "a")},
			}}
			_, err := e.c.SendMessageBatch(t.Context(), batch)
			e.refused("batch", err, "AWS.SimpleQueueService.BatchRequestTooLong",
				"Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.")
			e.bodies("received", e.receive(url, 10))
			batch.Entries[1].MessageBody = &half
			_, err = e.c.SendMessageBatch(t.Context(), batch)
			e.ok("exactly 1 MiB", err)
		}},
	{"batch-partial", "An entry over the queue's size, with a forbidden character or a bad attribute fails alone, as the sender's fault.",
		"OBS 2024-04-30",
		func(t *testing.T, e *env) {
			url := e.queue("q", attrs{"MaximumMessageSize": "1024"})
			out, err := e.c.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: []types.SendMessageBatchRequestEntry{
				{Id: str("large"), MessageBody: str(strings.Repeat("a", 1025))},
				{Id: str("fine"), MessageBody: str("fine")},
				{Id: str("char"), MessageBody: str("a\x00b")},
				{Id: str("attr"), MessageBody: str("a"), MessageAttributes: messageAttrs{"a": text("")}},
				{Id: str("delay"), MessageBody: str("a"), DelaySeconds: 901},
			}})
			e.ok("SendMessageBatch", err)
			equal(t, "successful", len(out.Successful), 1)
			equal(t, "the one", *out.Successful[0].Id, "fine")
			want := attrs{"large": "InvalidParameterValue", "char": "InvalidMessageContents", "attr": "InvalidParameterValue", "delay": "InvalidParameterValue"}
			for _, f := range out.Failed {
				equal(t, *f.Id, *f.Code, want[*f.Id])
				equal(t, *f.Id+" sender's fault", f.SenderFault, true)
			}
			equal(t, "failed", len(out.Failed), 4)
			equal(t, "message", *out.Failed[0].Message, "One or more parameters cannot be validated. Reason: Message must be shorter than 1024 bytes.")
			e.bodies("received", e.receive(url, 10), "fine")
		}},
	{"batch-fifo-whole", "A batch to a FIFO queue with one group or deduplication id missing fails as a whole.", "OBS 2024-04-30",
		func(t *testing.T, e *env) {
			url := e.queue("q.fifo", nil)
			good := types.SendMessageBatchRequestEntry{Id: str("1"), MessageBody: str("x"), MessageGroupId: str("g"), MessageDeduplicationId: str("d")}
			noGroup, noID := good, good
			noGroup.Id, noGroup.MessageGroupId = str("2"), nil
			noID.Id, noID.MessageDeduplicationId = str("2"), nil
			_, err := e.c.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: []types.SendMessageBatchRequestEntry{good, noGroup}})
			e.refused("no group", err, "InvalidParameterValue", "The request must contain the parameter MessageGroupId.")
			_, err = e.c.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: []types.SendMessageBatchRequestEntry{good, noID}})
			e.refused("no id", err, "InvalidParameterValue", "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
			e.bodies("received", e.receive(url, 10))
		}},
	{"characters", "All characters of XML 1.0 pass unchanged, in bodies and values.", "API SendMessage",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			body := "\t\n\r ~\u0080\ud7ff\ue000\ufffd\U00010000\U0010ffff <&>\u2028"
			e.sendInput(&sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body, MessageAttributes: messageAttrs{"a": text(body)}})
			m := e.receive(url, 1, byName("a"))[0]
			equal(t, "body", *m.Body, body)
			equal(t, "value", *m.MessageAttributes["a"].StringValue, body)
		}},
	{"attribute-types", "String, Number and Binary attributes come back as sent, with their labels.", "DG sqs-message-metadata",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			custom := types.MessageAttributeValue{DataType: str("Number.float"), StringValue: str("-1.5e10")}
			e.sendInput(&sqs.SendMessageInput{QueueUrl: &url, MessageBody: str("x"), MessageAttributes: messageAttrs{
				"s": text("v"), "n": number("42"), "b": binary("\x00\xff"), "c": custom,
			}})
			got := e.receive(url, 1, byName("All"))[0].MessageAttributes
			equal(t, "attributes", len(got), 4)
			equal(t, "binary", string(got["b"].BinaryValue), "\x00\xff")
			equal(t, "label", *got["c"].DataType+" "+*got["c"].StringValue, "Number.float -1.5e10")
		}},
	{"ten-attributes", "A message may have 10 attributes.", "DG sqs-message-metadata",
		func(t *testing.T, e *env) {
			url := e.queue("q", nil)
			ten := make(messageAttrs)
			for i := range 10 {
				ten[fmt.Sprint("a", i)] = text("v")
			}
			e.sendInput(&sqs.SendMessageInput{QueueUrl: &url, MessageBody: str("x"), MessageAttributes: ten})
			equal(t, "received", len(e.receive(url, 1, byName("All"))[0].MessageAttributes), 10)
		}},
	{"message-ids", "Every message has an id of its own, and keeps it over receives.", "API SendMessage",
		func(t *testing.T, e *env) {
			url := e.queue("q", attrs{"VisibilityTimeout": "0"})
			sent := e.send(url, "x")
			equal(t, "first", *e.receive(url, 1)[0].MessageId, *sent.MessageId)
			equal(t, "second", *e.receive(url, 1)[0].MessageId, *sent.MessageId)
			if other := e.send(url, "x"); *other.MessageId == *sent.MessageId {
				t.Error("two messages share an id")
			}
		}},
}
