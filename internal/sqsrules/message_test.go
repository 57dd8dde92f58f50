package sqsrules

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

func headers(n int) broker.Header {
	h := broker.Header{}
	for i := range n {
		h.Set("h"+strconv.Itoa(i), "v")
	}
	return h
}

func TestCheck(t *testing.T) {
	body := []byte("x")
	fifo, content := Queue{FIFO: true}, Queue{FIFO: true, ContentDedup: true}
	long := strings.Repeat("k", 129)
	for name, test := range map[string]struct {
		q     Queue
		m     broker.Message
		field string // of a FieldError; "!" of an UnsupportedError; "" is fine
	}{
		"plain":                   {m: broker.Message{Body: body}},
		"characters":              {m: broker.Message{Body: []byte("\t\r\n~\u00e9\ud7ff\ue000\ufffd\U00010000\U0010ffff")}},
		"empty body":              {field: "Body"},
		"control character":       {m: broker.Message{Body: []byte("a\x0b")}},
		"NUL after rune":          {m: broker.Message{Body: []byte("é\x00")}},
		"U+FFFE":                  {m: broker.Message{Body: []byte("\ufffe")}},
		"U+FFFF":                  {m: broker.Message{Body: []byte("a\uffff")}},
		"surrogate":               {m: broker.Message{Body: []byte("\xed\xa0\x80")}},
		"not UTF-8":               {m: broker.Message{Body: []byte("a\xff")}},
		"ten headers":             {m: broker.Message{Body: body, Header: headers(10)}},
		"eleven headers":          {m: broker.Message{Body: body, Header: headers(11)}},
		"header name":             {m: broker.Message{Body: body, Header: broker.Header{"a b": "v"}}, field: "Header"},
		"header name with slash":  {m: broker.Message{Body: body, Header: broker.Header{"a/b": "v"}}},
		"header name AWS.":        {m: broker.Message{Body: body, Header: broker.Header{"aWs.x": "v"}}},
		"header name Amazon.":     {m: broker.Message{Body: body, Header: broker.Header{"amazon.x": "v"}}},
		"header name AWSx":        {m: broker.Message{Body: body, Header: broker.Header{"AWSx": "v"}}},
		"header name periods":     {m: broker.Message{Body: body, Header: broker.Header{"a..b": "v"}}},
		"header name begins":      {m: broker.Message{Body: body, Header: broker.Header{".b": "v"}}},
		"header name ends":        {m: broker.Message{Body: body, Header: broker.Header{"b.": "v"}}},
		"header name of 256":      {m: broker.Message{Body: body, Header: broker.Header{strings.Repeat("n", 256): "v"}}},
		"header name of 257":      {m: broker.Message{Body: body, Header: broker.Header{strings.Repeat("n", 257): "v"}}},
		"header value empty":      {m: broker.Message{Body: body, Header: broker.Header{"a": ""}}},
		"header value foreign":    {m: broker.Message{Body: body, Header: broker.Header{"a": "\x01"}}},
		"header value not UTF-8":  {m: broker.Message{Body: body, Header: broker.Header{"a": "\xff"}}, field: "Header[a]"},
		"header of our own":       {m: broker.Message{Body: body, Header: broker.Header{PackedHeaders: "v"}}, field: "Header"},
		"header of encoding":      {m: broker.Message{Body: body, Header: broker.Header{BodyEncoding: "v"}}, field: "Header"},
		"trace":                   {m: broker.Message{Body: body, Header: broker.Header{TraceHeader: "Root=1"}}},
		"trace empty":             {m: broker.Message{Body: body, Header: broker.Header{TraceHeader: ""}}, field: "Header[AWSTraceHeader]"},
		"header value with CR":    {m: broker.Message{Body: body, Header: broker.Header{"a": "x\ry"}}, field: "Header[a]"},
		"tenant":                  {m: broker.Message{Body: body, Tenant: "t"}},
		"tenant with space":       {m: broker.Message{Body: body, Tenant: "a b"}, field: "Tenant"},
		"delay":                   {m: broker.Message{Body: body, Delay: MaxDelay}},
		"delay above":             {m: broker.Message{Body: body, Delay: MaxDelay + 1}, field: "!"},
		"delay below":             {m: broker.Message{Body: body, Delay: -1}, field: "Delay"},
		"ttl":                     {m: broker.Message{Body: body, TTL: 1}, field: "!"},
		"ttl below":               {m: broker.Message{Body: body, TTL: -1}, field: "TTL"},
		"reply-to":                {m: broker.Message{Body: body, ReplyTo: "r"}, field: "!"},
		"key on standard":         {m: broker.Message{Body: body, Key: "k"}, field: "!"},
		"dedup id on standard":    {m: broker.Message{Body: body, DedupID: "d"}, field: "!"},
		"fifo":                    {q: fifo, m: broker.Message{Body: body, Key: "k", DedupID: "d"}},
		"fifo without key":        {q: content, m: broker.Message{Body: body}, field: "Key"},
		"fifo without id":         {q: fifo, m: broker.Message{Body: body, Key: "k"}, field: "DedupID"},
		"fifo by content":         {q: content, m: broker.Message{Body: body, Key: "k"}},
		"fifo by content with id": {q: content, m: broker.Message{Body: body, Key: "k", DedupID: "d"}},
		"fifo key of 128":         {q: content, m: broker.Message{Body: body, Key: long[1:]}},
		"fifo key of 129":         {q: content, m: broker.Message{Body: body, Key: long}, field: "Key"},
		"fifo id with space":      {q: fifo, m: broker.Message{Body: body, Key: "k", DedupID: "a b"}, field: "DedupID"},
		"fifo tenant":             {q: content, m: broker.Message{Body: body, Key: "k", Tenant: "t"}, field: "!"},
		"fifo delay":              {q: content, m: broker.Message{Body: body, Key: "k", Delay: 1}, field: "!"},
		"fifo delay below":        {q: content, m: broker.Message{Body: body, Key: "k", Delay: -1}, field: "Delay"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Check(&test.m, test.q)
			if got := fieldOf(err); got != test.field {
				t.Errorf("got %v (%q), want %q", err, got, test.field)
			}
			if test.field == "!" != errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("errors.Is(%v, ErrUnsupported) is wrong", err)
			}
		})
	}
}

