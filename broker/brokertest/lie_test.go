package brokertest_test

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/broker/brokertest"
)

// words are the vocabularies of facts.
var words = map[reflect.Type][]string{
	reflect.TypeFor[broker.Guarantee]():    {"at-most-once", "at-least-once"},
	reflect.TypeFor[broker.Ordering]():     {"best-effort", "per-publisher", "per-key", "total"},
	reflect.TypeFor[broker.Confirm]():      {"sent", "received", "stored"},
	reflect.TypeFor[broker.Durability]():   {"memory", "disk-async", "disk", "managed"},
	reflect.TypeFor[broker.Full]():         {"rejects", "drops-oldest"},
	reflect.TypeFor[broker.DedupBy]():      {"id", "id-or-content"},
	reflect.TypeFor[broker.Scope]():        {"destination", "stream", "key"},
	reflect.TypeFor[broker.Distribution](): {"fan-out", "competing", "fan-out+competing"},
	reflect.TypeFor[broker.Redelivery]():   {"on-lease-expiry-or-release"},
	reflect.TypeFor[broker.Exhausted]():    {"dead-lettered", "stranded"},
	reflect.TypeFor[broker.Slow]():         {"waits", "drops"},
	reflect.TypeFor[broker.AtRest]():       {"sse-sqs", "sse-kms"},
	reflect.TypeFor[string]():              {"elsewhere"},
}

// lie is a change of one fact.
type lie struct {
	fact, says string
	tell       func(*broker.Semantics)
}

// liesAbout are the lies that can be told instead of s, about every fact.
func liesAbout(s broker.Semantics) []lie {
	var all []lie
	var walk func(v reflect.Value, path []int, prefix string)
	walk = func(v reflect.Value, path []int, prefix string) {
		for i := range v.NumField() {
			field, at := v.Field(i), append(slices.Clone(path), i)
			if field.Kind() != reflect.Struct {
				continue
			}
			name := prefix + v.Type().Field(i).Tag.Get("json")
			if !field.FieldByName("State").IsValid() {
				walk(field, at, name+".")
				continue
			}
			for _, l := range liesInstead(field) {
				all = append(all, lie{name, fmt.Sprint(l.Interface()), func(s *broker.Semantics) {
					reflect.ValueOf(s).Elem().FieldByIndex(at).Set(l)
				}})
			}
		}
	}
	walk(reflect.ValueOf(s), nil, "")
	return all
}

// liesInstead are the other values of a fact.
func liesInstead(f reflect.Value) []reflect.Value {
	var all []reflect.Value
	add := func(state broker.State, v reflect.Value) {
		l := reflect.New(f.Type()).Elem()
		l.FieldByName("State").SetUint(uint64(state))
		l.FieldByName("From").SetString("a lie")
		l.FieldByName("V").Set(v)
		if l.FieldByName("State").Equal(f.FieldByName("State")) && v.Equal(f.FieldByName("V")) {
			return
		}
		all = append(all, l)
	}
	v := f.FieldByName("V")
	zero := reflect.Zero(v.Type())
	state := broker.State(f.FieldByName("State").Uint())
	add(broker.StateUnknown, zero)
	switch v.Kind() {
	case reflect.Bool:
		add(broker.StateKnown, reflect.ValueOf(!v.Bool()))
		return all
	case reflect.Int, reflect.Int64:
		unit := int64(3)
		if v.Type() == reflect.TypeFor[time.Duration]() {
			unit = int64(10 * time.Second)
		}
		for _, n := range []int64{v.Int()/2 + 1, 2*v.Int() + unit} {
			add(broker.StateKnown, reflect.ValueOf(n).Convert(v.Type()))
		}
		if state != broker.StateNone && v.Int() != 0 {
			add(broker.StateUnlimited, zero)
		}
	case reflect.String:
		for _, w := range words[v.Type()] {
			add(broker.StateKnown, reflect.ValueOf(w).Convert(v.Type()))
		}
	default:
		panic("a fact of " + v.Type().String())
	}
	if state != broker.StateKnown || !v.IsZero() { // known to be zero is none
		add(broker.StateNone, zero)
	}
	return all
}

