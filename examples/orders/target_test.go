package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/candidmq/candidmq/broker"
)

func TestParseTarget(t *testing.T) {
	for _, good := range []string{
		"memory:", "memory://", "nats://127.0.0.1:4222", "nats://user:secret@host:4222", "jetstream://user:secret@host:4222", "sqs:", "sqs://", "sqs://demo?region=eu-west-1",
		"sqs://?endpoint=http://127.0.0.1:9324&region=us-east-1",
	} {
		if _, err := parseTarget(good); err != nil {
			t.Errorf("parseTarget(%q): %v", good, err)
		}
	}
	tests := []struct{ url, field, value, limit string }{
		{"", "-broker scheme", "", "one of jetstream, memory, nats, sqs"},
		{"kafka://h", "-broker scheme", "kafka", "one of jetstream, memory, nats, sqs"},
		{"nats://u:secret@h:x", "-broker", "nats:…", "a URL"},
		{"nats:", "-broker host", "", "nats://HOST:PORT"},
		{"nats://h?tls=1", "-broker parameter", "tls", "no parameters for nats:"},
		{"memory:?x", "-broker parameter", "x", "no parameters for memory:"},
		{"memory://h", "-broker host", "h", "none for memory:"},
		{"sqs://demo/orders", "-broker path", "orders", "none for sqs:"},
		{"sqs://key:secret@demo", "-broker user", "", "none for sqs:"},
		{"sqs://a.b", "-broker prefix", "a.b", "at most 40 of"},
		{"sqs://" + strings.Repeat("a", 41), "-broker prefix", strings.Repeat("a", 41), "at most 40 of"},
		{"sqs://?queue=x", "-broker parameter", "queue", "one of endpoint, region for sqs:"},
		{"sqs://?endpoint=localhost:9324", "-broker endpoint", "localhost:9324", "an http or https URL"},
		{"sqs://?endpoint=", "-broker endpoint", "", "an http or https URL"},
	}
	for _, test := range tests {
		_, err := parseTarget(test.url)
		got, ok := errors.AsType[*broker.FieldError](err)
		if !ok || got.Field != test.field || got.Value != test.value || !strings.HasPrefix(got.Limit, test.limit) {
			t.Errorf("parseTarget(%q): %v\nwant field %q, value %q, limit %q", test.url, err, test.field, test.value, test.limit)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("parseTarget(%q) shows the password: %v", test.url, err)
		}
	}
}
