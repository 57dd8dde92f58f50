package broker_test

import (
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// A Start tells a backend what was chosen, and people the call that chose it.
func TestStart(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for text, test := range map[string]struct {
		start    broker.Start
		policy   broker.StartPolicy
		sequence uint64
		at       time.Time
	}{
		"unsaid":               {policy: broker.StartUnsaid},
		"FromFirst()":          {start: broker.FromFirst(), policy: broker.StartFirst},
		"FromNew()":            {start: broker.FromNew(), policy: broker.StartNew},
		"FromSequence(7)":      {start: broker.FromSequence(7), policy: broker.StartSequence, sequence: 7},
		"FromLastPerSubject()": {start: broker.FromLastPerSubject(), policy: broker.StartLastPerSubject},
		"FromTime(2026-01-02T03:04:05.000000006Z)": {
			start: broker.FromTime(at), policy: broker.StartTime, at: at,
		},
	} {
		policy, sequence, at := test.start.Position()
		if policy != test.policy || sequence != test.sequence || !at.Equal(test.at) {
			t.Errorf("%s: got %v, %d, %v", text, policy, sequence, at)
		}
		if got := test.start.String(); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
	if got := broker.StartPolicy(99).String(); got != "StartPolicy(99)" {
		t.Errorf("a policy of later: got %q", got)
	}
}