// fieldOf is what a FieldError is about, and "!" for an UnsupportedError that
// says why and what to use instead.
func fieldOf(err error) string {
	if e, ok := errors.AsType[*broker.FieldError](err); ok {
		return e.Field
	}
	if e, ok := errors.AsType[*broker.UnsupportedError](err); ok && e.Why != "" && e.Instead != "" {
		return "!"
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestCheckCountsHeadersTowardsTheSize(t *testing.T) {
	m := broker.Message{Body: make([]byte, 2048-len("name"+"String"+"value")), Header: broker.Header{"name": "value"}}
	for i := range m.Body {
		m.Body[i] = 'x'
	}
	if got := Size(&m); got != 2048 {
		t.Errorf("got size %d, want 2048", got)
	}
	if err := Check(&m, Queue{MaxMessage: 2048}); err != nil {
		t.Errorf("exactly the limit: %v", err)
	}
	m.Body = append(m.Body, 'x')
	err := Check(&m, Queue{MaxMessage: 2048})
	if !errors.Is(err, broker.ErrTooLarge) || !errors.Is(err, broker.ErrInvalid) {
		t.Errorf("got %v, want ErrTooLarge and ErrInvalid", err)
	}
	big := broker.Message{Body: []byte(strings.Repeat("x", MaxMessage))}
	if err := Check(&big, Queue{}); err != nil {
		t.Errorf("1 MiB: %v", err)
	}
	big.Body = append(big.Body, 'x')
	if err := Check(&big, Queue{}); !errors.Is(err, broker.ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

func TestCheckName(t *testing.T) {
	for name, good := range map[string]bool{
		"orders": true, "A_-9": true, "orders.fifo": true, strings.Repeat("q", 80): true,
		strings.Repeat("q", 75) + ".fifo": true,
		"":                                false, ".fifo": false, "orders.placed": false, "a b": false, "ä": false,
		strings.Repeat("q", 81): false, strings.Repeat("q", 76) + ".fifo": false,
	} {
		if err := CheckName(name); (err == nil) != good {
			t.Errorf("CheckName(%q) = %v, want good %v", name, err, good)
		}
	}
}

func TestNameOf(t *testing.T) {
	for address, want := range map[string]string{
		"orders": "orders",
		"https://sqs.eu-central-1.amazonaws.com/123456789012/orders.fifo": "orders.fifo",
		"http://localhost:9324/000000000000/orders":                       "orders",
		"arn:aws:sqs:eu-central-1:123456789012:orders":                    "orders",
	} {
		if got := NameOf(address); got != want {
			t.Errorf("NameOf(%q) = %q, want %q", address, got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	for name, test := range map[string]struct {
		check func(time.Duration) error
		d     time.Duration
		field string
	}{
		"wait 0":         {CheckWait, 0, ""},
		"wait most":      {CheckWait, MaxWait, ""},
		"wait above":     {CheckWait, MaxWait + 1, "!"},
		"wait below":     {CheckWait, -1, "Wait"},
		"wait 20 ns":     {CheckWait, 20, "Wait"},
		"wait least":     {CheckWait, time.Millisecond, ""},
		"lease 0":        {CheckLease, 0, "Lease"},
		"lease 30 ns":    {CheckLease, 30, "Lease"},
		"lease least":    {CheckLease, time.Millisecond, ""},
		"lease most":     {CheckLease, MaxLease, ""},
		"lease above":    {CheckLease, MaxLease + 1, "!"},
		"extend 0":       {CheckExtend, 0, ""},
		"extend above":   {CheckExtend, MaxLease + 1, "!"},
		"extend below":   {CheckExtend, -1, "lease"},
		"release 0":      {CheckRelease, 0, ""},
		"release above":  {CheckRelease, MaxLease + 1, "!"},
		"release below":  {CheckRelease, -1, "delay"},
		"release within": {CheckRelease, time.Hour, ""},
	} {
		if err := test.check(test.d); fieldOf(err) != test.field {
			t.Errorf("%s: got %v, want %q", name, err, test.field)
		}
	}
	for d, want := range map[time.Duration]int32{0: 0, 1: 1, time.Second: 1, time.Second + 1: 2, MaxLease: 43200} {
		if got := Seconds(d); got != want {
			t.Errorf("Seconds(%v) = %d, want %d", d, got, want)
		}
	}
	if CheckLimit(1) != nil || fieldOf(CheckLimit(0)) != "limit" {
		t.Error("CheckLimit: want 1 fine and 0 refused")
	}
}

func TestCheckShortPollAndSubscribe(t *testing.T) {
	if err := errors.Join(CheckShortPoll(0, 0), CheckShortPoll(1, time.Second)); err != nil {
		t.Error(err)
	}
	if err := CheckShortPoll(0, time.Second); fieldOf(err) != "!" {
		t.Errorf("a short poll of a queue that waits: %v", err)
	}
	lease := func(d time.Duration) []broker.SubscribeOption {
		return []broker.SubscribeOption{broker.Group("g"), broker.Lease(d)}
	}
	if err := CheckSubscribe(lease(MaxLease)); err != nil {
		t.Errorf("12 hours: %v", err)
	}
	if err := CheckSubscribe(lease(MaxLease + 1)); fieldOf(err) != "!" {
		t.Errorf("more than 12 hours: %v", err)
	}
	if err := NoDeadLetter("q"); fieldOf(err) != "!" {
		t.Errorf("no dead-letter queue: %v", err)
	}
}

func BenchmarkCheck(b *testing.B) {
	m := broker.Message{Subject: "q", Body: []byte(strings.Repeat("x", 128))}
	b.ReportAllocs()
	for b.Loop() {
		if err := Check(&m, Queue{}); err != nil {
			b.Fatal(err)
		}
	}
}
