package natsrules

import (
	"slices"
	"strings"

	"github.com/candidmq/candidmq/internal/subject"
)

// Captures reports whether one of a stream's patterns matches a subject.
func Captures(patterns []string, native string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return p == native || subject.Match(p, native) })
}

// Covers reports whether one of a stream's patterns covers all of another.
func Covers(patterns []string, pattern string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		return p == pattern || subject.Match(p, pattern) && !widens(p, pattern)
	})
}

// widens reports whether pattern, which p matches token by token, matches more
// than p: > stands for any number of tokens and * for any one.
func widens(p, pattern string) bool {
	for {
		outer, outerRest, outerMore := strings.Cut(p, ".")
		inner, innerRest, innerMore := strings.Cut(pattern, ".")
		switch {
		case outer == ">":
			return false
		case inner == ">", inner == "*" && outer != "*":
			return true
		case !outerMore || !innerMore:
			return false
		}
		p, pattern = outerRest, innerRest
	}
}

// ScheduleSubject is the subject that a stream must capture, beside its own, for
// messages with a delay to be published to it: each waits there on a subject of
// its own.
func ScheduleSubject(stream string) string { return SchedulePrefix(stream) + "*" }

// SchedulePrefix is what those subjects begin with.
func SchedulePrefix(stream string) string { return "schedule." + stream + "." }
