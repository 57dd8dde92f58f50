package brokertest

import (
	"fmt"

	"github.com/candidmq/candidmq/broker"
)

func headerCases() []Case {
	return []Case{{
		Name: "headers/carried",
		Rule: "Headers are carried unchanged: keys case-sensitive, values with any characters that are not refused.",
		run:  headersCarried,
	}, {
		Name: "headers/text",
		Rule: "Text of all scripts is carried unchanged, in the body and in headers.",
		run:  headersText,
	}, {
		Name: "headers/binary",
		Rule: "A body of any bytes is carried unchanged, or is a FieldError.",
		run:  headersBinary,
	}, {
		Name: "headers/foreign",
		Rule: "What others published in their own way is delivered as far as this SDK can show it, and stops nothing.",
		run:  headersForeign,
	}}
}

func headersCarried(e *env) {
	d := e.open(Config{})
	in := d.inbox()
	m := d.message(e.body())
	m.Header = broker.Header{
		"Key": "upper", "key": "lower", "percent": "100%", "inner": "a  b\tc", "colon": "a: b", "quote": `"'\`,
		"_under-score.dot": "1",
	}
	d.send(m)
	e.wantMessage(in.one(), m)
	none := d.message(e.body())
	d.send(none)
	got := in.one()
	e.wantMessage(got, none)
	if got.Header.Get("absent") != "" {
		e.Errorf("a header that nobody set")
	}
}

func headersText(e *env) {
	d := e.open(Config{})
	in := d.inbox()
	for _, text := range []string{"Grüße", "日本語", "🙂👩‍👩‍👧", "e\u0301", "\u202eright to left", "\ufffd", "\U0010FFFD", "a\u2028b"} {
		m := d.message(text)
		m.Header = broker.Header{"text": text}
		d.send(m)
		e.wantMessage(in.one(), m)
	}
}

func headersBinary(e *env) {
	d := e.open(Config{})
	in := d.inbox()
	var all []byte
	for b := range 256 {
		all = append(all, byte(b))
	}
	sent := 0
	for _, body := range [][]byte{all, {0}, {0xff, 0xfe}, []byte("a\x0bb"), {0xed, 0xa0, 0x80}, []byte("\uffff")} {
		m := d.message("")
		m.Body = body
		_, err := e.b.Publish(e.soon(), m)
		if err != nil {
			wantField(e, fmt.Sprintf("body %.20q", body), err)
			continue
		}
		sent++
		e.wantMessage(in.one(), m)
	}
	in.empty(fmt.Sprintf("%d bodies were sent", sent))
}

func headersForeign(e *env) {
	if e.h.Foreign == nil {
		e.Skipf("the harness has no second client")
	}
	d := e.open(Config{})
	in := d.inbox()
	want := e.h.Foreign(e.TB, e.b, d.name)
	byBody := map[string]broker.Message{}
	for _, m := range want {
		byBody[string(m.Body)] = m
	}
	for _, got := range in.take(len(want)) {
		m, ok := byBody[string(got.Body)]
		if !ok {
			e.Errorf("body %q, which nobody sent", got.Body)
			continue
		}
		e.wantMessage(got, m)
	}
	in.empty("all were delivered")
}
