package sqstest

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

const (
	maxRate       = 500 // messages a second, and what is taken when a task names none [API StartMessageMoveTask]
	maxTasksShown = 10  // [API ListMessageMoveTasks]
)

// The states of a task. AWS knows CANCELLING as well, which takes no time here.
const (
	taskRunning   = "RUNNING"
	taskCompleted = "COMPLETED"
	taskCancelled = "CANCELLED"
	taskFailed    = "FAILED"
)

// moveTask moves the messages of a dead-letter queue, one at a time at its
// rate, until it finds none that is visible. Guarded by [Handler.mu].
type moveTask struct {
	handle      string
	source      *sqsQueue
	destination *sqsQueue // nil: back to where each message came from
	rate        int       // 0: none was named
	started     time.Time
	toMove      int
	moved       int
	status      string
	reason      string // why it failed
	stop        func() // the next move
}

// taskHandle is a task's handle before base64 [recorded].
type taskHandle struct {
	TaskID    string `json:"taskId"`
	SourceARN string `json:"sourceArn"`
}

func noResource(format string) *Error {
	e := senderFault("ResourceNotFoundException", "ResourceNotFoundException", "%s", format)
	e.Status = http.StatusNotFound
	return e
}

func noResourceFor(parameter string) *Error {
	return noResource("The resource that you specified for the " + parameter + " parameter doesn't exist.")
}

func (h *Handler) startMessageMoveTask(_ *call, in *startMoveIn) (*startMoveOut, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t, err := h.newTask(in)
	if err != nil {
		return nil, err
	}
	stats, err := h.engine.Stats(t.source.engine)
	if err != nil {
		return nil, engineError(err)
	}
	t.toMove = stats.Ready
	t.source.tasks = append(t.source.tasks, t)
	h.schedule(t)
	return &startMoveOut{TaskHandle: t.handle}, nil
}

// newTask checks what a task is to do. The caller holds h.mu.
func (h *Handler) newTask(in *startMoveIn) (*moveTask, error) {
	source, err := h.byARN(in.SourceARN, "SourceArn")
	if err != nil {
		return nil, err
	}
	t := &moveTask{source: source, started: h.clock.Now(), status: taskRunning}
	if in.DestinationARN != "" {
		if t.destination, err = h.byARN(in.DestinationARN, "DestinationArn"); err != nil {
			return nil, err
		}
		if t.destination.settings.fifo != source.settings.fifo {
			return nil, invalidParameter("Source and destination queue must be of the same type.")
		}
		if t.destination == source {
			return nil, invalidParameter("Source queue arn and destination queue arn cannot be the same.")
		}
	}
	if r := in.MaxNumberOfMessagesPerSecond; r != nil {
		if *r < 1 || *r > maxRate {
			return nil, invalidValue(*r, "MaxNumberOfMessagesPerSecond", "Must be between 1 and 500, if provided.")
		}
		t.rate = *r
	}
	if len(h.sourcesOf(source)) == 0 {
		return nil, invalidParameter("Source queue must be configured as a Dead Letter Queue.")
	}
	if slices.ContainsFunc(source.tasks, func(t *moveTask) bool { return t.status == taskRunning }) {
		return nil, invalidParameter("There is already a task running. " +
			"Only one active task is allowed for a source queue arn at a given time.")
	}
	doc, err := json.Marshal(taskHandle{newUUID(), in.SourceARN})
	if err != nil { // strings only
		panic(err)
	}
	t.handle = base64.StdEncoding.EncodeToString(doc)
	return t, nil
}

// byARN is the queue that a parameter names. The caller holds h.mu.
func (h *Handler) byARN(arn, parameter string) (*sqsQueue, error) {
	if arn == "" {
		return nil, missingParameter(parameter)
	}
	a, ok := h.parseARN(arn)
	if q := h.queues[a]; ok && q != nil {
		return q, nil
	}
	return nil, noResourceFor(parameter)
}

// schedule plans the next move of a task. The caller holds h.mu.
func (h *Handler) schedule(t *moveTask) {
	rate := t.rate
	if rate == 0 {
		rate = maxRate
	}
	h.timers.Add(1)
	stop := h.clock.AfterFunc(time.Second/time.Duration(rate), func() {
		defer h.timers.Done()
		h.step(t)
	})
	t.stop = func() {
		if stop() {
			h.timers.Done()
		}
	}
}

