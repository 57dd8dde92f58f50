package sqstest

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// Error is an answer that is no success, as AWS gives it.
type Error struct {
	// Name is the error's name in the JSON protocol, the one after # in __type.
	Name string
	// Code is its name in the older query protocol, which the SDKs report as
	// the error code; it travels in the header x-amzn-query-error.
	Code string
	// Status is the HTTP status.
	Status  int
	Message string
}

func (e *Error) Error() string { return e.Name + ": " + e.Message }

// prefix is what the query protocol puts before the names that it shares with
// the JSON protocol [DG sqs-json-api-responses; recorded].
const prefix = "AWS.SimpleQueueService."

func senderFault(name, code, format string, args ...any) *Error {
	return &Error{Name: name, Code: code, Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

func invalidParameter(format string, args ...any) *Error {
	return senderFault("InvalidParameterValueException", "InvalidParameterValue", format, args...)
}

// invalidValue is the shape that most of SQS's complaints about one parameter
// have.
func invalidValue(value any, parameter, reason string) *Error {
	return invalidParameter("Value %v for parameter %s is invalid. Reason: %s", value, parameter, reason)
}

func missingParameter(name string) *Error {
	return senderFault("MissingRequiredParameterException", "MissingParameter",
		"The request must contain the parameter %s.", name)
}

func invalidAttributeName(format string, args ...any) *Error {
	return senderFault("InvalidAttributeName", "InvalidAttributeName", format, args...)
}

func unknownAttribute(name string) *Error {
	return invalidAttributeName("Unknown Attribute %s.", name)
}

func invalidAttributeValue(name string) *Error {
	return senderFault("InvalidAttributeValue", "InvalidAttributeValue", "Invalid value for the parameter %s.", name)
}

func unsupported(format string, args ...any) *Error {
	return senderFault("UnsupportedOperation", prefix+"UnsupportedOperation", format, args...)
}

func noQueue() *Error {
	return senderFault("QueueDoesNotExist", prefix+"NonExistentQueue", "The specified queue does not exist.")
}

func badHandle(handle string) *Error {
	return senderFault("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid",
		"The input receipt handle \"%s\" is not a valid receipt handle.", handle)
}

func serialization(format string, args ...any) *Error {
	return senderFault("SerializationException", "SerializationException", format, args...)
}

// wireError is err as an answer; what is not ours is a fault of this server.
func wireError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{
		Name: "InternalFailure", Code: "InternalFailure",
		Status: http.StatusInternalServerError, Message: err.Error(),
	}
}

// senderOrReceiver says whose fault it is.
func (e *Error) senderOrReceiver() string {
	if e.Status >= http.StatusInternalServerError {
		return "Receiver"
	}
	return "Sender"
}

// queryHeader is the value of x-amzn-query-error. A header has no room for line
// breaks; codes have none, but a caller's [Error] may.
func (e *Error) queryHeader() string {
	return strings.NewReplacer("\r", " ", "\n", " ").Replace(e.Code) + ";" + e.senderOrReceiver()
}
