package sqstest

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/candidmq/candidmq/internal/queue"
)

func (h *Handler) sendMessage(c *call, in *sendIn) (*sendOut, error) {
	q, err := h.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	s := h.settingsOf(q)
	if err := in.checkFor(&s); err != nil {
		return nil, err
	}
	if err := in.checkContent(); err != nil {
		return nil, err
	}
	if in.size() > s.maxSize {
		return nil, invalidParameter("One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", s.maxSize)
	}
	return h.store(c, q, &s, &in.outgoing)
}

func (h *Handler) sendMessageBatch(c *call, in *sendBatchIn) (*batchOut[sendBatchOK], error) {
	q, err := h.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	if err := checkEntries(in.Entries, func(e *sendEntry) string { return e.ID }); err != nil {
		return nil, err
	}
	s := h.settingsOf(q)
	if err := checkBatch(in.Entries, &s); err != nil {
		return nil, err
	}
	out := &batchOut[sendBatchOK]{}
	for i := range in.Entries {
		e := &in.Entries[i]
		sent, err := h.sendOne(c, q, &s, e)
		if err != nil {
			out.Failed = append(out.Failed, newFault(e.ID, err))
			continue
		}
		out.Successful = append(out.Successful, sendBatchOK{e.ID, *sent})
	}
	return out, nil
}

// checkBatch makes the checks that fail a batch as a whole: the ids of FIFO
// queues, in which the codes differ from SendMessage's, and the total size
// [recorded].
func checkBatch(entries []sendEntry, s *settings) error {
	total := 0
	for i := range entries {
		e := &entries[i]
		total += e.size()
		if s.fifo && e.MessageGroupID == nil {
			return invalidParameter("The request must contain the parameter MessageGroupId.")
		}
		if s.fifo && e.MessageDeduplicationID == nil && !s.contentDedup {
			return noDedupID()
		}
	}
	if total > maxMessage {
		return senderFault("BatchRequestTooLong", prefix+"BatchRequestTooLong",
			"Batch requests cannot be longer than %d bytes. You have sent %d bytes.", maxMessage, total)
	}
	return nil
}

// sendOne sends an entry of a batch.
func (h *Handler) sendOne(c *call, q *sqsQueue, s *settings, e *sendEntry) (*sendOut, error) {
	if err := e.checkFor(s); err != nil {
		return nil, err
	}
	if err := e.checkContent(); err != nil {
		return nil, err
	}
	if e.size() > s.maxSize {
		return nil, invalidParameter("One or more parameters cannot be validated. Reason: Message must be shorter than %d bytes.", s.maxSize)
	}
	return h.store(c, q, s, &e.outgoing)
}

// checkFor checks what depends on the queue's kind.
func (o *outgoing) checkFor(s *settings) error {
	if err := o.checkDelay(s); err != nil {
		return err
	}
	if g := o.MessageGroupID; g != nil && !legalID(*g) {
		return invalidID(*g, "MessageGroupId")
	}
	if d := o.MessageDeduplicationID; d != nil {
		if !s.fifo {
			return invalidValue(*d, "MessageDeduplicationId",
				"The request include parameter that is not valid for this queue type.")
		}
		if !legalID(*d) {
			return invalidID(*d, "MessageDeduplicationId")
		}
	}
	switch {
	case !s.fifo:
	case o.MessageGroupID == nil:
		return missingParameter("MessageGroupId")
	case o.MessageDeduplicationID == nil && !s.contentDedup:
		return noDedupID()
	}
	return nil
}

// maxDelay is 15 minutes [API SendMessage].
const maxDelay = 900

func (o *outgoing) checkDelay(s *settings) error {
	switch d := o.DelaySeconds; {
	case d == nil:
		return nil
	case s.fifo && *d != 0: // an explicit 0 is accepted, and the queue's delay holds [recorded]
		return invalidValue(*d, "DelaySeconds", "The request include parameter that is not valid for this queue type.")
	case *d < 0 || *d > maxDelay:
		return invalidValue(*d, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")
	default:
		return nil
	}
}

func noDedupID() *Error {
	return invalidParameter("The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly")
}

// legalID says whether s is a message group id or a deduplication id: 1 to 128
// visible ASCII characters [API SendMessage].
func legalID(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 128
}

func invalidID(id, parameter string) *Error {
	return invalidValue(id, parameter, parameter+" can only include alphanumeric and punctuation characters. 1 to 128 in length.")
}

// checkContent checks the body and the attributes.
func (o *outgoing) checkContent() error {
	if o.MessageBody == "" {
		return missingParameter("MessageBody")
	}
	if !legalText(o.MessageBody) {
		return invalidContents()
	}
	if err := checkAttributes(o.MessageAttributes); err != nil {
		return err
	}
	for _, name := range sortedKeys(o.MessageSystemAttributes) {
		a := o.MessageSystemAttributes[name]
		if name != traceHeader {
			return invalidParameter("Message system attribute name '%s' is invalid.", name)
		}
		if err := a.check(name, "system"); err != nil {
			return err
		}
		if a.DataType != "String" {
			return invalidParameter("Message (system) attribute '%s' must be of type String.", name)
		}
	}
	return nil
}

// traceHeader is the one system attribute that can be sent [API SendMessage].
const traceHeader = "AWSTraceHeader"

// store puts a message that has been checked into its queue.
func (h *Handler) store(c *call, q *sqsQueue, s *settings, o *outgoing) (*sendOut, error) {
	kept := &content{
		attributes: o.MessageAttributes, system: o.MessageSystemAttributes,
		bodyMD5: md5Hex(o.MessageBody), sender: c.account,
	}
	m := queue.Send{ID: newUUID(), Body: []byte(o.MessageBody), Attrs: kept, Group: deref(o.MessageGroupID)}
	if s.fifo {
		m.DedupID = deref(o.MessageDeduplicationID)
		if m.DedupID == "" {
			m.DedupID = bodyHash(o.MessageBody)
		}
	} else if o.DelaySeconds != nil {
		m.Delay, m.HasDelay = seconds(*o.DelaySeconds), true
	}
	sent, err := h.engine.Send(q.engine, m)
	if err != nil {
		return nil, engineError(err)
	}
	out := &sendOut{
		MD5OfMessageBody:             kept.bodyMD5,
		MD5OfMessageAttributes:       attributesMD5(kept.attributes),
		MD5OfMessageSystemAttributes: attributesMD5(kept.system),
		MessageID:                    sent.ID,
	}
	if s.fifo {
		out.SequenceNumber = sequenceNumber(sent.Seq)
	}
	return out, nil
}

// bodyHash is the deduplication id of a message without one: of the body alone,
// without the attributes [API SendMessage].
func bodyHash(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
