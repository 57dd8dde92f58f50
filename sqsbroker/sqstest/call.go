package sqstest

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"unicode/utf8"

	"github.com/candidmq/candidmq/internal/queue"
)

// call is one request of one caller.
type call struct {
	ctx     context.Context
	account string // the caller's
	baseURL string // of the queue URLs that it is told
}

// action answers one kind of request.
type action func(h *Handler, c *call, body []byte) (any, error)

// actions are all that is implemented, by the name in X-Amz-Target.
var actions = map[string]action{
	"AddPermission":                answer((*Handler).addPermission),
	"CancelMessageMoveTask":        answer((*Handler).cancelMessageMoveTask),
	"ChangeMessageVisibility":      answer((*Handler).changeVisibility),
	"ChangeMessageVisibilityBatch": answer((*Handler).changeVisibilityBatch),
	"CreateQueue":                  answer((*Handler).createQueue),
	"DeleteMessage":                answer((*Handler).deleteMessage),
	"DeleteMessageBatch":           answer((*Handler).deleteMessageBatch),
	"DeleteQueue":                  answer((*Handler).deleteQueue),
	"GetQueueAttributes":           answer((*Handler).getQueueAttributes),
	"GetQueueUrl":                  answer((*Handler).getQueueURL),
	"ListDeadLetterSourceQueues":   answer((*Handler).listDeadLetterSourceQueues),
	"ListMessageMoveTasks":         answer((*Handler).listMessageMoveTasks),
	"ListQueueTags":                answer((*Handler).listQueueTags),
	"ListQueues":                   answer((*Handler).listQueues),
	"PurgeQueue":                   answer((*Handler).purgeQueue),
	"ReceiveMessage":               answer((*Handler).receiveMessage),
	"RemovePermission":             answer((*Handler).removePermission),
	"SendMessage":                  answer((*Handler).sendMessage),
	"SendMessageBatch":             answer((*Handler).sendMessageBatch),
	"SetQueueAttributes":           answer((*Handler).setQueueAttributes),
	"StartMessageMoveTask":         answer((*Handler).startMessageMoveTask),
	"TagQueue":                     answer((*Handler).tagQueue),
	"UntagQueue":                   answer((*Handler).untagQueue),
}

// answer makes an action of a method that knows its shapes.
func answer[In, Out any](f func(*Handler, *call, *In) (*Out, error)) action {
	return func(h *Handler, c *call, body []byte) (any, error) {
		var in In
		if err := decode(body, &in); err != nil {
			return nil, err
		}
		out, err := f(h, c, &in)
		if err != nil {
			return nil, err
		}
		return out, nil
	}
}

// decode reads a request. What it does not know is skipped, as AWS does: newer
// clients send newer members.
func decode(body []byte, in any) error {
	if !utf8.Valid(body) {
		return serialization("The request is not UTF-8.")
	}
	err := json.Unmarshal(body, in)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		return serialization("%s can not be converted to %s", wrong.Value, wrong.Type)
	case err != nil:
		return serialization("The request is no JSON object: %v", err)
	}
	return nil
}

// engineError translates what the engine says on a queue that was there a
// moment ago.
func engineError(err error) error {
	switch {
	case errors.Is(err, queue.ErrNoQueue):
		return noQueue()
	case errors.Is(err, queue.ErrClosed):
		return &Error{Name: "ServiceUnavailable", Code: "ServiceUnavailable", Status: 503, Message: "The server is closed."}
	default:
		return err
	}
}

// Actions are the names of the actions that are implemented, sorted.
func Actions() []string { return slices.Sorted(maps.Keys(actions)) }
