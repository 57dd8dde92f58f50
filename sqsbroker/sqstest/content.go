package sqstest

import (
	"crypto/md5" //nolint:gosec // SQS's digest
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// maxMessage is the largest message, and the largest send batch, in bytes [API
// SendMessage, SendMessageBatch].
const maxMessage = 1_048_576

// content is what the engine keeps of a message for its receivers, besides the
// body. It is never changed once sent.
type content struct {
	attributes map[string]attributeValue
	system     map[string]attributeValue
	bodyMD5    string
	sender     string
}

// size is what counts against the limits: the body, and of each attribute the
// name, the type and the value; system attributes do not [API SendMessage].
func (o *outgoing) size() int {
	n := len(o.MessageBody)
	for name, a := range o.MessageAttributes {
		n += len(name) + len(a.DataType) + len(a.value())
	}
	return n
}

// value is the attribute's value as it is digested and counted.
func (a *attributeValue) value() []byte {
	if a.isBinary() {
		return a.BinaryValue
	}
	if a.StringValue == nil {
		return nil
	}
	return []byte(*a.StringValue)
}

func (a *attributeValue) isBinary() bool { return baseType(a.DataType) == "Binary" }

// baseType is a data type without its label.
func baseType(t string) string {
	base, _, _ := strings.Cut(t, ".")
	return base
}

// legalText says whether s has only the characters that SQS takes: those of XML
// 1.0 [API SendMessage].
func legalText(s string) bool {
	for _, r := range s {
		switch {
		case r == '\t', r == '\n', r == '\r', r >= 0x20 && r <= 0xD7FF, r >= 0xE000 && r <= 0xFFFD, r >= 0x10000:
		default:
			return false
		}
	}
	return true
}

func md5Hex(s string) string {
	sum := md5.Sum([]byte(s)) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])
}

// attributesMD5 is the digest of message attributes, "" without any [DG
// sqs-message-metadata].
func attributesMD5(attributes map[string]attributeValue) string {
	if len(attributes) == 0 {
		return ""
	}
	sum := md5.New() //nolint:gosec // as above
	for _, name := range slices.Sorted(maps.Keys(attributes)) {
		a := attributes[name]
		writeSized(sum, []byte(name))
		writeSized(sum, []byte(a.DataType))
		kind := byte(1)
		if a.isBinary() {
			kind = 2
		}
		_, _ = sum.Write([]byte{kind}) // a hash never fails
		writeSized(sum, a.value())
	}
	return hex.EncodeToString(sum.Sum(nil))
}

func writeSized(h hash.Hash, b []byte) {
	var n [4]byte
	binary.BigEndian.PutUint32(n[:], uint32(len(b))) //nolint:gosec // a request is smaller than 4 GiB
	_, _ = h.Write(n[:])
	_, _ = h.Write(b)
}

const (
	maxAttributes    = 10  // [DG sqs-message-metadata]
	maxAttributeName = 256 // also of a type, in bytes
)

// attributeName is what a name consists of. The real service takes letters such
// as ø and repeated periods too [recorded]; the documentation does not, and the
// stricter rule stands here.
var attributeName = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)

// checkAttributes checks message attributes and gives them their stored form.
func checkAttributes(attributes map[string]attributeValue) error {
	if n := len(attributes); n > maxAttributes {
		return invalidParameter("Number of message attributes [%d] exceeds the allowed maximum [%d].", n, maxAttributes)
	}
	for _, name := range sortedKeys(attributes) {
		if err := checkAttributeName(name); err != nil {
			return err
		}
		a := attributes[name]
		if err := a.check(name, "user"); err != nil {
			return err
		}
		attributes[name] = a
	}
	return nil
}

