package sqsrules

import (
	"time"

	"github.com/candidmq/candidmq/broker"
)

// Limits of SQS, each with the document that fixes it.
const (
	MaxMessage   = 1 << 20 // bytes of body and attributes, default and most of a queue (API CreateQueue, MaximumMessageSize)
	MinMaxSize   = 1 << 10 // least MaximumMessageSize that a queue can have (API CreateQueue)
	MaxBatch     = 10      // entries of a batch and messages of a receive (DG quotas-messages)
	MaxBatchSize = 1 << 20 // bytes of all entries of a send batch (API SendMessageBatch)
	MaxHeaders   = 10      // message attributes (DG sqs-message-metadata)
	MaxInFlight  = 120_000 // messages in flight (DG quotas-queues, quotas-fifo)
	MaxReceives  = 1_000   // highest maxReceiveCount

	maxName      = 80  // characters of a queue name, ".fifo" included (API CreateQueue)
	maxAttribute = 256 // characters of an attribute's name (DG sqs-message-metadata)
	maxID        = 128 // characters of a group or deduplication id (API SendMessage)

	DefaultVisibility = 30 * time.Second    // API CreateQueue, VisibilityTimeout
	MaxLease          = 12 * time.Hour      // in total from the receive (API ChangeMessageVisibility)
	MaxWait           = 20 * time.Second    // API ReceiveMessage, WaitTimeSeconds
	MaxDelay          = 15 * time.Minute    // API SendMessage, DelaySeconds
	MinRetention      = time.Minute         // API CreateQueue, MessageRetentionPeriod
	MaxRetention      = 14 * 24 * time.Hour // as above
	DefaultRetention  = 4 * 24 * time.Hour  // as above
	DedupWindow       = 5 * time.Minute     // DG FIFO-queues-exactly-once-processing
)

// Seconds is d in whole seconds, the unit of SQS, rounded up: a message is
// never visible sooner, nor a lease or a wait shorter, than was asked for.
func Seconds(d time.Duration) int32 { return int32((d + time.Second - 1) / time.Second) }

// WholeSeconds is d rounded up as by [Seconds].
func WholeSeconds(d time.Duration) time.Duration { return time.Duration(Seconds(d)) * time.Second }

// CheckLimit checks the limit of a receive. What is above [MaxBatch] is served by
// that many.
func CheckLimit(limit int) error {
	if limit < 1 {
		return fieldError("limit", itoa(limit), "at least 1")
	}
	return nil
}

// CheckWait checks how long a receive waits.
func CheckWait(d time.Duration) error {
	if err := broker.Wait(d).Check(); err != nil {
		return err
	}
	return checkTime("Wait", d, MaxWait, "call Receive again, or Consume")
}

// CheckLease checks the lease of a receive. The AWS client does not send a
// visibility timeout of 0, so that it cannot be asked for.
func CheckLease(d time.Duration) error {
	if err := broker.Lease(d).Check(); err != nil {
		return err
	}
	return checkTime("Lease", d, MaxLease, "a heartbeat, and less than 12 hours of work for one message")
}

// CheckExtend checks the lease of an extend, where 0 is the queue's own.
func CheckExtend(d time.Duration) error {
	return checkTime("lease", d, MaxLease, "extend again before it ends")
}

// CheckRelease checks the delay of a release.
func CheckRelease(d time.Duration) error {
	return checkTime("delay", d, MaxLease, "publish the message again later, from a store of your own")
}

// checkTime refuses what is below 0 as bad input, and what is above most as
// unsupported.
func checkTime(field string, d, most time.Duration, instead string) error {
	switch {
	case d < 0:
		return fieldError(field, d.String(), "at least 0")
	case d > most:
		return &broker.UnsupportedError{
			Backend: Backend, What: field + " of " + d.String(),
			Why: "the most is " + most.String(), Instead: instead,
		}
	}
	return nil
}

// CheckShortPoll refuses a wait of 0 on a queue with a wait of its own.
func CheckShortPoll(wait, own time.Duration) error {
	if wait > 0 || own == 0 {
		return nil
	}
	return &broker.UnsupportedError{
		Backend: Backend, What: "Wait of 0 on this queue",
		Why:     "it has a ReceiveMessageWaitTimeSeconds of " + own.String() + ", which the AWS client does not override with 0",
		Instead: "a Wait of 1s, or the queue's attribute set to 0",
	}
}

// CheckSubscribe checks the options of a Subscribe: that there is a group, and
// limits. It comes before the look at the queue's name, so that who subscribes
// to a wildcard is told of the group and of fan-out, not of a bad name.
func CheckSubscribe(opts []broker.SubscribeOption) error {
	group, _ := splitGroup(opts)
	if err := checkGroup(group); err != nil {
		return err
	}
	for _, opt := range opts {
		if l, ok := opt.(broker.Lease); ok {
			if err := CheckLease(time.Duration(l)); err != nil {
				return err
			}
		}
	}
	return nil
}
