package stream

import (
	"slices"
	"strings"
)

// Overlap reports whether there can be a subject that matches a pattern of each
// list.
func Overlap(a, b []string) bool {
	return slices.ContainsFunc(a, func(p string) bool {
		return slices.ContainsFunc(b, func(q string) bool { return overlap(p, q) })
	})
}

// OverlapWithin reports whether there can be a subject that matches two patterns
// of one list.
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
