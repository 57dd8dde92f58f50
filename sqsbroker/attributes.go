package sqsbroker

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/internal/sqsrules"
)

// attributes are a queue's attributes, as read at some time. They are not
// changed afterwards.
type attributes struct {
	readAt time.Time
	all    map[string]string // nil: the permission to read them is missing

	visibility   time.Duration
	wait         time.Duration // ReceiveMessageWaitTimeSeconds
	maxMessage   int
	contentDedup bool
	redrive      redrivePolicy
}

// youngerThan reports whether there are attributes, read less than maxAge ago.
func (a *attributes) youngerThan(maxAge time.Duration) bool {
	return a != nil && time.Since(a.readAt) < maxAge
}

// redrivePolicy is the attribute RedrivePolicy. maxReceiveCount is written as
// a number or as a string, and json.Number reads both.
type redrivePolicy struct {
	Target      string      `json:"deadLetterTargetArn"`
	MaxReceives json.Number `json:"maxReceiveCount"`
}

// defaultAttributes are what holds where the attributes may not be read: the
// defaults of CreateQueue. A missing DedupID is then left to SQS to refuse.
func defaultAttributes() *attributes {
	return &attributes{
		readAt:       time.Now(),
		visibility:   sqsrules.DefaultVisibility,
		maxMessage:   sqsrules.MaxMessage,
		contentDedup: true,
	}
}

// parseAttributes takes the default for what is absent or not understood: some
// SQS-compatible servers leave attributes out.
func parseAttributes(all map[string]string) *attributes {
	a := defaultAttributes()
	a.all = all
	if all == nil {
		a.all = map[string]string{}
	}
	a.contentDedup = a.get(types.QueueAttributeNameContentBasedDeduplication) == "true"
	if d, ok := a.seconds(types.QueueAttributeNameVisibilityTimeout); ok {
		a.visibility = d
	}
	a.wait, _ = a.seconds(types.QueueAttributeNameReceiveMessageWaitTimeSeconds)
	if n, ok := a.number(types.QueueAttributeNameMaximumMessageSize); ok {
		a.maxMessage = n
	}
	var redrive redrivePolicy
	if json.Unmarshal([]byte(a.get(types.QueueAttributeNameRedrivePolicy)), &redrive) == nil {
		a.redrive = redrive
	}
	return a
}

func (a *attributes) get(name types.QueueAttributeName) string { return a.all[string(name)] }

func (a *attributes) number(name types.QueueAttributeName) (int, bool) {
	n, err := strconv.Atoi(a.get(name))
	return n, err == nil && n >= 0
}

func (a *attributes) seconds(name types.QueueAttributeName) (time.Duration, bool) {
	n, ok := a.number(name)
	return time.Duration(n) * time.Second, ok
}

// leastRules are those that hold for every queue of the kind.
func (q *queue) leastRules() sqsrules.Queue {
	return sqsrules.Queue{FIFO: q.fifo, ContentDedup: true, MaxMessage: sqsrules.MaxMessage}
}

// rules is what the checks of messages must know.
func (q *queue) rules(a *attributes) sqsrules.Queue {
	return sqsrules.Queue{FIFO: q.fifo, ContentDedup: a.contentDedup, MaxMessage: a.maxMessage}
}
