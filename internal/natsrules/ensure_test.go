package natsrules_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/candidmq/candidmq/internal/natsrules"
)

type policy int

func (p policy) String() string { return [...]string{"limits", "interest"}[p] }

// What is zero is compared where its zero value is a choice, and shown as people
// read it.
func TestDifferences(t *testing.T) {
	now := time.Now()
	for name, test := range map[string]struct {
		want, has any
		shown     string // of the difference; "": none
	}{
		"a number":            {7, 8, "f is 8, want 7"},
		"the same number":     {7, 7, ""},
		"no number asked":     {0, 8, ""},
		"a duration":          {time.Hour, time.Minute, "f is 1m0s, want 1h0m0s"},
		"no duration asked":   {time.Duration(0), time.Minute, ""},
		"a switch":            {false, true, "f is true, want false"},
		"a policy":            {policy(0), policy(1), "f is interest, want limits"},
		"a list":              {[]string{"a"}, []string{"b"}, "f is [b], want [a]"},
		"no list asked":       {[]string(nil), []string{"b"}, ""},
		"nothing asked":       {nil, 7, ""},
		"nothing there":       {7, nil, "f is <nil>, want 7"},
		"a time of elsewhere": {now, now.In(time.FixedZone("elsewhere", 3600)), ""},
		"a time by pointer":   {&now, new(now.Add(time.Second).Round(0)), "f is " + stamp(now.Add(time.Second)) + ", want " + stamp(now)},
		"an empty structure":  {&struct{ N int }{}, (*struct{ N int })(nil), ""},
		"a structure":         {&struct{ N int }{7}, &struct{ N int }{8}, "f is {8}, want {7}"},
		"keys":                {map[string]string{"k": "v"}, map[string]string{"k": "v", "server's": "own"}, ""},
		"another value":       {map[string]string{"k": "v"}, map[string]string{"k": "w", "server's": "own"}, "f is map[k:w], want map[k:v]"},
		"no keys there":       {map[string]string{"k": "v"}, nil, "f is map[], want map[k:v]"},
	} {
		got := natsrules.Differences(natsrules.Settings{"f": test.want}, natsrules.Settings{"f": test.has, "other": 1})
		if text := fmt.Sprint(got); text != "["+test.shown+"]" {
			t.Errorf("%s: got %s, want %q", name, text, test.shown)
		}
	}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// A switch that another setting turns on is not asked to be off.
func TestImpliedSwitches(t *testing.T) {
	for name, test := range map[string]struct {
		want natsrules.Settings
		n    int
	}{
		"asked":          {natsrules.Settings{"allow_rollup_hdrs": false, "allow_msg_ttl": false}, 2},
		"schedules":      {natsrules.Settings{"allow_rollup_hdrs": false, "allow_msg_ttl": false, "allow_msg_schedules": true}, 1},
		"delete markers": {natsrules.Settings{"allow_rollup_hdrs": false, "allow_msg_ttl": false, "subject_delete_marker_ttl": time.Minute}, 0},
	} {
		has := natsrules.Settings{
			"allow_rollup_hdrs": true, "allow_msg_ttl": true, "allow_msg_schedules": true, "subject_delete_marker_ttl": time.Minute,
		}
		if got := natsrules.Differences(test.want, has); len(got) != test.n {
			t.Errorf("%s: got %v, want %d", name, got, test.n)
		}
	}
}
