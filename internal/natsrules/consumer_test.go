package natsrules_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// What Receive is called with is checked as a whole, before anything is sent.
func TestParseReceive(t *testing.T) {
	wait, lease, err := natsrules.ParseReceive(1, []broker.ReceiveOption{broker.Lease(time.Second)}, time.Minute)
	if wait != time.Minute || lease != time.Second || err != nil {
		t.Errorf("got %v, %v, %v", wait, lease, err)
	}
	for name, test := range map[string]struct {
		limit  int
		opts   []broker.ReceiveOption
		fields []string
	}{
		"a wait of 0":    {1, []broker.ReceiveOption{broker.Wait(0)}, nil},
		"a wait below 0": {1, []broker.ReceiveOption{broker.Wait(-1)}, []string{"Wait"}},
		"a lease of 0":   {1, []broker.ReceiveOption{broker.Lease(0)}, []string{"Lease"}},
		"no units":       {0, []broker.ReceiveOption{broker.Wait(20), broker.Lease(30)}, []string{"limit", "Wait", "Lease"}},
	} {
		_, _, err := natsrules.ParseReceive(test.limit, test.opts, time.Minute)
		if (err == nil) != (test.fields == nil) || err != nil && !errors.Is(err, broker.ErrInvalid) {
			t.Errorf("%s: got %v", name, err)
		}
		for _, field := range test.fields {
			if !strings.Contains(err.Error(), "invalid "+field) {
				t.Errorf("%s: got %v, want it to name %s", name, err, field)
			}
		}
	}
}