// unseen are lies that no case can see, each with the reason.
var unseen = map[string]string{
	"sqs publish.storedBy elsewhere":           "its name is shown to nobody else",
	"sqs.fifo publish.storedBy elsewhere":      "its name is shown to nobody else",
	"jetstream publish.storedBy elsewhere":     "its name is shown to nobody else",
	"jetstream publish.dedupScope destination": "the harness has one destination in each stream",
}

// TestLies tells one lie at a time in Describe, about every fact of every kind
// of destination. A case that proves the fact, or one that compares facts, must
// see it; what is listed as unseen must not be.
func TestLies(t *testing.T) {
	caught, listed := 0, map[string]bool{}
	for _, base := range []func(func(context.Context, *broker.Semantics)) brokertest.Harness{
		func(tell func(context.Context, *broker.Semantics)) brokertest.Harness {
			return onSubjects(func(s *subjects) { s.onDescribe = lying(s.CoreNATS, tell) })
		},
		func(tell func(context.Context, *broker.Semantics)) brokertest.Harness {
			return onConfirmed(func(s *subjects) { s.onDescribe = lying(s.CoreNATS, tell) })
		},
		func(tell func(context.Context, *broker.Semantics)) brokertest.Harness {
			return onQueues("", func(q *queues) { q.onDescribe = lying(q.SQS, tell) })
		},
		func(tell func(context.Context, *broker.Semantics)) brokertest.Harness {
			return onQueues(".fifo", func(q *queues) { q.onDescribe = lying(q.SQS, tell) })
		},
		func(tell func(context.Context, *broker.Semantics)) brokertest.Harness {
			return onStreams(func(s *streams) { s.onDescribe = lying(s.JetStream, tell) })
		},
	} {
		honest := base(func(context.Context, *broker.Semantics) {})
		b := honest.Open(t)
		name, _ := honest.Destination(t, b, brokertest.Config{})
		s, err := b.Describe(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range liesAbout(s) {
			id := honest.Name + " " + l.fact + " " + l.says
			h := base(func(_ context.Context, s *broker.Semantics) { l.tell(s) })
			if l.fact == "receive.inFlight" {
				if raceDetector() { // 20 s of 33
					continue
				}
				h.InFlight = 240_003
			}
			seen := sees(t, h, l.fact)
			listed[id] = true
			switch why := unseen[id]; {
			case seen == "" && brokertest.Unobserved()[l.fact] != "":
			case seen == "" && why == "":
				t.Errorf("nobody sees the lie: %s", id)
			case seen != "" && why != "":
				t.Errorf("%s sees what is listed as unseen: %s", seen, id)
			case seen != "":
				caught++
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(unseen)) {
		if !listed[id] {
			t.Errorf("a lie that is never told is listed: %s", id)
		}
	}
	t.Logf("%d lies seen, %d known to be out of sight", caught, len(unseen))
}

// raceDetector reports whether it watches the test.
func raceDetector() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func lying(d broker.Describer, tell func(context.Context, *broker.Semantics)) func(context.Context, string) (broker.Semantics, error) {
	return func(ctx context.Context, name string) (broker.Semantics, error) {
		s, err := d.Describe(ctx, name)
		tell(ctx, &s)
		return s, err
	}
}

// sees returns the first case that fails.
func sees(t *testing.T, h brokertest.Harness, fact string) string {
	t.Helper()
	for _, c := range brokertest.Cases() {
		if !slices.Contains(c.Fields, fact) && !strings.HasPrefix(c.Name, "describe/") {
			continue
		}
		if why := runCase(t, c, h); len(why) > 0 {
			return c.Name
		}
	}
	return ""
}
