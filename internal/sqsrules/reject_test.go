package sqsrules

import (
	"bytes"
	"maps"
	"strings"
	"testing"

	"github.com/candidmq/candidmq/broker"
)

// What a rejected message tells reaches whoever receives it, whatever else it
// has: as attributes where they have room, else packed.
func TestRejectHeader(t *testing.T) {
	body := []byte("x")
	for name, test := range map[string]struct {
		m       broker.Message
		q       Queue
		others  Others
		reason  string
		want    broker.Header // of the three, as they are received
		own     int           // attributes, of others aside
		missing bool          // of the message's own, none may be
	}{
		"room":           {m: broker.Message{Body: body, Header: headers(7)}, reason: "bad", want: rejected("bad"), own: 10},
		"two left":       {m: broker.Message{Body: body, Header: headers(8)}, reason: "bad", want: rejected("bad"), own: 9},
		"one left":       {m: broker.Message{Body: body, Header: headers(9)}, reason: "bad", want: rejected("bad"), own: 10},
		"none left":      {m: broker.Message{Body: body, Header: headers(10)}, reason: "bad", want: rejected("bad"), own: 10},
		"packed already": {m: broker.Message{Body: body, Header: headers(30)}, reason: "bad", want: rejected("bad"), own: 10},
		"no text":        {m: broker.Message{Body: []byte{0xff}, Header: headers(9)}, reason: "bad", want: rejected("bad"), own: 10},
		"all before the body's encoding": {
			m: broker.Message{Body: []byte{0xff}, Header: broker.Header{
				"a1": "v", "a2": "v", "a3": "v", "a4": "v", "a5": "v", "a6": "v", "a7": "v", "a8": "v", "a9": "v",
			}},
			reason: "bad", want: rejected("bad"), own: 10,
		},
		"rejected before": {
			m:      broker.Message{Body: body, Header: changed(headers(7), broker.RejectReasonHeader, "old", broker.RejectSourceHeader, "old", broker.RejectAttemptsHeader, "1")},
			reason: "bad", want: rejected("bad"), own: 10,
		},
		"packed before": {
			m:      broker.Message{Body: body, Header: changed(headers(30), broker.RejectReasonHeader, "old", broker.RejectSourceHeader, "old", broker.RejectAttemptsHeader, "1")},
			reason: "bad", want: rejected("bad"), own: 10,
		},
		"others have all but one": {
			m: broker.Message{Body: body, Header: headers(1)}, others: Others{Count: 9}, reason: "bad", want: rejected("bad"), own: 1,
		},
		"others have all":     {m: broker.Message{Body: body}, others: Others{Count: 10}, reason: "bad"},
		"others mean another": {m: broker.Message{Body: body, Header: headers(9)}, others: Others{Count: 1, Packed: true}, reason: "bad", own: 9},
		"others pack no JSON": {
			m: broker.Message{Body: body, Header: headers(10)}, reason: "bad", own: 10, missing: true,
		},
		"one line":  {m: broker.Message{Body: body}, reason: " a\r\nb\x00\xff ", want: rejected("a  b \ufffd"), own: 3},
		"no reason": {m: broker.Message{Body: body}, want: changed(rejected(""), broker.RejectReasonHeader, ""), own: 2},
		"long":      {m: broker.Message{Body: body}, reason: strings.Repeat("é", 600) + "x", want: rejected(strings.Repeat("é", 512)), own: 3},
		"long, odd": {m: broker.Message{Body: body}, reason: "x" + strings.Repeat("é", 600), want: rejected("x" + strings.Repeat("é", 511)), own: 3},
		"size": {
			m: broker.Message{Body: []byte(strings.Repeat("x", 1000))}, q: Queue{MaxMessage: 1024},
			reason: "too long for what is left",
		},
		"size of others": {
			m: broker.Message{Body: body}, others: Others{Count: 1, Size: 990}, q: Queue{MaxMessage: 1024},
			reason: "x", want: broker.Header{broker.RejectReasonHeader: "x"}, own: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			before := maps.Clone(test.m.Header)
			w := Pack(&test.m)
			if test.missing {
				w.Attributes = changed(maps.Clone(w.Attributes), PackedHeaders, "no JSON")
				delete(w.Attributes, "h0")
			}
			h := RejectHeader(w, test.others, test.q, test.reason, "q", 12)
			if !maps.Equal(test.m.Header, before) {
				t.Error("the message's own header was changed")
			}
			if len(h) != test.own {
				t.Errorf("got %d attributes, want %d: %v", len(h), test.own, h)
			}
			for name, value := range h {
				if !goodName(name) || !goodValue(value) {
					t.Errorf("SQS does not take %s=%q", name, value)
				}
			}
			rejected := Wire{Body: w.Body, Attributes: h}
			if err := checkSize(rejected.Size()+test.others.Size, test.q); err != nil {
				t.Errorf("the dead-letter queue would refuse it: %v", err)
			}
			unpacked, got := Unpack(w.Body, maps.Clone(h))
			if !bytes.Equal(unpacked, test.m.Body) {
				t.Errorf("received as %q, want %q", unpacked, test.m.Body)
			}
			want := changed(maps.Clone(before), broker.RejectReasonHeader, test.want[broker.RejectReasonHeader],
				broker.RejectSourceHeader, test.want[broker.RejectSourceHeader], broker.RejectAttemptsHeader, test.want[broker.RejectAttemptsHeader])
			if test.missing {
				want = w.Attributes
			}
			if !maps.Equal(got, want) {
				t.Errorf("received as %v, want %v", got, want)
			}
		})
	}
	if h := RejectHeader(Wire{Body: body}, Others{}, Queue{}, "r", "q", 0); h[broker.RejectAttemptsHeader] != "" || len(h) != 2 {
		t.Errorf("unknown attempts: got %v", h)
	}
}

func rejected(reason string) broker.Header {
	return broker.Header{broker.RejectReasonHeader: reason, broker.RejectSourceHeader: "q", broker.RejectAttemptsHeader: "12"}
}

// changed sets names to values, or deletes those without one.
func changed(h broker.Header, pairs ...string) broker.Header {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			delete(h, pairs[i])
		} else {
			h.Set(pairs[i], pairs[i+1])
		}
	}
	return h
}
