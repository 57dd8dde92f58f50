package subject_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/candidmq/candidmq/internal/subject"
)

var checks = []struct {
	subject            string
	publish, subscribe subject.Reason
	offset             int
}{
	{subject: "a"},
	{subject: "a.b.c"},
	{subject: "orders.placed.eu-1_x"},
	{subject: "$JS.API.INFO"},
	{subject: "_INBOX.x.1"},
	{subject: "größe.注文"},
	{subject: "a*b.>c.d*.e>"},    // wildcards only as whole tokens
	{subject: "a.**.>>.*>.>*.b"}, // likewise
	{subject: "", publish: subject.ReasonEmpty, subscribe: subject.ReasonEmpty},
	{subject: ".", publish: subject.ReasonEmptyToken, subscribe: subject.ReasonEmptyToken},
	{subject: ".a", publish: subject.ReasonEmptyToken, subscribe: subject.ReasonEmptyToken},
	{subject: "a.", publish: subject.ReasonEmptyToken, subscribe: subject.ReasonEmptyToken, offset: 2},
	{subject: "a..b", publish: subject.ReasonEmptyToken, subscribe: subject.ReasonEmptyToken, offset: 2},
	{subject: "*", publish: subject.ReasonWildcard},
	{subject: ">", publish: subject.ReasonWildcard},
	{subject: "a.*", publish: subject.ReasonWildcard, offset: 2},
	{subject: "*.a", publish: subject.ReasonWildcard},
	{subject: "a.*.b.*.>", publish: subject.ReasonWildcard, offset: 2},
	{subject: "a.>", publish: subject.ReasonWildcard, offset: 2},
	{subject: "a.>.b", publish: subject.ReasonWildcard, subscribe: subject.ReasonNotLast, offset: 2},
	{subject: ">.b", publish: subject.ReasonWildcard, subscribe: subject.ReasonNotLast},
	{subject: "a b", publish: subject.ReasonSpace, subscribe: subject.ReasonSpace, offset: 1},
	{subject: "a\tb", publish: subject.ReasonControl, subscribe: subject.ReasonControl, offset: 1},
	{subject: "a\rb", publish: subject.ReasonControl, subscribe: subject.ReasonControl, offset: 1},
	{subject: "a\n", publish: subject.ReasonControl, subscribe: subject.ReasonControl, offset: 1},
	{subject: "\x00", publish: subject.ReasonControl, subscribe: subject.ReasonControl},
	{subject: "a.\x7f", publish: subject.ReasonControl, subscribe: subject.ReasonControl, offset: 2},
	{subject: "a.\xff", publish: subject.ReasonUTF8, subscribe: subject.ReasonUTF8},
	{subject: strings.Repeat("a", subject.MaxLen)},
	{
		subject: strings.Repeat("a", subject.MaxLen+1),
		publish: subject.ReasonTooLong, subscribe: subject.ReasonTooLong, offset: subject.MaxLen,
	},
}

func TestCheck(t *testing.T) {
	for _, tt := range checks {
		verdict(t, "CheckPublish", subject.CheckPublish(tt.subject), tt.subject, tt.publish, tt.offset)
		verdict(t, "CheckSubscribe", subject.CheckSubscribe(tt.subject), tt.subject, tt.subscribe, tt.offset)
	}
}

func verdict(t *testing.T, check string, err error, s string, want subject.Reason, offset int) {
	t.Helper()
	if want == "" {
		if err != nil {
			t.Errorf("%s(%.20q): %v, want nil", check, s, err)
		}
		return
	}
	var e *subject.Error
	if !errors.As(err, &e) || e.Reason != want || e.Subject != s || e.Offset != offset {
		t.Errorf("%s(%.20q): %#v, want %q at %d", check, s, err, want, offset)
	}
}

// What the checks let pass is legal for the server; what it finds illegal, they
// refuse.
func TestCheckAgreesWithServer(t *testing.T) {
	for _, tt := range checks {
		if tt.subscribe == "" && !server.IsValidSubject(tt.subject) {
			t.Errorf("%.20q passes CheckSubscribe, and the server refuses it", tt.subject)
		}
		if tt.publish == "" && !server.IsValidPublishSubject(tt.subject) {
			t.Errorf("%.20q passes CheckPublish, and the server refuses it", tt.subject)
		}
	}
}

func TestErrorText(t *testing.T) {
	for _, tt := range []struct{ subject, want string }{
		{"", `subject "": want a subject`},
		{"a\r\nb", `subject "a\r\nb": want no control character`},
		{
			strings.Repeat("é", subject.MaxLen),
			`subject "` + strings.Repeat("é", 64) + `"…: want at most 4000 bytes`,
		},
	} {
		if got := subject.CheckPublish(tt.subject).Error(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

func TestGoodSubjectsAllocateNothing(t *testing.T) {
	allocs := testing.AllocsPerRun(100, func() {
		if subject.CheckPublish("orders.placed.eu-1.x") != nil || subject.CheckSubscribe("orders.*.eu-1.>") != nil {
			t.Fatal("refused")
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func BenchmarkCheckPublish(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if err := subject.CheckPublish("orders.placed.eu-1.x"); err != nil { // 20 bytes
			b.Fatal(err)
		}
	}
}