// step moves one message of a task.
func (h *Handler) step(t *moveTask) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.status != taskRunning {
		return
	}
	n, err := h.engine.Move(t.source.engine, 1, func(m queue.Message) (string, queue.Send, error) {
		return h.placeOf(t, &m)
	})
	t.moved += n
	switch {
	case err != nil:
		t.status, t.reason = taskFailed, failureReason(err)
	case n == 0:
		t.status = taskCompleted
	default:
		h.schedule(t)
	}
}

// errNoSource ends a task that is to give a message back that came from no
// queue.
var errNoSource = errors.New("CouldNotDetermineMessageSource")

// placeOf says where a task moves a message, and as what: a new one, with an id
// and a time of its own [DG sqs-configure-dead-letter-queue-redrive].
func (h *Handler) placeOf(t *moveTask, m *queue.Message) (engine string, s queue.Send, err error) {
	s = queue.Send{ID: newUUID(), Body: m.Body, Attrs: m.Attrs, Group: m.Group}
	if t.source.settings.fifo {
		s.DedupID = m.ID
	}
	switch {
	case t.destination != nil:
		return t.destination.engine, s, nil
	case m.Source == "":
		return "", s, errNoSource
	default:
		return m.Source, s, nil
	}
}

func failureReason(err error) string {
	if errors.Is(err, queue.ErrNoQueue) {
		return noQueue().Code
	}
	return err.Error()
}

func (h *Handler) cancelMessageMoveTask(_ *call, in *cancelMoveIn) (*cancelMoveOut, error) {
	if in.TaskHandle == "" {
		return nil, missingParameter("TaskHandle")
	}
	var doc taskHandle
	text, err := base64.StdEncoding.DecodeString(in.TaskHandle)
	if err != nil || json.Unmarshal(text, &doc) != nil || doc.TaskID == "" {
		return nil, invalidParameter("Value for parameter TaskHandle is invalid.")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	source, err := h.byARN(doc.SourceARN, "SourceArn")
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(source.tasks, func(t *moveTask) bool { return t.handle == in.TaskHandle })
	if i < 0 {
		return nil, noResource("Task does not exist.")
	}
	t := source.tasks[i]
	if t.status != taskRunning {
		return nil, unsupported("Only active tasks can be cancelled.")
	}
	t.end(taskCancelled)
	return &cancelMoveOut{t.moved}, nil
}

// end stops a task. The caller holds [Handler.mu].
func (t *moveTask) end(status string) {
	t.status = status
	t.stop()
}

// endTasks stops the task of a queue that is no more. The caller holds
// [Handler.mu].
func (q *sqsQueue) endTasks() {
	for _, t := range q.tasks {
		if t.status == taskRunning {
			t.end(taskFailed)
		}
	}
}

func (h *Handler) listMessageMoveTasks(_ *call, in *listMovesIn) (*listMovesOut, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	source, err := h.byARN(in.SourceARN, "SourceArn")
	if err != nil {
		return nil, err
	}
	limit := 1
	if in.MaxResults != nil {
		limit = *in.MaxResults
	}
	if limit < 1 || limit > maxTasksShown {
		return nil, invalidValue(limit, "MaxResults", "Must be between 1 and 10, if provided.")
	}
	out := &listMovesOut{}
	for _, t := range slices.Backward(source.tasks) {
		if len(out.Results) == limit {
			break
		}
		out.Results = append(out.Results, h.describeTask(t))
	}
	return out, nil
}

func (h *Handler) describeTask(t *moveTask) moveResult {
	r := moveResult{
		ApproximateNumberOfMessagesMoved:  t.moved,
		ApproximateNumberOfMessagesToMove: t.toMove,
		FailureReason:                     t.reason,
		MaxNumberOfMessagesPerSecond:      t.rate,
		SourceARN:                         h.arn(t.source.addr),
		StartedTimestamp:                  t.started.UnixMilli(),
		Status:                            t.status,
	}
	if t.status == taskRunning {
		r.TaskHandle = t.handle
	}
	if t.destination != nil {
		r.DestinationARN = h.arn(t.destination.addr)
	}
	return r
}
