package sqsrules

import (
	"errors"
	"strings"

	"github.com/candidmq/candidmq/broker"
)

// fifoSuffix ends the name of every FIFO queue, and of no other (API
// CreateQueue).
const fifoSuffix = ".fifo"

// IsFIFO reports whether a queue is a FIFO queue, by its name, URL or ARN.
func IsFIFO(queue string) bool { return strings.HasSuffix(queue, fifoSuffix) }

// CheckName checks a queue's name: 1 to 80 of A-Z, a-z, 0-9, '_' and '-', with
// ".fifo" at the end of a FIFO queue's (API CreateQueue).
func CheckName(name string) error {
	stem := strings.TrimSuffix(name, fifoSuffix)
	if stem == "" || len(name) > maxName || !plain(stem, "") {
		return fieldError("Subject", name,
			"a queue's name of 1 to 80 letters, digits, '_' and '-', ending in \".fifo\" for a FIFO queue; map other names to queues in Options.Queues")
	}
	return nil
}

// NameOf is the name of the queue that a name, URL or ARN is the address of.
func NameOf(address string) string {
	switch {
	case strings.HasPrefix(address, "arn:"):
		return address[strings.LastIndexByte(address, ':')+1:]
	case strings.HasPrefix(address, "https://"), strings.HasPrefix(address, "http://"):
		return address[strings.LastIndexByte(address, '/')+1:]
	}
	return address
}

// Field has the error of a bad name speak of the argument or option that it was given
// as, in place of a message's Subject.
func Field(name string, err error) error {
	bad, ok := errors.AsType[*broker.FieldError](err)
	if !ok || bad.Field != "Subject" {
		return err
	}
	of := *bad
	of.Field = name
	return &of
}
