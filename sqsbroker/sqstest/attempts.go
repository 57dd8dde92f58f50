package sqstest

import (
	"errors"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

// attempts remembers the results of receives with a ReceiveRequestAttemptId, so
// that a retry gets them again. Guarded by [Handler.mu].
type attempts struct {
	byID  map[string]attempt
	byAge []string // ids, oldest first; one may be there twice
}

type attempt struct {
	at  time.Time
	got []queue.Message
}

// attemptWindow is how long an id is good for [API ReceiveMessage].
const attemptWindow = 5 * time.Minute

func (a *attempts) remember(id string, now time.Time, got []queue.Message) {
	if a.byID == nil {
		a.byID = make(map[string]attempt)
	}
	a.byID[id] = attempt{now, got}
	a.byAge = append(a.byAge, id)
}

// forget drops what is older than the window.
func (a *attempts) forget(now time.Time) {
	for len(a.byAge) > 0 {
		id := a.byAge[0]
		if old, ok := a.byID[id]; ok {
			if now.Before(old.at.Add(attemptWindow)) {
				return
			}
			delete(a.byID, id)
		}
		a.byAge = a.byAge[1:]
	}
}

// receive is the engine's, or for a repeated attempt its result once more: the
// same messages and handles, their visibility timeouts begun anew, provided
// that none was deleted or changed meanwhile [API ReceiveMessage]. What happens
// otherwise is not documented; AWS's support speaks of a receive call that is
// not retryable, and so it is refused here. A visibility timeout that has ended
// makes it a new receive.
func (h *Handler) receive(c *call, q *sqsQueue, id string, limit int, wait, lease time.Duration) ([]queue.Message, error) {
	if id != "" {
		again, err := h.again(q, id, lease)
		switch {
		case errors.Is(err, queue.ErrGone):
			return nil, invalidValue(id, "ReceiveRequestAttemptId",
				"The ReceiveRequestAttemptId is not valid anymore since the receive call is not retryable.")
		case err == nil && again != nil:
			return again, nil
		}
	}
	got, err := h.engine.Receive(c.ctx, q.engine, limit, wait, lease)
	if id != "" && len(got) > 0 {
		h.mu.Lock()
		defer h.mu.Unlock()
		q.attempts.remember(id, h.clock.Now(), got)
	}
	return got, err
}

// again repeats an attempt; nil if there was none.
func (h *Handler) again(q *sqsQueue, id string, lease time.Duration) ([]queue.Message, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.clock.Now()
	q.attempts.forget(now)
	old, ok := q.attempts.byID[id]
	if !ok {
		return nil, nil
	}
	got, err := h.engine.Again(q.engine, old.got, lease)
	if err == nil { // the window goes on counting from the first attempt
		q.attempts.byID[id] = attempt{old.at, got}
	}
	return got, err
}
