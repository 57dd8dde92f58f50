package broker_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// mutant breaks rules on purpose, between the runtime and the engine: what the
// engine sees is what it would see of a runtime that breaks them.
type mutant struct {
	more           int  // slots than the oracle knows of
	doubles        bool // each message runs twice
	hidesLeases    bool // no heartbeat, and the handler is not told
	releasesLate   bool // after the lease has run out
	extendsSettled bool
	losesDeletes   bool
	deletesFailed  bool
	rejectsFailed  bool
	dropsMessages  bool // a message that was received is forgotten, its lease kept alive for hours
	dropsKeys      bool // a lane goes on after a failure
	leaksGoroutine bool
	leaksMemory    bool
	deaf           bool // handlers outlast a drain's grace
}

// The oracle must catch a runtime that breaks a rule, each by that rule.
func TestSoakOracleCatches(t *testing.T) {
	for name, c := range map[string]struct {
		fifo   bool
		mutant mutant
		want   rule
	}{
		"a handler without a slot":              {false, mutant{more: 1}, ruleSlots},
		"two handlers at once":                  {false, mutant{doubles: true}, ruleAlone},
		"a lease that is lost unnoticed":        {false, mutant{hidesLeases: true}, ruleTold},
		"a release after the lease":             {false, mutant{releasesLate: true}, ruleLate},
		"a release after the lease, FIFO":       {true, mutant{releasesLate: true}, ruleLate},
		"an extension after the settlement":     {false, mutant{extendsSettled: true}, ruleSettled},
		"a message that is never deleted":       {false, mutant{losesDeletes: true}, ruleDeleted},
		"a failed message that is deleted":      {true, mutant{deletesFailed: true}, ruleKept},
		"a failed message that is put to rest":  {false, mutant{rejectsFailed: true}, ruleKept},
		"a message that is held for ever":       {false, mutant{dropsMessages: true}, ruleKept},
		"a lane that goes on after a failure":   {true, mutant{dropsKeys: true}, ruleLane},
		"a goroutine that is left":              {false, mutant{leaksGoroutine: true}, ruleGoroutine},
		"memory that is kept for each delivery": {true, mutant{leaksMemory: true}, ruleHeap},
		"a drain that leaves handlers behind":   {false, mutant{deaf: true}, ruleDrained},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSoak(t, c.fifo, 1, 5000)
				s.mutant, s.only = c.mutant, c.want
				s.run()
				if len(s.violations) == 0 {
					t.Errorf("the oracle saw no violation of %q", c.want)
				}
			})
		})
	}
}

// received changes what a receive brings.
func (m mutant) received(s *soak, ds []*broker.Delivery) []*broker.Delivery {
	for _, d := range ds {
		if m.dropsKeys {
			d.Key = ""
		}
		if m.leaksMemory {
			s.mu.Lock()
			s.leaked = append(s.leaked, make([]byte, 2<<10))
			s.mu.Unlock()
		}
	}
	if m.leaksGoroutine && len(ds) > 0 {
		go func() { <-s.leaks }()
	}
	if m.dropsMessages {
		ds = slices.DeleteFunc(ds, func(d *broker.Delivery) bool {
			h := d.Handle.(*soakHandle)
			if h.number == 100 {
				_, _ = s.engine.Extend("q", h.receipt, 11*time.Hour)
			}
			return h.number == 100
		})
	}
	if m.doubles {
		ds = append(ds, ds...)
	}
	return ds
}

func (m mutant) delete(s *soak) func(h *soakHandle) error {
	return func(h *soakHandle) error {
		if m.losesDeletes {
			return nil
		}
		err := s.engine.Delete("q", h.receipt)
		if m.extendsSettled {
			h.touch("extend", false)
		}
		return err
	}
}

func (m mutant) release(s *soak, delay time.Duration) func(h *soakHandle) error {
	return func(h *soakHandle) error {
		switch {
		case m.deletesFailed:
			return s.engine.Delete("q", h.receipt)
		case m.rejectsFailed:
			return s.engine.Reject("q", h.receipt, nil)
		case m.releasesLate:
			time.Sleep(soakLease)
		}
		_, err := s.engine.Extend("q", h.receipt, delay)
		return err
	}
}
