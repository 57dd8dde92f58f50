package subject

import "strings"

// Match reports whether a message published to subject reaches a subscription
// to pattern. Both must have passed their checks; otherwise the result is
// meaningless.
func Match(pattern, subject string) bool {
	for {
		want, patternRest, patternMore := strings.Cut(pattern, ".")
		if want == ">" {
			return subject != ""
		}
		token, rest, more := strings.Cut(subject, ".")
		if want != token && want != "*" {
			return false
		}
		if !patternMore || !more {
			return patternMore == more
		}
		pattern, subject = patternRest, rest
	}
}

// hasWildcard reports whether pattern matches more than itself.
func hasWildcard(pattern string) bool {
	for token := range strings.SplitSeq(pattern, ".") {
		if token == "*" || token == ">" {
			return true
		}
	}
	return false
}
