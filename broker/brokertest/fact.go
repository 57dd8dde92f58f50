package brokertest

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/candidmq/candidmq/broker"
)

func isKnown[T comparable](f broker.Fact[T]) bool { return f.State == broker.StateKnown }

func is[T comparable](f broker.Fact[T], v T) bool { return isKnown(f) && f.V == v }

func isTrue(f broker.Fact[bool]) bool { return is(f, true) }

// isAbsent: none, or known to be zero.
func isAbsent[T comparable](f broker.Fact[T]) bool {
	var zero T
	return f.State == broker.StateNone || is(f, zero)
}

// claimed skips the case where the fact that it is about is unknown; the case
// describe/unknown-is-explained sees to those.
func claimed[T comparable](e *env, f broker.Fact[T]) {
	e.Helper()
	if f.State == broker.StateUnknown {
		e.Skipf("unknown: %s", f.From)
	}
}

// fact is one fact of a broker.Semantics.
type fact struct {
	name  string // such as "receive.lease"
	text  string // the value, or "unknown", "none", "unlimited"
	state broker.State
	from  string
}

// facts lists the facts of s in the order of the fields.
func facts(s broker.Semantics) []fact { return factsIn(reflect.ValueOf(s), "") }

func factsIn(v reflect.Value, prefix string) []fact {
	var all []fact
	for i := range v.NumField() {
		field := v.Field(i)
		if field.Kind() != reflect.Struct {
			continue
		}
		name := prefix + v.Type().Field(i).Tag.Get("json")
		state := field.FieldByName("State")
		if !state.IsValid() {
			all = append(all, factsIn(field, name+".")...)
			continue
		}
		all = append(all, fact{
			name, fmt.Sprint(field.Interface()), broker.State(state.Uint()), field.FieldByName("From").String(),
		})
	}
	return all
}

// isRefusal reports whether err says that the call can never work, before
// anything was sent.
func isRefusal(err error) bool {
	return errors.Is(err, broker.ErrInvalid) || errors.Is(err, errors.ErrUnsupported)
}
