package sqsbroker

import (
	"crypto/md5" //nolint:gosec // SQS's own checksum against damage, not against attackers
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// errDamaged is for a message whose attributes are not those that the digest
// beside them is of. What is wrong with a body, the AWS client finds.
var errDamaged = errors.New("message checksum validation failed: the MD5 of the message attributes differs")

// attributesOf carries headers as message attributes of type String, which
// every other consumer can read.
func attributesOf(h broker.Header) map[string]types.MessageAttributeValue {
	if len(h) == 0 {
		return nil
	}
	attrs := make(map[string]types.MessageAttributeValue, len(h))
	for name, value := range h {
		attrs[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(value)}
	}
	return attrs
}

// traceOf is the one system attribute that can be sent.
func traceOf(trace string) map[string]types.MessageSystemAttributeValue {
	if trace == "" {
		return nil
	}
	return map[string]types.MessageSystemAttributeValue{
		string(types.MessageSystemAttributeNameForSendsAWSTraceHeader): {
			DataType: aws.String("String"), StringValue: &trace,
		},
	}
}

// contentOf takes what is text: attributes of the types String and Number, with
// or without a label. Binary ones are reached through [broker.Delivery.As].
func contentOf(native *types.Message) ([]byte, broker.Header) {
	var h broker.Header
	for name, a := range native.MessageAttributes {
		if a.StringValue != nil {
			h.Set(name, *a.StringValue)
		}
	}
	body, h := sqsrules.Unpack([]byte(aws.ToString(native.Body)), h)
	if trace := native.Attributes[string(types.MessageSystemAttributeNameAWSTraceHeader)]; trace != "" {
		h.Set(sqsrules.TraceHeader, trace)
	}
	return body, h
}

// intact reports whether attributes are those that a digest is of; there is
// none if there are no attributes, and from some SQS-compatible servers.
func (b *Broker) intact(digest *string, attrs map[string]types.MessageAttributeValue) bool {
	return digest == nil || b.trusting || *digest == digestOf(attrs)
}

// sameForm gives system attributes the type of the others, whose MD5 is made in
// the same way.
func sameForm(system map[string]types.MessageSystemAttributeValue) map[string]types.MessageAttributeValue {
	if len(system) == 0 {
		return nil
	}
	attrs := make(map[string]types.MessageAttributeValue, len(system))
	for name, a := range system {
		attrs[name] = types.MessageAttributeValue{DataType: a.DataType, StringValue: a.StringValue, BinaryValue: a.BinaryValue}
	}
	return attrs
}

// digestOf is SQS's MD5 of message attributes (DG sqs-message-metadata): sorted
// by name, of each the name, the data type, a byte that tells text from binary,
// and the value, all but that byte behind their lengths.
func digestOf(attrs map[string]types.MessageAttributeValue) string {
	sum := md5.New() //nolint:gosec // as above
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		a := attrs[name]
		kind := aws.ToString(a.DataType)
		writeField(sum, name)
		writeField(sum, kind)
		if strings.HasPrefix(kind, "Binary") {
			_, _ = sum.Write([]byte{2})
			writeField(sum, string(a.BinaryValue))
		} else {
			_, _ = sum.Write([]byte{1})
			writeField(sum, aws.ToString(a.StringValue))
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func writeField(sum hash.Hash, field string) {
	_ = binary.Write(sum, binary.BigEndian, uint32(len(field)))
	_, _ = io.WriteString(sum, field)
}
