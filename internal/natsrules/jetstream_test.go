package natsrules_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

func TestCheckJetStream(t *testing.T) {
	for name, test := range map[string]struct {
		m      broker.Message
		ignore broker.Fields
		want   error
	}{
		"fine":              {m: broker.Message{DedupID: "id", TTL: 1, Delay: 1, Header: broker.Header{"k": "v"}}},
		"expectation":       {m: broker.Message{Header: broker.Header{"Nats-Expected-Stream": "S"}}},
		"reply":             {m: broker.Message{ReplyTo: "r"}, want: errors.ErrUnsupported},
		"key":               {m: broker.Message{Key: "k"}, want: errors.ErrUnsupported},
		"tenant":            {m: broker.Message{Tenant: "t"}, want: errors.ErrUnsupported},
		"ignored":           {m: broker.Message{Tenant: "t", Key: "k", Delay: -1}, ignore: natsrules.IgnorableByJetStream},
		"negative delay":    {m: broker.Message{Delay: -1}, want: broker.ErrInvalid},
		"negative ttl":      {m: broker.Message{TTL: -1}, want: broker.ErrInvalid},
		"control header":    {m: broker.Message{Header: broker.Header{"nats-msg-id": "1"}}, want: broker.ErrInvalid},
		"id with a break":   {m: broker.Message{DedupID: "a\nb"}, want: broker.ErrInvalid},
		"rollup":            {m: broker.Message{Header: broker.Header{"Nats-Rollup": "all"}}},
		"unknown rollup":    {m: broker.Message{Header: broker.Header{"Nats-Rollup": "some"}}, want: broker.ErrInvalid},
		"delayed rollup":    {m: broker.Message{Header: broker.Header{"Nats-Rollup": "sub"}, Delay: 1}, want: errors.ErrUnsupported},
		"header with break": {m: broker.Message{Header: broker.Header{"k": "a\nb"}}, want: broker.ErrInvalid},
	} {
		err := natsrules.CheckJetStream(&test.m, "orders.new", test.ignore)
		if !errors.Is(err, test.want) || err != nil && test.want == nil {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	if err := natsrules.CheckJetStream(&broker.Message{}, "orders.*", 0); !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("a wildcard: got %v", err)
	}
	for ttl, want := range map[time.Duration]time.Duration{0: 0, 1: time.Second, time.Second: time.Second, time.Second + 1: 2 * time.Second} {
		if got := natsrules.WholeTTL(ttl); got != want {
			t.Errorf("TTL %v: got %v, want %v", ttl, got, want)
		}
	}
}

func TestConsumerNames(t *testing.T) {
	for text, want := range map[string]bool{
		"S/c": true, "S": false, "S/": false, "/c": false, "S/c/d": false, "S.t/c": false, "S/c d": false, "S/>": false,
	} {
		c, ok := natsrules.ParseConsumer(text)
		if ok != want || ok && c.String() != text {
			t.Errorf("%s: got %v, %v", text, c, ok)
		}
	}
}

func TestCovers(t *testing.T) {
	for _, test := range []struct {
		outer, inner     string
		captures, covers bool
	}{
		{"a.>", "a.b", true, true},
		{"a.>", "a.*", true, true},
		{"a.*", "a.>", true, false},
		{"a.*", "a.*", true, true},
		{"a.b", "a.*", false, false},
		{">", "a.>", true, true},
		{"*.b", "a.b", true, true},
	} {
		outer := []string{"other", test.outer}
		if got := natsrules.Captures(outer, test.inner); got != test.captures {
			t.Errorf("%s captures %s: %v", test.outer, test.inner, got)
		}
		if got := natsrules.Covers(outer, test.inner); got != test.covers {
			t.Errorf("%s covers %s: %v", test.outer, test.inner, got)
		}
	}
}

func TestOverlap(t *testing.T) {
	for _, test := range []struct {
		p, q string
		want bool
	}{
		{"a", "a", true},
		{"a", "b", false},
		{"a.b", "a", false},
		{"a.*", "a", false},
		{"a.*", "a.b", true},
		{"a.*", "*.b", true},
		{"a.*", "b.*", false},
		{"a.>", "a", false},
		{"a.>", "a.b.c", true},
		{"a.>", "*.b", true},
		{">", "a.b", true},
		{"a.*", "a.b.c", false},
		{"*.*", "a.>", true},
		{"a.*.c", "a.b.*", true},
		{"a.*.c", "a.b.d", false},
		{"a.>", "b.>", false},
		{"*", "a.b", false},
	} {
		if got := natsrules.Overlap([]string{test.p}, []string{test.q}); got != test.want {
			t.Errorf("%s, %s: got %v", test.p, test.q, got)
		}
		if got := natsrules.OverlapWithin([]string{test.q, test.p}); got != test.want {
			t.Errorf("%s, %s, the other way: got %v", test.p, test.q, got)
		}
	}
}

func TestHeaderText(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{" one\r\ntwo ", "one  two"}, {"\xff", ""}, {strings.Repeat("x", 2000), strings.Repeat("x", 1024)},
	} {
		if got := natsrules.HeaderText(test.text); got != test.want {
			t.Errorf("%.20q: got %.20q", test.text, got)
		}
	}
}
