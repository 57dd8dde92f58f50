package sqsbroker_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/candidmq/candidmq/broker"
)

// history is what is done to a queue and its dead-letter queue.
type history struct {
	fifo                         bool
	visibility, delay, retention int // seconds
	maxReceives                  int // 0: no dead-letter queue
	byContent, perKey            bool
	steps                        []step
}

// step is one operation. What it does not need is drawn all the same.
type step struct {
	do             string
	messages       []broker.Message
	dead           bool
	max, wait      int
	lease, seconds int
	which          []int
}

// GoString keeps what a failure prints short.
func (s step) GoString() string {
	switch s.do {
	case "publish", "batch":
		var all []string
		for _, m := range s.messages {
			all = append(all, fmt.Sprintf("%s %.10q %v key=%q id=%.10q tenant=%q delay=%v", m.Subject, m.Body, m.Header, m.Key, m.DedupID, m.Tenant, m.Delay))
		}
		return s.do + "(" + strings.Join(all, "; ") + ")"
	case "receive":
		return fmt.Sprintf("receive(%d dead=%t wait=%d lease=%d)", s.max, s.dead, s.wait, s.lease)
	}
	return fmt.Sprintf("%s(%v %ds)", s.do, s.which, s.seconds)
}

// GoString leaves out what the steps do not use.
func (h history) GoString() string {
	return fmt.Sprintf("fifo=%t visibility=%ds delay=%ds retention=%ds receives=%d content=%t key=%t %#v",
		h.fifo, h.visibility, h.delay, h.retention, h.maxReceives, h.byContent, h.perKey, h.steps)
}

func histories(fifo bool) *rapid.Generator[history] {
	of := func(t *rapid.T, name string, values ...int) int { return rapid.SampledFrom(values).Draw(t, name) }
	one := rapid.Custom(func(t *rapid.T) step {
		return step{
			do: rapid.SampledFrom([]string{
				"publish", "publish", "batch", "receive", "receive", "receive",
				"delete", "delete", "extend", "release", "reject", "advance", "advance",
			}).Draw(t, "do"),
			messages: rapid.SliceOfN(messages(fifo), 1, 12).Draw(t, "messages"),
			dead:     of(t, "dead", 0, 0, 0, 1) == 1,
			max:      of(t, "max", 1, 2, 5, 10, 12, 0),
			wait:     of(t, "wait", 0, 0, 1, 20, 21, -1),
			lease:    of(t, "lease", 0, 0, 0, 1, 7, 43_200, 43_201, -1),
			seconds:  of(t, "seconds", 0, 1, 2, 4, 20, 299, 300, 43_199, 43_200, 43_201, -1),
			which:    rapid.SliceOfN(rapid.IntRange(-1, 12), 1, 4).Draw(t, "which"),
		}
	})
	return rapid.Custom(func(t *rapid.T) history {
		return history{
			fifo:        fifo,
			visibility:  of(t, "visibility", 2, 5, 30),
			delay:       of(t, "delay", 0, 0, 3),
			retention:   of(t, "retention", 1_209_600, 1_209_600, 60),
			maxReceives: of(t, "max receives", 0, 1, 2, 3),
			byContent:   fifo && rapid.Bool().Draw(t, "by content"),
			perKey:      fifo && rapid.Bool().Draw(t, "per key"),
			// A slice is of half a dozen on average, so this is of three dozen.
			steps: slices.Concat(rapid.SliceOfN(rapid.SliceOfN(one, 1, 20), 1, 20).Draw(t, "steps")...),
		}
	})
}

// messages are mostly good ones.
func messages(fifo bool) *rapid.Generator[broker.Message] {
	return rapid.Custom(func(t *rapid.T) broker.Message {
		m := broker.Message{
			Subject: "q",
			Body:    []byte(rapid.SampledFrom([]string{"1", "2", "3", "4", "ünï ", "\x00\xff"}).Draw(t, "body")),
		}
		if rapid.Bool().Draw(t, "has header") {
			m.Header = broker.Header{"name": rapid.SampledFrom([]string{"value", "é, 100%", ""}).Draw(t, "header")}
		}
		if fifo {
			m.Key = rapid.SampledFrom([]string{"a", "a", "b", "c"}).Draw(t, "key")
			m.DedupID = rapid.SampledFrom([]string{"", "x", "y", "z"}).Draw(t, "dedup id")
		} else {
			m.Tenant = rapid.SampledFrom([]string{"", "", "a"}).Draw(t, "tenant")
			m.Delay = rapid.SampledFrom([]time.Duration{0, 0, time.Millisecond, 3 * time.Second, 15 * time.Minute}).Draw(t, "delay")
		}
		switch rapid.IntRange(0, 150).Draw(t, "fault") {
		case 1:
			m.Subject = "none"
		case 2:
			m.Body = nil
		case 3:
			m.Key, m.Tenant = "a b", ""
		case 4:
			m.Key, m.Tenant = "", "a b"
		case 5:
			m.DedupID = strings.Repeat("x", 129)
		case 6:
			m.Delay = 16 * time.Minute
		case 7:
			m.Delay = -1
		case 8:
			m.TTL = time.Second
		case 9:
			m.Header = broker.Header{"": "v"}
		case 10:
			m.Header = broker.Header{"k": "a\nb"}
		case 11:
			m.Body = bytes.Repeat([]byte("x"), 1<<20+1)
		case 12:
			m.Subject = "not a name"
		case 13:
			m.ReplyTo = "r"
		}
		return m
	})
}
