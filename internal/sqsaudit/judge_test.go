package sqsaudit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

const lease = 30 * time.Second

// story writes the books of a run by hand, in virtual time.
type story struct {
	*Audit
	t *testing.T
}

// tell writes a story and returns the verdict.
func tell(t *testing.T, o Options, f func(s *story)) (v *Verdict) {
	t.Helper()
	o.Lease, o.Log = lease, true
	synctest.Test(t, func(t *testing.T) {
		s := &story{New(o), t}
		f(s)
		v = s.Judge()
	})
	return v
}

func (s *story) event(k sqstest.EventKind, id string, count int) {
	s.Event(sqstest.Event{Kind: k, Queue: "q", ID: id, Receive: count, Time: time.Now()})
}

// call is one try on the wire; a status of 0 is no answer.
func (s *story) call(action, body string, status int, answer string) {
	now := time.Now()
	s.note(&try{action: action, began: now, ended: now, answered: status != 0, status: status}, []byte(body), []byte(answer))
}

// send stores a message under its body as its id, and gives a receipt.
func (s *story) send(body, group string) {
	s.Publishing(body, group)
	s.event(sqstest.EventSent, body, 0)
	s.call("SendMessage", fmt.Sprintf(`{"MessageBody":%q}`, body), http.StatusOK, `{}`)
	s.Published(body, broker.Receipt{ID: body})
}

// give hands a message to a receiver.
func (s *story) give(body string, count int) {
	s.event(sqstest.EventReceived, body, count)
	s.call("ReceiveMessage", `{}`, http.StatusOK, fmt.Sprintf(
		`{"Messages":[{"MessageId":%q,"ReceiptHandle":"%s/%d","Attributes":{"ApproximateReceiveCount":"%d"}}]}`, body, body, count, count))
}

// begin runs a handler, end ends it.
func (s *story) begin(body, group string, count int) *Run {
	return s.Began(context.Background(), &broker.Delivery{
		ID: body, Attempt: count, Message: broker.Message{Body: []byte(body), Key: group},
	})
}

func (s *story) work(body, group string, count int, err error) {
	s.begin(body, group, count).Ended(err)
}

// settle is a try to delete or change a message; ok is the entry's result.
func (s *story) settle(action, body string, count, status int, ok bool) {
	answer := `{"Failed":[{"Id":"0"}]}`
	if ok {
		answer = `{"Successful":[{"Id":"0"}]}`
	}
	s.call(action, fmt.Sprintf(`{"Entries":[{"Id":"0","ReceiptHandle":"%s/%d","VisibilityTimeout":%d}]}`,
		body, count, 30), status, answer)
}

// extendSlowly extends the lease of a message; the answer takes its time.
func (s *story) extendSlowly(body string, count int, took time.Duration) {
	s.event(sqstest.EventExtended, body, count)
	began := time.Now()
	time.Sleep(took)
	s.note(&try{action: changes, began: began, ended: time.Now(), answered: true, status: http.StatusOK},
		fmt.Appendf(nil, `{"Entries":[{"Id":"0","ReceiptHandle":"%s/%d"}]}`, body, count), []byte(`{"Successful":[{"Id":"0"}]}`))
}

const (
	deletes = "DeleteMessageBatch"
	changes = "ChangeMessageVisibilityBatch"
)

func (s *story) delete(body string, count int) {
	s.event(sqstest.EventDeleted, body, count)
	s.settle(deletes, body, count, http.StatusOK, true)
}

// expire lets the first lease of message a run out.
func (s *story) expire() {
	time.Sleep(lease)
	s.event(sqstest.EventExpired, "a", 1)
}

// finish gives a message and has it handled and deleted.
func (s *story) finish(body, group string, count int) {
	s.give(body, count)
	s.work(body, group, count, nil)
	s.delete(body, count)
}

