package sqsbroker

import (
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/lease"
)

// handle is the way back to a received message.
type handle struct {
	lease.Lease
	queue   *queue
	url     string // of the queue, when the message was received
	subject string // the queue, as the caller named it
	native  types.Message
	latest  time.Time // the lease cannot be made to end later

	copied atomic.Bool // the dead-letter queue has it: a Reject has only the delete left
}

var _ broker.Leased = (*handle)(nil)

// As reaches the AWS client's message, as *types.Message (a copy) or
// **types.Message (shared with the delivery: read it only).
func (h *handle) As(target any) bool {
	switch t := target.(type) {
	case *types.Message:
		if t == nil {
			return false
		}
		*t = h.native
	case **types.Message:
		if t == nil {
			return false
		}
		*t = &h.native
	default:
		return false
	}
	return true
}

// own returns the handle of a delivery that b made.
func (b *Broker) own(d *broker.Delivery) (*handle, error) {
	if d == nil {
		return nil, &broker.FieldError{Field: "Delivery", Value: "nil", Limit: "a delivery that this broker received"}
	}
	h, ok := d.Handle.(*handle)
	if !ok || h.queue.broker != b {
		return nil, &broker.FieldError{Field: "Delivery", Value: d.ID, Limit: "a delivery that this broker received"}
	}
	return h, nil
}
