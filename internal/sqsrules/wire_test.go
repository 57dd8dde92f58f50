package sqsrules

import (
	"bytes"
	"encoding/base64"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/candidmq/candidmq/broker"
)

func TestPack(t *testing.T) {
	body := []byte("text")
	many := headers(12) // h0, h1, h10, h11, h2 … in order
	nine := headers(9)
	for name, test := range map[string]struct {
		m    broker.Message
		body string
		want broker.Header
	}{
		"as it is": {broker.Message{Body: body, Header: headers(10)}, "text", headers(10)},
		"no header": {
			broker.Message{Body: []byte("\t\r\n~\u00e9\ud7ff\ue000\ufffd\U00010000\U0010ffff")},
			"\t\r\n~\u00e9\ud7ff\ue000\ufffd\U00010000\U0010ffff", nil,
		},
		"more than ten": {
			broker.Message{Body: body, Header: many}, "text",
			with(many, []string{"h7", "h8", "h9"}, PackedHeaders, `{"h7":"v","h8":"v","h9":"v"}`),
		},
		"binary": {broker.Message{Body: []byte{0, 255}}, "AP8=", broker.Header{BodyEncoding: "base64"}},
		"binary, nine headers": {
			broker.Message{Body: []byte("\ufffe"), Header: nine}, "77++",
			with(nine, nil, BodyEncoding, "base64"),
		},
		"binary, ten headers": {
			broker.Message{Body: []byte("a\x0b"), Header: headers(10)}, "YQs=",
			with(with(headers(10), []string{"h8", "h9"}, PackedHeaders, `{"h8":"v","h9":"v"}`), nil, BodyEncoding, "base64"),
		},
		"no attribute's name or value": {
			broker.Message{Body: body, Header: broker.Header{"a/b": "<1>", "empty": "", "plain": "v", "aws.x": "\x01\uffff\ufffe"}}, "text",
			broker.Header{"plain": "v", PackedHeaders: `{"a/b":"<1>","aws.x":"\u0001\uffff\ufffe","empty":""}`},
		},
		"ten and one that is none": {
			broker.Message{Body: body, Header: with(headers(10), nil, "a/b", "v")}, "text",
			with(headers(10), []string{"h9"}, PackedHeaders, `{"a/b":"v","h9":"v"}`),
		},
		"trace": {broker.Message{Body: body, Header: with(headers(10), nil, TraceHeader, "Root=1")}, "text", headers(10)},
	} {
		t.Run(name, func(t *testing.T) {
			if err := Check(&test.m, Queue{}); err != nil {
				t.Fatal(err)
			}
			before := maps.Clone(test.m.Header)
			w := Pack(&test.m)
			if string(w.Body) != test.body || !maps.Equal(w.Attributes, test.want) || w.Trace != before[TraceHeader] {
				t.Errorf("got %q, %q, want %q, %q", w.Body, w.Attributes, test.body, test.want)
			}
			if len(w.Attributes) > MaxHeaders {
				t.Errorf("%d attributes", len(w.Attributes))
			}
			size := len(test.body)
			for name, value := range test.want {
				size += len(name) + len("String") + len(value)
				if foreignCharacter(value) >= 0 {
					t.Errorf("SQS does not take %s = %q", name, value)
				}
			}
			if got := Size(&test.m); got != size {
				t.Errorf("size %d, want %d", got, size)
			}
			got, h := Unpack(slices.Clone(w.Body), maps.Clone(w.Attributes))
			if w.Trace != "" {
				h.Set(TraceHeader, w.Trace)
			}
			if !bytes.Equal(got, test.m.Body) || !maps.Equal(h, before) || !maps.Equal(test.m.Header, before) {
				t.Errorf("came back as %q, %q", got, h)
			}
		})
	}
}

// with is a copy of h without some names and with one more.
func with(h broker.Header, without []string, name, value string) broker.Header {
	h = maps.Clone(h)
	for _, n := range without {
		delete(h, n)
	}
	h[name] = value
	return h
}

// What others wrote is left alone, whatever its names are.
func TestUnpackForeign(t *testing.T) {
	for name, test := range map[string]struct {
		body string
		h    broker.Header
		want broker.Header
	}{
		"no attributes":    {"100%", nil, nil},
		"no base64":        {"100%", broker.Header{BodyEncoding: "base64"}, broker.Header{BodyEncoding: "base64"}},
		"another encoding": {"eA==", broker.Header{BodyEncoding: "gzip"}, broker.Header{BodyEncoding: "gzip"}},
		"no JSON":          {"x", broker.Header{PackedHeaders: "a=b"}, broker.Header{PackedHeaders: "a=b"}},
		"null":             {"x", broker.Header{PackedHeaders: "null"}, broker.Header{PackedHeaders: "null"}},
		"other JSON":       {"x", broker.Header{PackedHeaders: `{"a":1}`}, broker.Header{PackedHeaders: `{"a":1}`}},
		"in both":          {"x", broker.Header{PackedHeaders: `{"a":"packed","b":"2"}`, "a": "own"}, broker.Header{"a": "own", "b": "2"}},
	} {
		body, h := Unpack([]byte(test.body), test.h)
		if string(body) != test.body || !maps.Equal(h, test.want) {
			t.Errorf("%s: got %q, %q", name, body, h)
		}
	}
}

// A word of eight bytes decides as each of its bytes would.
func TestTextIsLookedAtByteByByte(t *testing.T) {
	for at := range 24 {
		for c := range 256 {
			body := []byte(strings.Repeat("x", 24))
			body[at] = byte(c)
			want := c < 0x80 && (c >= ' ' || c == '\t' || c == '\n' || c == '\r')
			if got := isText(body); got != want {
				t.Fatalf("byte %#x at %d: got %v", c, at, got)
			}
		}
	}
}

func FuzzPack(f *testing.F) {
	f.Add([]byte("text"), "name", "value")
	f.Add([]byte{0}, "a/b", "")
	f.Add([]byte("\xed\xa0\x80"), "aws.x", "\x01")
	f.Fuzz(func(t *testing.T, body []byte, name, value string) {
		m := broker.Message{Body: body, Header: headers(9)}
		m.Header[name] = value
		if Check(&m, Queue{}) != nil {
			return
		}
		w := Pack(&m)
		if !isText(w.Body) || len(w.Attributes) > MaxHeaders {
			t.Fatalf("SQS does not take %q, %q", w.Body, w.Attributes)
		}
		for name, value := range w.Attributes {
			if !goodName(name) || !goodValue(value) {
				t.Fatalf("SQS does not take %q = %q", name, value)
			}
		}
		got, h := Unpack(slices.Clone(w.Body), maps.Clone(w.Attributes))
		if w.Trace != "" {
			h.Set(TraceHeader, w.Trace)
		}
		if !bytes.Equal(got, body) || !maps.Equal(h, m.Header) {
			t.Fatalf("came back as %q, %q", got, h)
		}
	})
}

func TestSizeOfBinary(t *testing.T) {
	m := broker.Message{Body: make([]byte, 3000)}
	if got, want := Size(&m), base64.StdEncoding.EncodedLen(3000)+len(BodyEncoding)+len("String")+len("base64"); got != want {
		t.Errorf("got %d, want %d", got, want)
	}
}
