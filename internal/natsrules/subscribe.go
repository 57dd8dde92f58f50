package natsrules

import (
	"errors"
	"fmt"
	"strings"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/subject"
)

// CheckPattern checks a native subject to subscribe to. field is its name in
// errors.
func CheckPattern(field, pattern string) error {
	if err := subject.CheckSubscribe(pattern); err != nil {
		return SubjectError(field, pattern, err)
	}
	return nil
}

// CheckGroup refuses an invalid queue group for a native pattern: an empty name
// would mean no queue group at all, and one with spaces would be misread by the
// server.
func CheckGroup(pattern, group string) error {
	bad := func(r rune) bool { return r <= ' ' || r == 0x7f }
	if group == "" || strings.ContainsFunc(group, bad) {
		return &broker.FieldError{
			Field: "Group", Value: group, Limit: "not empty, without spaces and control characters",
		}
	}
	return checkTogether("Group", pattern, group)
}

// CheckPending checks the limits on messages waiting for a handler.
func CheckPending(l broker.PendingLimits) error {
	return errors.Join(notNegative("PendingLimits.Messages", l.Messages), notNegative("PendingLimits.Bytes", l.Bytes))
}

func notNegative(field string, n int) error {
	if n >= 0 {
		return nil
	}
	return &broker.FieldError{Field: field, Value: fmt.Sprint(n), Limit: "0 (the default) or above"}
}
