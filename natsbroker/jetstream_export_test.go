package natsbroker

import (
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
)

// ParsePosition is for tests.
func ParsePosition(reply string) (attempt int, sequence uint64, ok bool) {
	at, ok := parsePosition(reply)
	return at.attempt, at.sequence, ok
}

// VersionAtLeast is for tests.
var VersionAtLeast = versionAtLeast

// IdleLimit is for tests.
const IdleLimit = idleLimit

// InspectGroup is for tests. It reads a group twice, as Inspect does for a name
// that stands for a consumer and for a subject of its stream.
func InspectGroup(destination, of string, c *jetstream.ClusterInfo) broker.Findings {
	i := inspection{destination: destination}
	i.group(of, c)
	i.group(of, c)
	return i.found
}
