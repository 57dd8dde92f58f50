package broker_test

import (
	"testing"

	"github.com/candidmq/candidmq/broker"
)

func TestDriftShowsBothValues(t *testing.T) {
	for want, d := range map[string]broker.Drift{
		"max_age is 1h0m0s, want 2h0m0s":    {Field: "max_age", Want: "2h0m0s", Has: "1h0m0s"},
		`VisibilityTimeout is "", want 120`: {Field: "VisibilityTimeout", Want: "120"},
		`description is old, want ""`:       {Field: "description", Has: "old"},
	} {
		if got := d.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
