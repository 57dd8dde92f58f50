package lease

import (
	"errors"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func TestSettledState(t *testing.T) {
	for _, c := range []struct {
		state     State
		done      bool
		delete    error
		change    error
		stateName string
	}{
		{Open, false, nil, nil, "open"},
		{Deleted, true, nil, broker.ErrLeaseLost, "deleted"},
		{Released, true, broker.ErrLeaseLost, broker.ErrLeaseLost, "released"},
		{Rejected, true, broker.ErrLeaseLost, broker.ErrLeaseLost, "rejected"},
	} {
		t.Run(c.stateName, func(t *testing.T) {
			var l Lease
			l.Settle(c.state)
			if done, err := l.CheckDelete(); done != c.done || !errors.Is(err, c.delete) {
				t.Errorf("CheckDelete() = %v, %v; want %v, %v", done, err, c.done, c.delete)
			}
			if err := l.CheckChange(); !errors.Is(err, c.change) {
				t.Errorf("CheckChange() = %v; want %v", err, c.change)
			}
		})
	}
}

func TestExpiry(t *testing.T) {
	var l Lease
	now := time.Now()
	if l.Expired(now) {
		t.Error("a lease without an end has expired")
	}
	l.Renew(now)
	if !l.Expired(now) || l.Expired(now.Add(-1)) || !l.LeaseEnd().Equal(now) {
		t.Error("a lease must expire at its end, and not before")
	}
}
