package brokertest

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/candidmq/candidmq/broker"
)

func limitCases() []Case {
	return []Case{{
		Name:   "limits/message-size",
		Rule:   "A message of the declared size is carried, and one byte more is ErrTooLarge before it is sent.",
		Fields: []string{"publish.maxMessage"},
		run:    limitMessage,
	}, {
		Name:   "limits/headers",
		Rule:   "As many headers as declared are carried, and one more is refused.",
		Fields: []string{"publish.maxHeaders"},
		run:    limitHeaders,
	}, {
		Name:   "limits/header-size",
		Rule:   "Headers of almost the declared size are carried, and of more refused.",
		Fields: []string{"publish.maxHeaderSize"},
		run:    limitHeaderSize,
	}, {
		Name: "limits/empty-body",
		Rule: "An empty body is carried as such, or is a FieldError.",
		run:  limitEmpty,
	}}
}

func limitMessage(e *env) {
	for _, d := range e.each(Config{}, Config{MaxMessage: 2048}) {
		claimed(e, d.sem.Publish.MaxMessage)
		in := d.inbox()
		most := int(d.sem.Publish.MaxMessage.V)
		m := d.message("")
		m.Body = bytes.Repeat([]byte("x"), most+1)
		_, err := e.b.Publish(e.soon(), m)
		wantIs(e, fmt.Sprintf("%d bytes", most+1), err, broker.ErrTooLarge)
		wantField(e, fmt.Sprintf("%d bytes", most+1), err)
		m.Body = m.Body[:most]
		_, err = e.b.Publish(e.soon(), m)
		e.must(fmt.Sprintf("%d bytes", most), err)
		if got := in.one(); len(got.Body) != most {
			e.Errorf("a body of %d bytes, want %d", len(got.Body), most)
		}
	}
}

func limitHeaders(e *env) {
	d := e.open(Config{})
	claimed(e, d.sem.Publish.MaxHeaders)
	in := d.inbox()
	n := 100
	if isKnown(d.sem.Publish.MaxHeaders) {
		n = d.sem.Publish.MaxHeaders.V
	}
	m := d.message(e.body())
	for i := range n {
		m.Header.Set(fmt.Sprint("h", i), "v")
	}
	_, err := e.b.Publish(e.soon(), m)
	e.must(fmt.Sprint(n, " headers"), err)
	e.wantMessage(in.one(), m)
	if d.sem.Publish.MaxHeaders.State == broker.StateUnlimited {
		return
	}
	m = d.message(e.body())
	for i := range n + 1 {
		m.Header.Set(fmt.Sprint("h", i), "v")
	}
	_, err = e.b.Publish(e.soon(), m)
	wantField(e, fmt.Sprint(n+1, " headers"), err)
	in.empty("what is refused is not sent")
}

func limitHeaderSize(e *env) {
	const slack = 64 // what a backend counts beyond the name and the value
	d := e.open(Config{})
	claimed(e, d.sem.Publish.MaxHeaderSize)
	if !isKnown(d.sem.Publish.MaxHeaderSize) || d.sem.Publish.MaxHeaderSize.V <= slack {
		e.Fatalf("headers of %s bytes", d.sem.Publish.MaxHeaderSize)
	}
	most := int(d.sem.Publish.MaxHeaderSize.V)
	in := d.inbox()
	m := d.message("x")
	m.Header = broker.Header{"h": strings.Repeat("v", most)}
	_, err := e.b.Publish(e.soon(), m)
	wantIs(e, fmt.Sprintf("a header of %d bytes", most+1), err, broker.ErrTooLarge)
	m.Header = broker.Header{"h": strings.Repeat("v", most-slack)}
	_, err = e.b.Publish(e.soon(), m)
	e.must(fmt.Sprintf("a header of %d bytes", most-slack), err)
	if got := in.one(); len(got.Header["h"]) != most-slack {
		e.Errorf("a header of %d bytes, want %d", len(got.Header["h"]), most-slack)
	}
}

func limitEmpty(e *env) {
	d := e.open(Config{})
	in := d.inbox()
	m := d.message("")
	if _, err := e.b.Publish(e.soon(), m); err != nil {
		wantField(e, "an empty body", err)
		in.empty("what is refused is not sent")
		return
	}
	if got := in.one(); len(got.Body) != 0 {
		e.Errorf("body %q, want an empty one", got.Body)
	}
}
