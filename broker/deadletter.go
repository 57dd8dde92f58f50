package broker

// The headers that a message has beside its own once it is put to rest: by [Reject],
// by a Receiver's Reject, or since it was tried too often where the backend moves it
// itself. A backend adds those that it knows, JetStream all of them, SQS the reason,
// the source and the attempts as far as the message has room for them; what SQS moves
// by a redrive policy has none. JetStream's Redrive takes them off again; on SQS they
// stay.
const (
	// RejectReasonHeader says why the message was put to rest: one line of at most
	// 1 KiB.
	RejectReasonHeader = "candidmq-reject-reason"
	// RejectSourceHeader is what the message was received from: an SQS queue's name,
	// a JetStream consumer as "stream/consumer".
	RejectSourceHeader = "candidmq-reject-source"
	// RejectSubjectHeader is the subject that the message was published to.
	RejectSubjectHeader = "candidmq-reject-subject"
	// RejectSequenceHeader is the message's sequence number at its source.
	RejectSequenceHeader = "candidmq-reject-sequence"
	// RejectAttemptsHeader is how often the message was delivered there.
	RejectAttemptsHeader = "candidmq-reject-attempts"
)
