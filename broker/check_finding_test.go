package broker_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/candidmq/candidmq/broker"
)

func TestFindingsPrint(t *testing.T) {
	arn := "arn:aws:sqs:eu-central-1:000000000000:" + strings.Repeat("ö", 80)
	fs := broker.Findings{
		{"dlq-not-empty", broker.SeverityError, "orders", "3 messages lie in " + arn, strings.Repeat("redrive ", 20)},
		{"short-poll", broker.SeverityWarning, "orders", "cause", "remedy"},
		{"plaintext", broker.SeverityInfo, "prices", strings.Repeat("x", 70), "remedy"},
	}
	text := fs.String()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if n := utf8.RuneCountInString(line); n > 100 || !utf8.ValidString(line) || strings.HasSuffix(line, " ") {
			t.Errorf("%d columns: %q", n, line)
		}
	}
	for _, want := range []string{
		"orders\n  error    dlq-not-empty      3 messages lie in\n",
		"\n  warning  short-poll         cause\n" + strings.Repeat(" ", 30) + "> remedy\nprices\n  info     plaintext ",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("misses %q:\n%s", want, text)
		}
	}
	if letters := strings.Join(strings.Fields(text), ""); !strings.Contains(letters, arn) {
		t.Errorf("lost a part of the ARN:\n%s", text)
	}
	if got := (broker.Findings{}).String(); got != "no findings\n" {
		t.Errorf("no findings: got %q", got)
	}
	if got, want := fs[1].String(), `warning short-poll "orders": cause; remedy`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := fs.LogValue().String(); !strings.Contains(got, fs[1].String()) {
		t.Errorf("logged %s", got)
	}
	if got, want := fs[1].LogValue().String(), "[code=short-poll severity=warning destination=orders cause=cause remedy=remedy]"; got != want {
		t.Errorf("logged %s, want %s", got, want)
	}
	b, err := json.Marshal(fs[1])
	if want := `{"code":"short-poll","severity":"warning","destination":"orders","cause":"cause","remedy":"remedy"}`; err != nil || string(b) != want {
		t.Errorf("got %s, %v, want %s", b, err, want)
	}
	if got := fmt.Sprint(broker.Severity(3)); got != "Severity(3)" {
		t.Errorf("got %s", got)
	}
}
