package subject

import "strings"

// Match says whether a message published to subject reaches a subscription to
// pattern. Both are taken to have passed their checks; for others the answer
// means nothing.
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

// hasWildcard says whether pattern matches more than itself.
func hasWildcard(pattern string) bool {
	for token := range strings.SplitSeq(pattern, ".") {
		if token == "*" || token == ">" {
			return true
		}
	}
	return false
}