func checkAttributeName(name string) error {
	lower := strings.ToLower(name)
	switch {
	case name == "":
		return invalidParameter("Message (user) attribute names must not be empty.")
	case len(name) > maxAttributeName:
		return invalidParameter("Message (user) attribute name '%s' must be shorter than 256 characters.", name)
	case !attributeName.MatchString(name):
		return invalidParameter("Invalid character in message (user) attribute name '%s'.", name)
	case strings.HasPrefix(lower, "aws."), strings.HasPrefix(lower, "amazon."):
		return invalidParameter("Message (user) attribute name '%s' starts with a reserved prefix.", name)
	case name[0] == '.', name[len(name)-1] == '.', strings.Contains(name, ".."):
		return invalidParameter("Message (user) attribute name '%s' must not start or end with a period or repeat it.", name)
	}
	return nil
}

// check checks a value; kind is "user" or "system".
func (a *attributeValue) check(name, kind string) error {
	base := baseType(a.DataType)
	switch {
	case a.DataType == "":
		return invalidParameter("Message (%s) attribute '%s' must contain a non-empty attribute type.", kind, name)
	case base != "String" && base != "Number" && base != "Binary":
		return invalidParameter("Message (%s) attribute '%s' has an invalid message attribute type, "+
			"the set of supported type prefixes is Binary, Number, and String.", kind, name)
	case len(a.DataType) > maxAttributeName:
		return invalidParameter("Message (%s) attribute '%s' has a type that is longer than 256 characters.", kind, name)
	case len(a.StringListValues)+len(a.BinaryListValues) > 0:
		return unsupported("Message (%s) attribute '%s': list values are not supported.", kind, name)
	case len(a.value()) == 0:
		return invalidParameter("Message (%s) attribute '%s' must contain a non-empty value of type '%s'.",
			kind, name, valueType(base))
	case base == "Binary" && a.StringValue != nil, base != "Binary" && len(a.BinaryValue) > 0:
		return invalidParameter("Message (%s) attribute '%s' has values of more than one type.", kind, name)
	case base == "Binary":
		return nil
	case !legalText(*a.StringValue): // another code than for the body [seen on the real service]
		return invalidParameter("%s", invalidContents().Message)
	case base == "Number":
		return a.checkNumber(name, kind)
	}
	return nil
}

// valueType is which member holds the value of a type.
func valueType(base string) string {
	if base == "Binary" {
		return "Binary"
	}
	return "String"
}

var decimal = regexp.MustCompile(`^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,4})?$`)

// checkNumber wants up to 38 digits between 10^-128 and 10^126 [DG
// sqs-message-metadata]. The text is kept as it is: that leading and trailing
// zeroes are removed is documented, and in no recording.
func (a *attributeValue) checkNumber(name, kind string) error {
	s := *a.StringValue
	bad := invalidParameter("Can't cast the value of message (%s) attribute '%s' to a number.", kind, name)
	if !decimal.MatchString(s) {
		return bad
	}
	f, _, err := big.ParseFloat(s, 10, 256, big.ToNearestEven)
	if err != nil {
		return bad
	}
	if f.Sign() == 0 {
		return nil
	}
	if f = f.Abs(f); f.Cmp(smallest) < 0 || f.Cmp(largest) > 0 || digits(s) > 38 {
		return bad
	}
	return nil
}

var smallest, largest = parseFloat("1e-128"), parseFloat("1e126")

func parseFloat(s string) *big.Float {
	f, _, _ := big.ParseFloat(s, 10, 256, big.ToNearestEven) // literals above
	return f
}

// digits counts the significant ones.
func digits(s string) int {
	mantissa, _, _ := strings.Cut(strings.ToLower(strings.TrimLeft(s, "+-")), "e")
	whole, fraction, _ := strings.Cut(mantissa, ".")
	return len(strings.Trim(whole+fraction, "0"))
}

func invalidContents() *Error {
	return senderFault("InvalidMessageContents", "InvalidMessageContents",
		"Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | "+
			"#xE000 to #xFFFD | #x10000 to #x10FFFF")
}
