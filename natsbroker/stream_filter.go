package natsbroker

import (
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// deadFilter is a filter of a consumer by which nothing of its stream is
// delivered, "" if there is none: the server takes such filters. What a mirror or
// a source brings may have any subject.
func deadFilter(stream *jetstream.StreamConfig, c *jetstream.ConsumerConfig) string {
	if stream.Mirror != nil || len(stream.Sources) > 0 || stream.SubjectTransform != nil {
		return ""
	}
	for _, filter := range filters(c) {
		alive := false
		for _, pattern := range stream.Subjects {
			alive = alive || overlaps(pattern, filter)
		}
		if !alive {
			return filter
		}
	}
	return ""
}

// filterLimit is what a filter must be, for errors.
func filterLimit(stream *jetstream.StreamConfig) string {
	return fmt.Sprintf("a subject of stream %s, which has %q", stream.Name, stream.Subjects)
}

// overlaps reports whether two patterns have a subject in common.
func overlaps(p, q string) bool {
	for {
		a, restOfP, moreOfP := strings.Cut(p, ".")
		b, restOfQ, moreOfQ := strings.Cut(q, ".")
		switch {
		case a == ">", b == ">":
			return true
		case a != b && a != "*" && b != "*":
			return false
		case !moreOfP || !moreOfQ:
			return moreOfP == moreOfQ
		}
		p, q = restOfP, restOfQ
	}
}
