package natsrules

import (
	"fmt"

	"github.com/candidmq/candidmq/broker"
)

// Size returns what counts against max_payload: the body, and the headers as
// written ("NATS/1.0", a line each, an empty line).
func Size(m *broker.Message) int64 {
	size := len(m.Body)
	if len(m.Header) > 0 {
		size += len("NATS/1.0\r\n") + len("\r\n")
		for k, v := range m.Header {
			size += len(k) + len(": ") + len(v) + len("\r\n")
		}
	}
	return int64(size)
}

// CheckSize compares m with a server's max_payload.
func CheckSize(m *broker.Message, limit int64) error {
	if Size(m) <= limit {
		return nil
	}
	return TooLarge(m, limit)
}

// TooLarge returns the error for a message over a server's max_payload.
func TooLarge(m *broker.Message, limit int64) error {
	return &broker.FieldError{
		Field: "Body", Value: fmt.Sprintf("%d bytes", Size(m)), TooLarge: true,
		Limit: fmt.Sprintf("at most %d bytes with the headers (the server's max_payload)", limit),
	}
}