// What may happen is told by its cause.
func TestJudgeFindsTheCause(t *testing.T) {
	for _, c := range []struct {
		cause Cause
		opts  Options
		first func(s *story) // how the first receive of message a ended
	}{
		{AnswerLost, Options{}, func(s *story) {
			s.event(sqstest.EventReceived, "a", 1)
			s.call("ReceiveMessage", `{}`, 0, "")
			s.expire()
		}},
		{Killed, Options{}, func(s *story) {
			s.give("a", 1)
			s.Killed(&broker.Delivery{ID: "a", Attempt: 1})
			s.expire()
		}},
		{HandlerFailed, Options{}, func(s *story) {
			s.give("a", 1)
			s.work("a", "", 1, errors.New("failed"))
			s.event(sqstest.EventReleased, "a", 1)
		}},
		{Drained, Options{}, func(s *story) {
			s.give("a", 1)
			s.work("a", "", 1, broker.ErrDraining)
			s.event(sqstest.EventReleased, "a", 1)
		}},
		{GivenBack, Options{}, func(s *story) {
			s.give("a", 1)
			s.call(changes, `{"Entries":[{"Id":"0","ReceiptHandle":"a/1","VisibilityTimeout":0}]}`, 200, `{"Successful":[{"Id":"0"}]}`)
			s.event(sqstest.EventReleased, "a", 1)
		}},
		{DeleteFailed, Options{}, func(s *story) {
			s.give("a", 1)
			s.work("a", "", 1, nil)
			s.settle(deletes, "a", 1, http.StatusOK, false)
			s.expire()
		}},
		{DeleteWaited, Options{}, func(s *story) {
			s.give("a", 1)
			s.work("a", "", 1, nil)
			s.settle(deletes, "b", 1, http.StatusBadRequest, false)
			s.expire()
		}},
		{ExtendFailed, Options{}, func(s *story) {
			s.give("a", 1)
			r := s.begin("a", "", 1)
			s.settle(changes, "a", 1, 0, false)
			s.expire()
			r.Ended(broker.ErrLeaseLost)
		}},
		{ExtendFailed, Options{}, func(s *story) { // it was not, but its answer came late
			s.give("a", 1)
			r := s.begin("a", "", 1)
			time.Sleep(lease - 3*time.Second)
			s.extendSlowly("a", 1, 2*time.Second)
			time.Sleep(time.Second)
			r.Ended(broker.ErrLeaseLost)
			s.expire()
		}},
		{Injected, Options{Worst: true}, func(s *story) {
			s.give("a", 1)
			r := s.begin("a", "", 1)
			s.event(sqstest.EventExpired, "a", 1)
			defer r.Ended(nil)
		}},
		{Injected, Options{Worst: true}, func(s *story) { s.finish("a", "", 1) }},
	} {
		t.Run(string(c.cause), func(t *testing.T) {
			v := tell(t, c.opts, func(s *story) {
				s.send("a", "")
				c.first(s)
				s.finish("a", "", 2)
			})
			if len(v.Violations) > 0 || len(v.Redeliver) != 1 || v.Redeliver[c.cause] != 1 {
				t.Errorf("got %v, %v", v, v.Violations)
			}
		})
	}
}

