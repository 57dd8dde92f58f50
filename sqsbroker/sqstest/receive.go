package sqstest

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

const (
	maxReceive    = 10     // [API ReceiveMessage]
	maxWait       = 20     // seconds [API ReceiveMessage]
	maxVisibility = 43_200 // 12 hours [API ReceiveMessage]
)

func (h *Handler) receiveMessage(c *call, in *receiveIn) (*receiveOut, error) {
	q, err := h.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	s := h.settingsOf(q)
	if err := in.check(&s); err != nil {
		return nil, err
	}
	wait, lease := seconds(s.wait), time.Duration(-1)
	if in.WaitTimeSeconds != nil {
		wait = seconds(*in.WaitTimeSeconds)
	}
	if in.VisibilityTimeout != nil {
		lease = seconds(*in.VisibilityTimeout)
	}
	limit := 1
	if in.MaxNumberOfMessages != nil {
		limit = *in.MaxNumberOfMessages
	}
	got, err := h.receive(c, q, deref(in.ReceiveRequestAttemptID), limit, wait, lease)
	if err != nil {
		return nil, receiveError(err)
	}
	return h.deliver(q, in, got), nil
}

func (in *receiveIn) check(s *settings) error {
	if n := in.MaxNumberOfMessages; n != nil && (*n < 1 || *n > maxReceive) {
		return invalidValue(*n, "MaxNumberOfMessages", "Must be between 1 and 10, if provided.")
	}
	if n := in.WaitTimeSeconds; n != nil && (*n < 0 || *n > maxWait) {
		return invalidValue(*n, "WaitTimeSeconds", "Must be >= 0 and <= 20, if provided.")
	}
	if n := in.VisibilityTimeout; n != nil && (*n < 0 || *n > maxVisibility) {
		return invalidVisibility(*n)
	}
	if id := in.ReceiveRequestAttemptID; id != nil {
		switch {
		case !s.fifo:
			return invalidValue(*id, "ReceiveRequestAttemptId",
				"The request include parameter that is not valid for this queue type.")
		case !legalID(*id):
			return invalidID(*id, "ReceiveRequestAttemptId")
		}
	}
	for _, name := range in.systemNames() {
		if !slices.Contains(systemAttributes, name) {
			return unknownAttribute(name)
		}
	}
	return nil
}

func invalidVisibility(n int) *Error {
	return invalidValue(n, "VisibilityTimeout", "Must be >= 0 and <= 43200, if provided.")
}

func receiveError(err error) error {
	if errors.Is(err, queue.ErrOverLimit) {
		return overLimit()
	}
	return engineError(err)
}

// overLimit is the answer of a short poll when too many messages are in flight
// [API ReceiveMessage; DG quotas-queues].
func overLimit() *Error {
	e := senderFault("OverLimit", "OverLimit", "The maximum number of in flight messages is reached.")
	e.Status = 403
	return e
}

// systemNames joins the two parameters of one meaning: AttributeNames is the
// older one, and a request may have both [recorded].
func (in *receiveIn) systemNames() []string {
	return slices.Concat(in.MessageSystemAttributeNames, in.AttributeNames)
}

// systemAttributes are the names that ReceiveMessage knows [API ReceiveMessage].
var systemAttributes = []string{
	"All", "ApproximateFirstReceiveTimestamp", "ApproximateReceiveCount", traceHeader, "DeadLetterQueueSourceArn",
	"MessageDeduplicationId", "MessageGroupId", "SenderId", "SentTimestamp", "SequenceNumber",
	// GetQueueAttributes' names pass in AttributeNames, whose type is shared
	// with that call, and mean nothing here.
}

func (h *Handler) deliver(q *sqsQueue, in *receiveIn, got []queue.Message) *receiveOut {
	out := &receiveOut{}
	wanted := in.systemNames()
	for i := range got {
		m := &got[i]
		kept := m.Attrs.(*content) //nolint:forcetypeassert // store is the only sender
		shown := filter(kept.attributes, in.MessageAttributeNames)
		out.Messages = append(out.Messages, receivedMessage{
			MessageID:              m.ID,
			ReceiptHandle:          newHandle(q.id, m.Receipt),
			Body:                   string(m.Body),
			MD5OfBody:              kept.bodyMD5,
			MessageAttributes:      shown,
			MD5OfMessageAttributes: attributesMD5(shown),
			Attributes:             choose(h.systemOf(q, m, kept), wanted),
		})
	}
	return out
}

// systemOf are the system attributes that a message has.
func (h *Handler) systemOf(q *sqsQueue, m *queue.Message, kept *content) map[string]string {
	all := map[string]string{
		"SenderId":                         kept.sender,
		"SentTimestamp":                    milliseconds(m.Sent),
		"ApproximateFirstReceiveTimestamp": milliseconds(m.FirstReceive),
		"ApproximateReceiveCount":          strconv.Itoa(m.Receives),
	}
	if m.Group != "" {
		all["MessageGroupId"] = m.Group
	}
	if strings.HasSuffix(q.addr.name, fifoSuffix) {
		all["MessageDeduplicationId"] = m.DedupID
		if m.Source != "" { // [DG sqs-configure-dead-letter-queue-redrive]
			all["MessageDeduplicationId"] = m.ID
		}
		all["SequenceNumber"] = sequenceNumber(m.Seq)
	}
	if a, ok := kept.system[traceHeader]; ok {
		all[traceHeader] = *a.StringValue
	}
	if m.Source != "" {
		all["DeadLetterQueueSourceArn"] = h.sourceARN(m.Source)
	}
	return all
}

// sourceARN is the ARN of the queue that a message was moved from, which may be
// gone.
func (h *Handler) sourceARN(engine string) string {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.arn(h.byEngine[engine])
}

func milliseconds(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// choose keeps the attributes that are asked for: nothing unless asked.
func choose(all map[string]string, wanted []string) map[string]string {
	if slices.Contains(wanted, "All") {
		return all
	}
	some := make(map[string]string, len(wanted))
	for _, name := range wanted {
		if v, ok := all[name]; ok {
			some[name] = v
		}
	}
	return some
}

// filter keeps the message attributes that a receive asks for: by name, by
// prefix ("bar.*"), or all ("All", ".*", and "*" as well) [API ReceiveMessage;
// recorded].
func filter(all map[string]attributeValue, wanted []string) map[string]attributeValue {
	some := make(map[string]attributeValue)
	for name, a := range all {
		if slices.ContainsFunc(wanted, func(w string) bool { return matches(w, name) }) {
			some[name] = a
		}
	}
	return some
}

func matches(wanted, name string) bool {
	if wanted == "All" || wanted == "*" || wanted == name {
		return true
	}
	begin, isPrefix := strings.CutSuffix(wanted, ".*")
	return isPrefix && strings.HasPrefix(name, begin)
}
