package natsbroker

// ParsePosition is for tests.
func ParsePosition(reply string) (attempt int, sequence uint64, ok bool) {
	at, ok := parsePosition(reply)
	return at.attempt, at.sequence, ok
}

// VersionAtLeast is for tests.
var VersionAtLeast = versionAtLeast

// IdleLimit is for tests.
const IdleLimit = idleLimit
