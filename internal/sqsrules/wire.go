package sqsrules

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/candidmq/candidmq/broker"
)

// Attributes that say how a message was made to fit. Messages that fit as they
// are have neither.
const (
	// PackedHeaders is the attribute with the headers that have none of their
	// own: a JSON object of strings.
	PackedHeaders = "candidmq-headers"
	// BodyEncoding is the attribute that says how a body that is no text is
	// encoded. Its value is [Base64].
	BodyEncoding = "candidmq-body-encoding"
	// Base64 is the standard encoding with padding (RFC 4648, section 4).
	Base64 = "base64"
	// TraceHeader is the header that goes as the system attribute of this name,
	// outside of the ten and of the size (API SendMessage).
	TraceHeader = "AWSTraceHeader"
)

// Wire is a message in the form in which SQS carries it.
type Wire struct {
	Body       []byte        // text
	Attributes broker.Header // of type String, at most [MaxHeaders]
	Trace      string        // the system attribute [TraceHeader]
}

// Pack makes a message that passed [Check] fit for SQS. A body that is text
// stays as it is; another one is encoded, as [BodyEncoding] says. Each header
// is an attribute, but for those that cannot be one and, if there are too many,
// the last in order of their names: they are in [PackedHeaders]. What needs no
// change is shared with m.
func Pack(m *broker.Message) Wire {
	w := Wire{Body: m.Body, Attributes: m.Header, Trace: m.Header[TraceHeader]}
	text := isText(m.Body)
	if text && fits(m.Header) {
		return w
	}
	w.Attributes = broker.Header{}
	slots := MaxHeaders
	if !text {
		w.Body = base64.StdEncoding.AppendEncode(nil, m.Body)
		w.Attributes[BodyEncoding] = Base64
		slots--
	}
	own, packed := assign(m.Header, slots)
	for _, name := range own {
		w.Attributes[name] = m.Header[name]
	}
	if len(packed) > 0 {
		h := make(map[string]string, len(packed))
		for _, name := range packed {
			h[name] = m.Header[name]
		}
		w.Attributes[PackedHeaders] = packHeaders(h)
	}
	return w
}

// Unpack is the way back from [Pack]. attributes are those that are text, and
// may be changed. What others wrote stays as it is, also if it has the names of
// Pack's attributes and means something else.
func Unpack(body []byte, attributes broker.Header) ([]byte, broker.Header) {
	if attributes[BodyEncoding] == Base64 {
		if raw, err := base64.StdEncoding.AppendDecode(nil, body); err == nil {
			body = raw
			delete(attributes, BodyEncoding)
		}
	}
	if text, ok := attributes[PackedHeaders]; ok {
		var packed map[string]string
		if err := json.Unmarshal([]byte(text), &packed); err == nil && packed != nil {
			delete(attributes, PackedHeaders)
			maps.Copy(packed, attributes) // what is seen by others wins
			attributes = packed
		}
	}
	if len(attributes) == 0 {
		attributes = nil
	}
	return body, attributes
}

// fits reports whether all headers can be attributes as they are.
func fits(h broker.Header) bool {
	if len(h) > MaxHeaders {
		return false
	}
	for name, value := range h {
		if name == TraceHeader || !goodName(name) || !goodValue(value) {
			return false
		}
	}
	return true
}

// assign tells which headers get one of so many attributes, and which are
// packed into one of them, both sorted.
func assign(h broker.Header, slots int) (own, packed []string) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		switch {
		case name == TraceHeader:
		case goodName(name) && goodValue(h[name]):
			own = append(own, name)
		default:
			packed = append(packed, name)
		}
	}
	if len(packed) > 0 {
		slots--
	}
	if len(own) > slots {
		if len(packed) == 0 {
			slots--
		}
		packed = append(packed, own[slots:]...)
		own = own[:slots]
	}
	return own, packed
}

// packHeaders is the value of PackedHeaders. JSON escapes all characters that
// SQS does not take, but for two.
func packHeaders(packed map[string]string) string {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	_ = e.Encode(packed) // strings cannot fail
	return beyondJSON.Replace(strings.TrimSuffix(text.String(), "\n"))
}

var beyondJSON = strings.NewReplacer("\ufffe", `\ufffe`, "\uffff", `\uffff`)

// isText reports whether SQS takes a body as it is.
func isText(body []byte) bool {
	return foreignCharacter(body[plainPrefix(body):]) < 0
}

// Size is that of the body and the attributes as SQS counts it: of each
// attribute the name, the type and the value (DG sqs-message-metadata).
func (w *Wire) Size() int {
	n := len(w.Body)
	for name, value := range w.Attributes {
		n += len(name) + len(attributeType) + len(value)
	}
	return n
}

// Size is the size of a message as SQS counts it, once it is packed.
func Size(m *broker.Message) int {
	w := Pack(m)
	return w.Size()
}
