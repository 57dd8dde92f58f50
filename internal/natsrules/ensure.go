package natsrules

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// Settings are the settings of a stream or a consumer, by their names in
// JetStream's API. A setting without a value may be missing, or nil.
type Settings map[string]any

// Differences compares the wanted settings with the existing ones. Numbers,
// durations, strings, lists and structures that are zero in want are left to
// the server and not compared; policies, which are numbers of a type of their
// own, and switches are compared. Of a map only the wanted keys count, since
// the server adds its own.
func Differences(want, has Settings) []broker.Drift {
	var all []broker.Drift
	for _, field := range slices.Sorted(maps.Keys(want)) {
		w, h := want[field], has[field]
		if !want.asked(field) {
			continue
		}
		if keys, ok := w.(map[string]string); ok {
			h = among(keys, h)
		}
		if !same(w, h) {
			all = append(all, broker.Drift{Field: field, Want: shown(w), Has: shown(h)})
		}
	}
	return all
}

// asked reports whether a setting asks for something: it is set, or its zero
// value is a choice.
func (s Settings) asked(field string) bool {
	v := reflect.ValueOf(s[field])
	switch {
	case !v.IsValid():
		return false
	case v.Kind() == reflect.Pointer:
		return !v.IsNil() && !v.Elem().IsZero()
	case !v.IsZero():
		return true
	case v.Kind() == reflect.Bool:
		return !s.implied(field)
	case v.CanInt(), v.CanUint():
		return v.Type().PkgPath() != "" && v.Type() != reflect.TypeFor[time.Duration]()
	}
	return false
}

// implied reports whether another setting implicitly turns a switch on.
func (s Settings) implied(field string) bool {
	marker, _ := s["subject_delete_marker_ttl"].(time.Duration)
	switch field {
	case "allow_rollup_hdrs":
		return s["allow_msg_schedules"] == true || marker > 0
	case "allow_msg_ttl":
		return marker > 0
	}
	return false
}

// among returns the entries of has whose keys are in want.
func among(want map[string]string, has any) map[string]string {
	of := map[string]string{}
	all, _ := has.(map[string]string)
	for key := range want {
		if value, ok := all[key]; ok {
			of[key] = value
		}
	}
	return of
}

func same(want, has any) bool {
	if w, ok := instant(want); ok {
		h, ok := instant(has)
		return ok && w.Equal(h)
	}
	return reflect.DeepEqual(want, has)
}

// instant returns the time that v is or points to.
func instant(v any) (t time.Time, ok bool) {
	if p, isPointer := v.(*time.Time); isPointer && p != nil {
		return *p, true
	}
	t, ok = v.(time.Time)
	return t, ok
}

// shown formats a value for people.
func shown(v any) string {
	if t, ok := instant(v); ok {
		return t.UTC().Format(time.RFC3339Nano)
	}
	if p := reflect.ValueOf(v); p.Kind() == reflect.Pointer && !p.IsNil() {
		v = p.Elem().Interface()
	}
	return fmt.Sprintf("%v", v)
}