// What must not happen is seen.
func TestJudgeCatches(t *testing.T) {
	fifo := Options{FIFO: true}
	for _, c := range []struct {
		name, want string
		opts       Options
		story      func(s *story)
	}{
		{"a message that no handler got", "is lost", Options{}, func(s *story) { s.send("a", "") }},
		{"a message that was deleted unhandled", "deleted before a handler had succeeded", Options{}, func(s *story) {
			s.send("a", "")
			s.give("a", 1)
			s.delete("a", 1)
			time.Sleep(time.Second)
			s.work("a", "", 1, nil)
		}},
		{"a message that was deleted after a failure", "is lost", Options{}, func(s *story) {
			s.send("a", "")
			s.give("a", 1)
			s.work("a", "", 1, errors.New("failed"))
			s.delete("a", 1)
		}},
		{"a lease that was lost although it was extended", "for no reason", Options{}, func(s *story) {
			s.send("a", "")
			s.give("a", 1)
			r := s.begin("a", "", 1)
			time.Sleep(lease / 2)
			s.settle(changes, "a", 1, http.StatusOK, true)
			time.Sleep(lease / 2)
			r.Ended(broker.ErrLeaseLost)
			s.expire()
			s.finish("a", "", 2)
		}},
		{"a message that stays", "never deleted", Options{}, func(s *story) {
			s.send("a", "")
			s.give("a", 1)
			s.work("a", "", 1, nil)
		}},
		{"a message that was discarded", "was discarded", Options{}, func(s *story) {
			s.send("a", "")
			s.give("a", 1)
			s.work("a", "", 1, nil)
			s.event(sqstest.EventDiscarded, "a", 1)
		}},
		{"a receipt without a message", "never stored", Options{}, func(s *story) {
			s.send("a", "")
			s.Published("a", broker.Receipt{ID: "ghost"})
			s.finish("a", "", 1)
		}},
		{"a message that was given up", "never published with success", Options{}, func(s *story) { s.Publishing("a", "") }},
		{"a message that nobody sent", "nobody published", Options{}, func(s *story) {
			s.event(sqstest.EventSent, "x", 0)
			s.finish("x", "", 1)
		}},
		{"a copy without an unanswered send", "stored 2 times", Options{}, func(s *story) {
			s.send("a", "")
			s.finish("a", "", 1)
			s.copyOf("a", "a2")
		}},
		{"a send after a success", "sent again after", Options{}, func(s *story) {
			s.send("a", "")
			s.finish("a", "", 1)
			s.call("SendMessage", `{"MessageBody":"a"}`, http.StatusOK, `{}`)
		}},
		{"a copy on a FIFO queue", "on a FIFO queue", fifo, func(s *story) {
			s.send("a", "k")
			s.finish("a", "k", 1)
			s.call("SendMessage", `{"MessageBody":"a"}`, 0, "")
			s.copyOf("a", "a2")
		}},
		{"a duplicate for no reason", string(Unexplained), Options{}, func(s *story) {
			s.send("a", "")
			s.give("a", 1)
			s.work("a", "", 1, nil)
			s.expire() // no delete was tried
			s.finish("a", "", 2)
		}},
		{"a lease that ran out without a heartbeat", string(Unexplained), Options{}, func(s *story) {
			s.send("a", "")
			s.give("a", 1)
			r := s.begin("a", "", 1)
			s.expire()
			r.Ended(broker.ErrLeaseLost)
			s.finish("a", "", 2)
		}},
		{"a message that was left in a buffer", string(Unexplained), Options{}, func(s *story) {
			s.send("a", "")
			s.give("a", 1)
			s.expire()
			s.finish("a", "", 2)
		}},
		{"an answer lost though all were answered", "no receive went unanswered", Options{}, func(s *story) {
			s.send("a", "")
			s.event(sqstest.EventReceived, "a", 1)
			s.expire()
			s.finish("a", "", 2)
		}},
		{"a lost answer at another time", "no receive went unanswered", Options{}, func(s *story) {
			s.call("ReceiveMessage", `{}`, 0, "")
			time.Sleep(time.Second)
			s.send("a", "")
			s.event(sqstest.EventReceived, "a", 1)
			s.expire()
			s.finish("a", "", 2)
		}},
		{"a receive that is handled twice", "was handled 2 times", Options{}, func(s *story) {
			s.send("a", "")
			s.give("a", 1)
			s.work("a", "", 1, nil)
			s.work("a", "", 1, nil)
			s.delete("a", 1)
		}},
		{"two handlers at once", "two handlers at once", Options{}, func(s *story) {
			s.send("a", "")
			s.give("a", 1)
			r := s.begin("a", "", 1)
			s.settle(changes, "a", 1, 0, false)
			s.expire()
			s.finish("a", "", 2)
			r.Ended(nil)
		}},
		{"a handler that hangs", "never ended", Options{}, func(s *story) {
			s.send("a", "")
			s.finish("a", "", 1)
			s.begin("a", "", 2)
		}},
		{"a group that is stored out of order", "stored after later ones", fifo, func(s *story) {
			s.Publishing("a", "k")
			s.send("b", "k")
			s.event(sqstest.EventSent, "a", 0)
			s.Published("a", broker.Receipt{ID: "a"})
			s.finish("b", "k", 1)
			s.finish("a", "k", 1)
		}},
		{"a group that is handled out of order", "began before a had ended", fifo, func(s *story) {
			s.send("a", "k")
			s.send("b", "k")
			s.give("b", 1)
			s.work("b", "k", 1, nil)
			s.delete("b", 1)
			time.Sleep(time.Second)
			s.finish("a", "k", 1)
		}},
		{"a group that goes on after a failure", "began before a had ended", fifo, func(s *story) {
			s.send("a", "k")
			s.send("b", "k")
			s.give("a", 1)
			s.give("b", 1)
			s.work("a", "k", 1, errors.New("failed"))
			s.work("b", "k", 1, nil)
			s.delete("b", 1)
			time.Sleep(time.Second)
			s.finish("a", "k", 2)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := tell(t, c.opts, c.story)
			if got := strings.Join(v.Violations, "\n"); !strings.Contains(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// copyOf stores a body once more and has the copy handled.
func (s *story) copyOf(body, id string) {
	s.event(sqstest.EventSent, id, 0)
	s.give(id, 1)
	s.Began(context.Background(), &broker.Delivery{
		ID: id, Attempt: 1, Message: broker.Message{Body: []byte(body), Key: s.published[body].group},
	}).Ended(nil)
	s.delete(id, 1)
}

// A copy after a send that nobody answered is counted, and no violation.
func TestJudgeCountsCopies(t *testing.T) {
	v := tell(t, Options{}, func(s *story) {
		s.call("SendMessageBatch", `{"Entries":[{"Id":"0","MessageBody":"a"}]}`, 0, "")
		s.send("a", "")
		s.finish("a", "", 1)
		s.copyOf("a", "a2")
	})
	if len(v.Violations) > 0 || v.Copies != 1 || v.Unanswered != 1 {
		t.Errorf("got %v, %v", v, v.Violations)
	}
}
