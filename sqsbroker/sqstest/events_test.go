package sqstest_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/sqsbroker/sqstest"
)

// An observer sees a message's life, and what nobody answered to as well.
func TestObserve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv(t, nil)
		defer e.srv.Close()
		url := e.queue("q", attrs{"VisibilityTimeout": "30"})
		var got []sqstest.Event
		e.srv.Observe(func(ev sqstest.Event) { got = append(got, ev) })
		begin := time.Now()
		id := *e.send(url, "a").MessageId
		e.ok("change", e.change(url, e.receive(url, 1)[0], 60))
		time.Sleep(time.Minute)
		e.ok("change", e.change(url, e.receive(url, 1)[0], 0))
		e.ok("delete", e.delete(url, e.receive(url, 1)[0]))
		e.srv.Observe(nil)
		e.send(url, "b")

		ev := func(k sqstest.EventKind, receive int, after time.Duration) sqstest.Event {
			return sqstest.Event{Kind: k, Queue: "q", ID: id, Receive: receive, Time: begin.Add(after)}
		}
		want := []sqstest.Event{
			ev(sqstest.EventSent, 0, 0),
			ev(sqstest.EventReceived, 1, 0),
			ev(sqstest.EventExtended, 1, 0),
			ev(sqstest.EventExpired, 1, time.Minute),
			ev(sqstest.EventReceived, 2, time.Minute),
			ev(sqstest.EventReleased, 2, time.Minute),
			ev(sqstest.EventReceived, 3, time.Minute),
			ev(sqstest.EventDeleted, 3, time.Minute),
		}
		if !slices.EqualFunc(got, want, func(a, b sqstest.Event) bool {
			return a.Time.Equal(b.Time) && a.Kind == b.Kind && a.Queue == b.Queue && a.ID == b.ID && a.Receive == b.Receive
		}) {
			t.Errorf("got  %v\nwant %v", got, want)
		}
	})
}
