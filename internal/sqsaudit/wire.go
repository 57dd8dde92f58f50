package sqsaudit

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Doer is the part of an HTTP client that the AWS client uses.
type Doer interface {
	Do(*http.Request) (*http.Response, error)
}

// Watch returns a client that notes every try that goes through it to next. The
// AWS client makes its retries through it, so that each is seen.
func (a *Audit) Watch(next Doer) Doer { return &watch{a, next} }

type watch struct {
	audit *Audit
	next  Doer
}

// Do reads the whole answer, so that one which is cut off in the middle is known
// for what it is. The caller sees the same.
func (w *watch) Do(req *http.Request) (*http.Response, error) {
	sent, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	req.Body = io.NopCloser(bytes.NewReader(sent))
	t := try{action: action(req), began: time.Now()}
	resp, err := w.next.Do(req)
	if err != nil {
		t.ended = time.Now()
		w.audit.note(&t, sent, nil)
		return nil, err
	}
	body, cut := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // read to its end, or to the error that is passed on
	t.ended = time.Now()
	t.answered = cut == nil
	t.status = resp.StatusCode
	w.audit.note(&t, sent, body)
	resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{cut}))
	return resp, nil
}

// failing is a reader that ends with an error, or with io.EOF if it is nil.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil {
		return 0, io.EOF
	}
	return 0, f.err
}

func action(req *http.Request) string {
	_, name, _ := strings.Cut(req.Header.Get("X-Amz-Target"), ".")
	return name
}

// try is one request and what became of it.
type try struct {
	action       string
	began, ended time.Time
	answered     bool // an answer came, whatever it says
	status       int
}

func (t *try) ok() bool { return t.answered && t.status == http.StatusOK }

// request and answer have what the judge needs of every action's.
type request struct {
	MessageBody       string
	ReceiptHandle     string
	VisibilityTimeout *int
	Entries           []struct {
		ID                string `json:"Id"`
		MessageBody       string
		ReceiptHandle     string
		VisibilityTimeout *int
	}
}

type answer struct {
	Successful []struct {
		ID string `json:"Id"`
	}
	Messages []struct {
		MessageID     string `json:"MessageId"`
		ReceiptHandle string
		Attributes    map[string]string
	}
}

// note takes one try into the books.
func (a *Audit) note(t *try, sent, got []byte) {
	var in request
	var out answer
	_ = json.Unmarshal(sent, &in) // what is no JSON has nothing to note
	if t.ok() {
		_ = json.Unmarshal(got, &out)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tries++
	if !t.answered {
		a.unanswered++
	}
	switch t.action {
	case "SendMessage":
		a.noteSend(t, in.MessageBody, t.ok())
	case "SendMessageBatch":
		for _, e := range in.Entries {
			a.noteSend(t, e.MessageBody, out.succeeded(e.ID))
		}
	case "ReceiveMessage":
		a.noteReceive(t, &out)
	case "DeleteMessageBatch":
		failed := false
		for _, e := range in.Entries {
			h := a.handle(e.ReceiptHandle)
			done := out.succeeded(e.ID)
			h.deletes = append(h.deletes, step{*t, done, false})
			failed = failed || !done
		}
		if failed {
			a.failedDeletes = append(a.failedDeletes, *t)
		}
	case "ChangeMessageVisibilityBatch":
		for _, e := range in.Entries {
			h := a.handle(e.ReceiptHandle)
			release := e.VisibilityTimeout != nil && time.Duration(*e.VisibilityTimeout)*time.Second != a.opts.Lease
			h.changes = append(h.changes, step{*t, out.succeeded(e.ID), release})
		}
	}
}

func (o *answer) succeeded(id string) bool {
	for i := range o.Successful {
		if o.Successful[i].ID == id {
			return true
		}
	}
	return false
}

// step is one try to settle or extend one message.
type step struct {
	try
	done    bool // the answer says so
	release bool // a visibility timeout other than the lease: none, or a delay
}

// settled is what the wire saw of one receipt handle.
type settled struct {
	deletes, changes []step
}

// sent is what the wire saw of one body that was published.
type sent struct {
	stored     int // tries that were answered with success
	unanswered int // tries that nobody knows the end of
}

func (a *Audit) noteSend(t *try, body string, done bool) {
	s := a.sends[body]
	if s == nil {
		s = &sent{}
		a.sends[body] = s
	}
	switch {
	case !t.answered:
		s.unanswered++
	case done:
		s.stored++
	}
}

func (a *Audit) noteReceive(t *try, out *answer) {
	if !t.answered {
		a.lostReceives = append(a.lostReceives, lostReceive{try: *t})
		return
	}
	for _, m := range out.Messages {
		r := receive{m.MessageID, number(m.Attributes["ApproximateReceiveCount"])}
		// A FIFO receive that is made again brings the same handles.
		if !slices.Contains(a.arrived[r], m.ReceiptHandle) {
			a.arrived[r] = append(a.arrived[r], m.ReceiptHandle)
		}
	}
}

func (a *Audit) handle(receipt string) *settled {
	h := a.handles[receipt]
	if h == nil {
		h = &settled{}
		a.handles[receipt] = h
	}
	return h
}
