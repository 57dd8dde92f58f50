package broker

// The headers added to a message that is moved to a dead-letter queue: by
// [Reject], by a Receiver's Reject, or by a backend that moves messages whose
// attempts are used up. A backend adds those that it knows: JetStream all of
// them; SQS the reason, the source and the attempts, as far as the message has
// room for them. A message moved by an SQS redrive policy has none. JetStream's
// Redrive removes them; on SQS they stay.
const (
	// RejectReasonHeader says why the message was rejected: one line of at most
	// 1 KiB.
	RejectReasonHeader = "candidmq-reject-reason"
	// RejectSourceHeader is the source that the message was received from: an
	// SQS queue's name, a JetStream consumer as "stream/consumer".
	RejectSourceHeader = "candidmq-reject-source"
	// RejectSubjectHeader is the subject that the message was published to.
	RejectSubjectHeader = "candidmq-reject-subject"
	// RejectSequenceHeader is the message's sequence number at its source.
	RejectSequenceHeader = "candidmq-reject-sequence"
	// RejectAttemptsHeader is the number of times the message was delivered
	// there.
	RejectAttemptsHeader = "candidmq-reject-attempts"
)
