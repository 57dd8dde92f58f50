package natsbroker_test

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// streamHistory is what is done to a stream with two consumers.
type streamHistory struct {
	stream    memory.StreamConfig
	consumers []memory.ConsumerConfig
	steps     []streamStep
}

type streamStep struct {
	do      string
	n       int // the consumer, or which of the deliveries in hand
	message broker.Message
	limit   int
}

const (
	aLongLease = time.Hour              // none ends
	aPause     = 20 * time.Millisecond  // a delay, which is waited for at once
	waitedOut  = 120 * time.Millisecond // and this is how long
)

// streamHistories draws histories. Names of subjects are relative to the stream's.
func streamHistories() *rapid.Generator[streamHistory] {
	return rapid.Custom(func(t *rapid.T) streamHistory {
		h := streamHistory{stream: memory.StreamConfig{
			Retention: rapid.SampledFrom([]memory.Retention{
				memory.LimitsRetention, memory.LimitsRetention, memory.WorkQueueRetention, memory.InterestRetention,
			}).Draw(t, "retention"),
			MaxMsgs:           int64(rapid.SampledFrom([]int{0, 0, 3}).Draw(t, "max_msgs")),
			MaxBytes:          int64(rapid.SampledFrom([]int{0, 0, 150, 200, 230}).Draw(t, "max_bytes")),
			MaxMsgsPerSubject: int64(rapid.SampledFrom([]int{0, 0, 2}).Draw(t, "max_msgs_per_subject")),
			MaxMsgSize:        int32(rapid.SampledFrom([]int{0, 0, 60}).Draw(t, "max_msg_size")),
			Storage:           rapid.SampledFrom([]memory.Storage{memory.FileStorage, memory.MemoryStorage}).Draw(t, "storage"),
			Discard:           rapid.SampledFrom([]memory.Discard{memory.DiscardOld, memory.DiscardNew}).Draw(t, "discard"),

			AllowAtomicPublish: rapid.IntRange(0, 3).Draw(t, "atomic") > 0,
			AllowRollup:        rapid.IntRange(0, 3).Draw(t, "rollup") > 0,
		}}
		if h.stream.Discard == memory.DiscardNew && h.stream.MaxMsgsPerSubject > 0 {
			h.stream.DiscardNewPerSubject = rapid.Bool().Draw(t, "discard_new_per_subject")
		}
		for i, filter := range []string{"a", "b"} {
			c := memory.ConsumerConfig{
				Durable: "c" + strconv.Itoa(i), AckWait: aLongLease, FilterSubject: filter,
				MaxDeliver:    rapid.SampledFrom([]int{0, 0, 2}).Draw(t, "max_deliver"),
				MaxAckPending: rapid.SampledFrom([]int{0, 1, 3}).Draw(t, "max_ack_pending"),
			}
			if h.stream.Retention != memory.WorkQueueRetention && rapid.Bool().Draw(t, "unfiltered") {
				c.FilterSubject = ">"
			}
			switch rapid.SampledFrom([]string{"", "", "backoff", "dead", "attempts"}).Draw(t, "kind") {
			case "backoff":
				c.BackOff, c.MaxDeliver = []time.Duration{aLongLease, 2 * aLongLease}, 0
			case "dead":
				c.DeadLetters.Subject = "dead"
			case "attempts":
				c.DeadLetters, c.MaxDeliver = memory.DeadLetters{Subject: "dead", MaxAttempts: 2}, 0
			}
			h.consumers = append(h.consumers, c)
		}
		h.steps = rapid.SliceOfN(rapid.Custom(drawStreamStep), 10, 60).Draw(t, "steps")
		if h.stream.AllowRollup { // the server forgets until the lease ends what is to come again when it rolls up another subject
			h.steps = slices.DeleteFunc(h.steps, func(s streamStep) bool { return strings.HasPrefix(s.do, "release") })
		}
		return h
	})
}

func drawStreamStep(t *rapid.T) streamStep {
	s := streamStep{
		do: rapid.SampledFrom([]string{
			"publish", "publish", "publish", "publish", "publish", "batch", "atomic", "atomic", "receive", "receive", "receive", "receive", "receive",
			"delete", "delete", "delete", "release", "release", "release", "release later", "extend", "reject", "redrive", "purge",
		}).Draw(t, "do"),
		n: rapid.IntRange(0, 5).Draw(t, "n"), limit: rapid.IntRange(1, 4).Draw(t, "limit"),
	}
	s.message = broker.Message{
		Subject: often(t, "subject", "a", "b", "a.x", "c", "*"),
		Body:    []byte(rapid.SampledFrom([]string{"", "some", "a body that is a little longer"}).Draw(t, "body")),
		DedupID: often(t, "id", "", "one", "two", "with\nbreak"),
	}
	switch often(t, "more", "", "header", "sequence", "subject sequence", "id", "control", "stream", "ttl", "delay", "rollup", "rollup all", "rollup what", "delayed rollup") {
	case "header":
		s.message.Header = broker.Header{"k": "v", "other": "100%"}
	case "control":
		s.message.Header = broker.Header{"Nats-TTL": "1s"}
	case "sequence":
		s.message.Header = broker.Header{"Nats-Expected-Last-Sequence": strconv.Itoa(s.limit)}
	case "subject sequence":
		s.message.Header = broker.Header{"Nats-Expected-Last-Subject-Sequence": strconv.Itoa(s.limit - 1)}
	case "id":
		s.message.Header = broker.Header{"Nats-Expected-Last-Msg-Id": "one"}
	case "stream":
		s.message.Header = broker.Header{"Nats-Expected-Stream": "another"}
	case "rollup":
		s.message.Header = broker.Header{"Nats-Rollup": "sub", "k": "v"}
	case "rollup all":
		s.message.Header = broker.Header{"Nats-Rollup": "all"}
	case "rollup what":
		s.message.Header = broker.Header{"Nats-Rollup": "what"}
	case "delayed rollup":
		s.message.Header, s.message.Delay = broker.Header{"Nats-Rollup": "sub"}, time.Second
	case "ttl":
		s.message.TTL = time.Second
	case "delay":
		s.message.Delay = time.Second
	}
	return s
}

// often draws the first two times out of three.
func often(t *rapid.T, what, first string, others ...string) string {
	if rapid.IntRange(0, 2).Draw(t, what+" as mostly") > 0 {
		return first
	}
	return rapid.SampledFrom(others).Draw(t, what)
}
