package natsrules

import (
	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/reply"
)

// CheckRequest refuses a request that names its own reply address.
func CheckRequest(m *broker.Message) error {
	if m.ReplyTo == "" {
		return nil
	}
	return &broker.FieldError{
		Field: "ReplyTo", Value: m.ReplyTo, Limit: "none: a request sets its own reply address",
	}
}

// CheckReply refuses a reply that a requester would mistake for no responders.
func CheckReply(m *broker.Message) error {
	if m.Header["Status"] != "503" || len(m.Body) > 0 {
		return nil
	}
	return &broker.FieldError{
		Field: "Header[Status]", Value: "503",
		Limit: `a body with "503": a requester takes it for no responders without one`,
	}
}

// CheckReplyHandler refuses a responder without a handler.
func CheckReplyHandler(h broker.ReplyHandler) error {
	if h != nil {
		return nil
	}
	return &broker.FieldError{Field: "ReplyHandler", Value: "nil", Limit: "a function"}
}

// Unsendable returns the reply that the requester gets in place of a refused
// one.
func Unsendable() broker.Message {
	return broker.Message{Header: broker.Header{
		reply.CodeHeader:  "500",
		reply.ErrorHeader: "the responder's reply could not be sent",
	}}
}
