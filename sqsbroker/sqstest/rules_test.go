package sqstest_test

import (
	"testing"
	"testing/synctest"
)

// rule is one thing that SQS promises or refuses, with where it is written: DG
// is the Developer Guide, API the API Reference, OBS an answer recorded from the
// real service, RP the re:Post Knowledge Center.
type rule struct {
	name, says, source string
	test               func(t *testing.T, e *env)
}

// chapter is a group of rules.
type chapter struct {
	name  string
	rules []rule
}

func chapters() []chapter {
	return []chapter{
		{"Queues", queueRules},
		{"Messages", messageRules},
		{"Receiving and settling", settleRules},
		{"FIFO order", orderRules},
		{"Deduplication", dedupRules},
		{"Time", timeRules},
		{"Dead letters and move tasks", deadLetterRules},
		{"Tags and permissions", permissionRules},
		{"Errors", errorRules},
	}
}

// TestRules runs each rule against an endpoint of its own, in a bubble: what
// waits, waits in virtual time.
func TestRules(t *testing.T) {
	for _, c := range chapters() {
		for _, r := range c.rules {
			t.Run(c.name+"/"+r.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					e := newEnv(t, nil)
					defer e.srv.Close()
					r.test(t, e)
				})
			})
		}
	}
}

// Every rule says something, cites something, and has a name of its own.
func TestRulesAreCited(t *testing.T) {
	seen := make(map[string]bool)
	for _, c := range chapters() {
		for _, r := range c.rules {
			if r.says == "" || r.source == "" || seen[r.name] {
				t.Errorf("%s/%s: says %q, source %q, name seen before: %v", c.name, r.name, r.says, r.source, seen[r.name])
			}
			seen[r.name] = true
		}
	}
}
