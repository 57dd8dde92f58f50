package sqsrules

import (
	"encoding/binary"
	"strconv"
	"unicode/utf8"

	"github.com/candidmq/candidmq/broker"
)

// attributeType is the type of every attribute that carries a header.
const attributeType = "String"

// Queue is what a check must know of a queue.
type Queue struct {
	FIFO         bool
	ContentDedup bool // ContentBasedDeduplication
	MaxMessage   int  // MaximumMessageSize; 0: [MaxMessage]
}

// Check returns the first reason for which q does not take m: a
// [*broker.FieldError] for bad input, a [*broker.UnsupportedError] for a field
// that such a queue cannot honour. It does not look at the Subject.
func Check(m *broker.Message, q Queue) error {
	if err := checkFields(m, q); err != nil {
		return err
	}
	if len(m.Body) == 0 {
		return fieldError("Body", "", "at least one character: SQS accepts no empty body")
	}
	if len(m.Header) > 0 {
		if err := checkHeader(m.Header); err != nil {
			return err
		}
	}
	return checkSize(Size(m), q)
}

func checkSize(n int, q Queue) error {
	most := q.MaxMessage
	if most == 0 {
		most = MaxMessage
	}
	if n > most {
		return &broker.FieldError{
			Field: "Message", Value: itoa(n) + " bytes", TooLarge: true,
			Limit: "at most " + itoa(most) + " bytes of body and attributes, encoded where they are no text" +
				" (MaximumMessageSize); keep a larger body in a store such as S3, and send where it is",
		}
	}
	return nil
}

// plainPrefix is how many bytes at the begin of body, in words of eight, are
// certainly printable ASCII: what most bodies are of, at a fifth of the time.
func plainPrefix(body []byte) int {
	const each, high = 0x2020202020202020, 0x8080808080808080
	n := 0
	for ; n+8 <= len(body); n += 8 {
		word := binary.LittleEndian.Uint64(body[n:])
		if (word|(word-each))&high != 0 { // a byte is above 0x7f, or below 0x20
			break
		}
	}
	return n
}

// foreignCharacter is the position of the first character that SQS does not
// take (#x9, #xA, #xD, #x20 to #xD7FF, #xE000 to #xFFFD, #x10000 to #x10FFFF;
// API SendMessage), or -1.
func foreignCharacter[T string | []byte](text T) int {
	for i := range len(text) {
		if c := text[i]; c >= utf8.RuneSelf {
			return foreignRune(string(text[i:]), i)
		} else if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			return i
		}
	}
	return -1
}

// foreignRune is foreignCharacter for text that begins at offset.
func foreignRune(text string, offset int) int {
	for i, r := range text {
		switch {
		case r == utf8.RuneError:
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 { // not UTF-8
				return offset + i
			}
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0xFFFE, r == 0xFFFF:
			return offset + i
		}
	}
	return -1
}

func fieldError(field, value, limit string) error {
	return &broker.FieldError{Field: field, Value: value, Limit: limit}
}

func itoa(n int) string { return strconv.Itoa(n) }
