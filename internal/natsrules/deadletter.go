package natsrules

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"

	"github.com/candidmq/candidmq/broker"
)

// Keys of a consumer's metadata that say where its dead letters go.
const (
	DeadLetterKey  = "candidmq-dead-letter"
	MaxAttemptsKey = "candidmq-max-attempts"
)

// DeadLetters holds the settings of that name, as natsbroker and memory
// document them.
type DeadLetters struct {
	Subject     string // "": nowhere
	MaxAttempts int    // 0: no limit
}

// Metadata adds the settings to a consumer's metadata.
func (d DeadLetters) Metadata(others map[string]string) map[string]string {
	m := maps.Clone(others)
	if m == nil {
		m = map[string]string{}
	}
	m[DeadLetterKey] = d.Subject
	if d.MaxAttempts > 0 {
		m[MaxAttemptsKey] = strconv.Itoa(d.MaxAttempts)
	}
	return m
}

// ReadDeadLetters reads a consumer's metadata. A limit that is not a number is
// ignored.
func ReadDeadLetters(metadata map[string]string) DeadLetters {
	d := DeadLetters{Subject: metadata[DeadLetterKey]}
	if d.Subject != "" {
		d.MaxAttempts, _ = strconv.Atoi(metadata[MaxAttemptsKey])
	}
	return d
}

// CheckDeadLetters refuses dead-letter settings in a consumer's metadata that
// cannot work. delivers are the patterns of the subjects that the consumer
// delivers.
func CheckDeadLetters(metadata map[string]string, maxDeliver int, delivers []string) error {
	target, most := metadata[DeadLetterKey], metadata[MaxAttemptsKey]
	attempts, err := strconv.Atoi(most)
	var errs []error
	refuse := func(when bool, field, value, limit string) {
		if when {
			errs = append(errs, &broker.FieldError{Field: field, Value: value, Limit: limit})
		}
	}
	refuse(most != "" && (err != nil || attempts < 1 || target == ""), "DeadLetters.MaxAttempts", most, "a number, 1 or above, with a Subject")
	if target != "" {
		errs = append(errs, CheckSubject(target))
		refuse(Captures(delivers, target), "DeadLetters.Subject", target, "a subject that the consumer does not deliver: its dead letters would come back to it")
		refuse(0 < maxDeliver && maxDeliver <= attempts, "MaxDeliver", strconv.Itoa(maxDeliver),
			fmt.Sprintf("above the %s attempts of DeadLetters, or no limit: a message that the server no longer delivers cannot be moved", most))
	}
	return errors.Join(errs...)
}

// DeadLettersUncaptured returns the error for dead letters that no stream would store.
func DeadLettersUncaptured(target string) error {
	return &broker.FieldError{Field: "DeadLetters.Subject", Value: target, Limit: "a subject that a stream captures: create the stream first"}
}

// RejectPrefix is the prefix of the headers that a dead letter has in addition
// to its own.
const RejectPrefix = "candidmq-reject-"

// RejectID is the deduplication id of the copy of a rejected message. It
// includes the time of storage, since a recreated stream counts from 1 again.
func RejectID(d *broker.Delivery) string {
	return fmt.Sprintf("reject-%s-%s-%d", d.Source, d.Sequence, d.Time.UnixNano())
}

// RedriveID is the deduplication id of a dead letter that is published again.
func RedriveID(d *broker.Delivery) string {
	return fmt.Sprintf("redrive-%s-%d", d.ID, d.Time.UnixNano())
}

// maxReason is how many bytes of a reason are kept.
const maxReason = 1024

// HeaderText makes s fit for a header: one line, limited in length, with no
// spaces at its ends.
func HeaderText(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxReason)], "")
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == '\r' || r == '\n' || r == 0 {
			return ' '
		}
		return r
	}, s))
}
