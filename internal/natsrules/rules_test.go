package natsrules_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

func TestCheck(t *testing.T) {
	half := strings.Repeat("s", 2001) // two of them are more than one line takes
	for name, test := range map[string]struct {
		m      broker.Message
		ignore broker.Fields
		want   error
		field  string
	}{
		"fine":                {m: broker.Message{Subject: "s", ReplyTo: "r", Header: broker.Header{"k": "v"}}},
		"wildcard":            {m: broker.Message{Subject: "s.*"}, want: broker.ErrInvalid, field: "Subject"},
		"long":                {m: broker.Message{Subject: half + half}, want: broker.ErrTooLarge, field: "Subject"},
		"reply to a wildcard": {m: broker.Message{Subject: "s", ReplyTo: ">"}, want: broker.ErrInvalid, field: "ReplyTo"},
		"long together":       {m: broker.Message{Subject: half, ReplyTo: half}, want: broker.ErrTooLarge, field: "ReplyTo"},
		"header":              {m: broker.Message{Subject: "s", Header: broker.Header{"k": "\n"}}, want: broker.ErrInvalid, field: "Header[k]"},
		"trace":               {m: broker.Message{Subject: "s", Header: broker.Header{"Nats-Trace-Only": "true"}}, want: broker.ErrInvalid, field: "Header"},
		"trace's reports":     {m: broker.Message{Subject: "s", Header: broker.Header{"Nats-Trace-Dest": "r"}}, want: broker.ErrInvalid, field: "Header"},
		"foreign header":      {m: broker.Message{Subject: "s", Header: broker.Header{"Nats-Other": "v", "traceparent": "v"}}},
		"key":                 {m: broker.Message{Subject: "s", Key: "k"}, want: errors.ErrUnsupported},
		"tenant":              {m: broker.Message{Subject: "s", Tenant: "k"}, want: errors.ErrUnsupported},
		"dedup id":            {m: broker.Message{Subject: "s", DedupID: "k"}, want: errors.ErrUnsupported},
		"delay":               {m: broker.Message{Subject: "s", Delay: 1}, want: errors.ErrUnsupported},
		"ttl":                 {m: broker.Message{Subject: "s", TTL: 1}, want: errors.ErrUnsupported},
		"ignored":             {m: broker.Message{Subject: "s", Key: "k", TTL: 1}, ignore: natsrules.Refused},
		"one ignored":         {m: broker.Message{Subject: "s", Key: "k", TTL: 1}, ignore: broker.FieldKey, want: errors.ErrUnsupported},
	} {
		err := natsrules.Check(&test.m, test.m.Subject, test.ignore)
		if !errors.Is(err, test.want) || err != nil && test.want == nil {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
		if bad, _ := errors.AsType[*broker.FieldError](err); test.field != "" && (bad == nil || bad.Field != test.field) {
			t.Errorf("%s: got %v, want it to name %s", name, err, test.field)
		}
		if left := test.m.Fields() & test.ignore; left != 0 {
			t.Errorf("%s: %v left of what is to be ignored", name, left)
		}
	}
}

// Whatever the fields that are refused, each has its words.
func TestEveryRefusalSaysWhatInstead(t *testing.T) {
	for _, m := range []broker.Message{{Key: "k"}, {Tenant: "t"}, {DedupID: "d"}, {Delay: 1}, {TTL: 1}} {
		m.Subject = "s"
		refused, ok := errors.AsType[*broker.UnsupportedError](natsrules.Check(&m, "s", 0))
		if !ok || refused.Backend != "nats" || refused.Why == "" || refused.Instead == "" ||
			refused.What != "Message."+m.Fields().String() {
			t.Errorf("%v: got %v", m.Fields(), refused)
		}
	}
	if err := natsrules.CheckIgnore(natsrules.Refused); err != nil {
		t.Error(err)
	}
	if err := natsrules.CheckIgnore(broker.FieldReplyTo); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("got %v for a field that is honoured", err)
	}
}

// The size is what stands on the wire, as nats-server counts it.
func TestSize(t *testing.T) {
	m := broker.Message{Body: []byte("body"), Header: broker.Header{"a": "1", "bc": ""}}
	const wire = "NATS/1.0\r\na: 1\r\nbc: \r\n\r\nbody"
	if got := natsrules.Size(&m); got != int64(len(wire)) {
		t.Errorf("got %d, want %d", got, len(wire))
	}
	if err := natsrules.CheckSize(&m, int64(len(wire))); err != nil {
		t.Error(err)
	}
	if err := natsrules.CheckSize(&m, int64(len(wire))-1); !errors.Is(err, broker.ErrTooLarge) {
		t.Errorf("one byte more: got %v", err)
	}
	if got := natsrules.Size(&broker.Message{Body: []byte("body")}); got != 4 {
		t.Errorf("without headers: got %d", got)
	}
}

func TestSubscribe(t *testing.T) {
	for name, test := range map[string]struct{ err, want error }{
		"wildcards":          {natsrules.CheckPattern("Subject", "a.*.>"), nil},
		"> in the middle":    {natsrules.CheckPattern("Subject", "a.>.b"), broker.ErrInvalid},
		"group":              {natsrules.CheckGroup("a", "g"), nil},
		"no group":           {natsrules.CheckGroup("a", ""), broker.ErrInvalid},
		"group with a space": {natsrules.CheckGroup("a", "g h"), broker.ErrInvalid},
		"long group":         {natsrules.CheckGroup("a", strings.Repeat("g", 4000)), broker.ErrTooLarge},
		"limits":             {natsrules.CheckPending(broker.PendingLimits{Messages: 1}), nil},
		"messages":           {natsrules.CheckPending(broker.PendingLimits{Messages: -1}), broker.ErrInvalid},
		"bytes":              {natsrules.CheckPending(broker.PendingLimits{Bytes: -1}), broker.ErrInvalid},
	} {
		if !errors.Is(test.err, test.want) || test.err != nil && test.want == nil {
			t.Errorf("%s: got %v, want %v", name, test.err, test.want)
		}
	}
}

func TestReplies(t *testing.T) {
	status := broker.Message{Header: broker.Header{"Status": "503"}}
	if err := natsrules.CheckReply(&status); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("got %v for what reads as no responders", err)
	}
	status.Body = []byte("down")
	if err := natsrules.CheckReply(&status); err != nil {
		t.Error(err)
	}
	m := natsrules.Unsendable()
	if err := errors.Join(natsrules.Check(&m, "s", 0), natsrules.CheckReply(&m)); err != nil {
		t.Errorf("the stand-in for a reply that cannot be sent: %v", err)
	}
	if err := natsrules.CheckRequest(&broker.Message{ReplyTo: "r"}); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("got %v for a request with a reply address", err)
	}
}
