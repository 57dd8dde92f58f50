package main

import (
	"testing"

	"github.com/candidmq/candidmq/broker"
)

// The books are right whatever happens, also what should not.
func TestLedger(t *testing.T) {
	a, b := Order{ID: "a"}, Order{ID: "b"}
	first, second := &broker.Delivery{ID: "1"}, &broker.Delivery{ID: "2"}
	tests := []struct {
		name   string
		dedups bool
		do     func(*ledger)
		want   sums
	}{
		{"processed", false, func(l *ledger) { l.publish(a); l.book(a, first) }, sums{published: 1, booked: 1}},
		{"processed before it was noted", false, func(l *ledger) { l.book(a, first); l.publish(a) }, sums{published: 1, booked: 1}},
		{"lost", false, func(l *ledger) { l.publish(a); l.publish(b); l.book(b, first) }, sums{published: 2, booked: 1, open: 1}},
		{"redelivered", false, func(l *ledger) { l.publish(a); l.book(a, first); l.book(a, first) }, sums{published: 1, booked: 1}},
		{"duplicate", false, func(l *ledger) {
			l.publish(a)
			l.publish(a)
			l.book(a, first)
			l.book(a, second)
		}, sums{published: 2, booked: 1, absorbed: 1}},
		{"duplicate lost", false, func(l *ledger) { l.publish(a); l.publish(a); l.book(a, first) }, sums{published: 2, booked: 1, open: 1}},
		{"duplicate dropped", true, func(l *ledger) { l.publish(a); l.publish(a); l.book(a, first) }, sums{published: 2, booked: 1, dropped: 1}},
		{"duplicate not dropped", true, func(l *ledger) {
			l.publish(a)
			l.publish(a)
			l.book(a, first)
			l.book(a, second)
		}, sums{published: 2, booked: 1, absorbed: 1}},
		{"lost with its duplicate", true, func(l *ledger) { l.publish(a); l.publish(a) }, sums{published: 2, dropped: 1, open: 1}},
		{"dead", false, func(l *ledger) { l.publish(a); l.bury(a, first); l.bury(a, first) }, sums{published: 1, dead: 1}},
		{"left", false, func(l *ledger) { l.publish(a); l.leave(a, first) }, sums{published: 1, left: 1}},
		{"left although processed", false, func(l *ledger) { l.publish(a); l.book(a, first); l.leave(a, first) }, sums{published: 1, booked: 1}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l := newLedger(test.dedups)
			test.do(l)
			if got := l.sums(); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
			l.close()
			select {
			case <-l.done:
				if test.want.open > 0 {
					t.Error("done although something is open")
				}
			default:
				if test.want.open == 0 {
					t.Error("not done although nothing is open")
				}
			}
		})
	}
}
