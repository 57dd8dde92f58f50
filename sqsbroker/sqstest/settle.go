package sqstest

import (
	"errors"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

func (h *Handler) deleteMessage(c *call, in *deleteIn) (*nothing, error) {
	q, err := h.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	return &nothing{}, h.remove(q, in.ReceiptHandle)
}

func (h *Handler) deleteMessageBatch(c *call, in *deleteBatchIn) (*batchOut[entryID], error) {
	q, err := h.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	id := func(e *deleteEntry) string { return e.ID }
	if err := checkEntries(in.Entries, id); err != nil {
		return nil, err
	}
	return each(in.Entries, id, func(e *deleteEntry) error { return h.remove(q, e.ReceiptHandle) }), nil
}

// receipt reads a handle that must be one of q.
func receipt(q *sqsQueue, handle string) (queue.Receipt, error) {
	if handle == "" {
		return queue.Receipt{}, missingParameter("ReceiptHandle")
	}
	r, ok := readHandle(q.id, handle)
	if !ok {
		return r, badHandle(handle)
	}
	return r, nil
}

// remove deletes a message; deleting it again succeeds [recorded].
func (h *Handler) remove(q *sqsQueue, handle string) error {
	r, err := receipt(q, handle)
	if err != nil {
		return err
	}
	err = h.engine.Delete(q.engine, r)
	if errors.Is(err, queue.ErrExpired) {
		return expired(handle)
	}
	return engineError(err)
}

func expired(handle string) *Error {
	return invalidValue(handle, "ReceiptHandle", "The receipt handle has expired.")
}

func (h *Handler) changeVisibility(c *call, in *visibilityIn) (*nothing, error) {
	q, err := h.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	return &nothing{}, h.extend(q, in.ReceiptHandle, in.VisibilityTimeout)
}

func (h *Handler) changeVisibilityBatch(c *call, in *visibilityBatchIn) (*batchOut[entryID], error) {
	q, err := h.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	id := func(e *visibilityEntry) string { return e.ID }
	if err := checkEntries(in.Entries, id); err != nil {
		return nil, err
	}
	return each(in.Entries, id, func(e *visibilityEntry) error {
		return h.extend(q, e.ReceiptHandle, e.VisibilityTimeout)
	}), nil
}

func (h *Handler) extend(q *sqsQueue, handle string, timeout *int) error {
	r, err := receipt(q, handle)
	if err != nil {
		return err
	}
	if timeout == nil {
		return missingParameter("VisibilityTimeout")
	}
	if *timeout < 0 || *timeout > maxVisibility {
		return invalidVisibility(*timeout)
	}
	_, err = h.engine.Extend(q.engine, r, time.Duration(*timeout)*time.Second)
	switch {
	case errors.Is(err, queue.ErrGone):
		return invalidValue(handle, "ReceiptHandle", "Message does not exist or is not available for visibility timeout change.")
	case errors.Is(err, queue.ErrExpired):
		return expired(handle)
	case errors.Is(err, queue.ErrTooLong):
		return invalidValue(*timeout, "VisibilityTimeout", "Total VisibilityTimeout for the message is beyond the limit [43200 seconds].")
	}
	return engineError(err)
}
