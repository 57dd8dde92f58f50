package natsrules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/candidmq/candidmq/internal/subject"
)

// Captures reports whether one of a stream's patterns matches a subject.
func Captures(patterns []string, native string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return p == native || subject.Match(p, native) })
}

// Covers reports whether one of a stream's patterns covers another pattern
// completely.
func Covers(patterns []string, pattern string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		return p == pattern || subject.Match(p, pattern) && !widens(p, pattern)
	})
}

// widens reports whether pattern, which p matches token by token, matches more
// than p: > stands for any number of tokens and * for any single token.
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

// Overlap reports whether any subject could match a pattern of each list.
func Overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(p string) bool {
		return slices.ContainsFunc(b, func(q string) bool { return overlap(p, q) })
	})
}

// OverlapWithin reports whether any subject could match two patterns of one
// list.
func OverlapWithin(patterns []string) bool {
	for i := range patterns {
		if Overlap(patterns[i:i+1], patterns[i+1:]) {
			return true
		}
	}
	return false
}

func overlap(p, q string) bool {
	for {
		a, restA, moreA := strings.Cut(p, ".")
		b, restB, moreB := strings.Cut(q, ".")
		switch {
		case a == ">", b == ">":
			return true
		case a != b && a != "*" && b != "*":
			return false
		case !moreA || !moreB:
			return moreA == moreB
		}
		p, q = restA, restB
	}
}

// DeadFilter returns a consumer's filter that delivers nothing from a stream
// with these subjects, or "": the server accepts such filters.
func DeadFilter(subjects, filters []string) string {
	for _, filter := range filters {
		if !Overlap(subjects, []string{filter}) {
			return filter
		}
	}
	return ""
}

// FilterLimit describes, for errors, what a filter must be.
func FilterLimit(stream string, subjects []string) string {
	return fmt.Sprintf("a subject of stream %s, which has %q", stream, subjects)
}

// DeadOffer returns why a consumer with such a filter delivers nothing.
func DeadOffer(filter string) string {
	return "its filter " + filter + " matches none of the stream's subjects"
}
