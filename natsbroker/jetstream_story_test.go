package natsbroker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
	"github.com/candidmq/candidmq/natsbroker"
)

// stories are what random histories come to seldom, one step a line:
//
//	publish SUBJECT [BODY] [id=ID] [header=N]   N bytes of a value
//	receive CONSUMER N
//	delete, release, later, extend, reject N    of the N-th delivery, from 0
//	redrive N, purge
//	wait D
var stories = []struct {
	name     string
	stream   memory.StreamConfig
	consumer memory.ConsumerConfig
	text     string
}{{
	name: "released after its last delivery, it blocks nothing", consumer: memory.ConsumerConfig{MaxDeliver: 2, MaxAckPending: 1},
	text: `publish a first
		publish a second
		receive c0 2
		release 0
		receive c0 2
		release 1
		receive c0 2
		delete 2
		receive c0 1`,
}, {
	name: "a lease that ends for the last time", consumer: memory.ConsumerConfig{MaxDeliver: 2, AckWait: 300 * time.Millisecond},
	text: `publish a
		receive c0 1
		wait 700ms
		receive c0 1
		wait 700ms
		receive c0 1`,
}, {
	name: "the last lease has ended, and nobody asks", consumer: memory.ConsumerConfig{MaxDeliver: 2, AckWait: 300 * time.Millisecond},
	text: `publish a
		receive c0 1
		release 0
		receive c0 1
		wait 700ms`,
}, {
	name: "the only lease has ended", consumer: memory.ConsumerConfig{MaxDeliver: 1, AckWait: 300 * time.Millisecond},
	text: `publish a
		receive c0 1
		wait 700ms`,
}, {
	name: "leases that end are delivered again in order", consumer: memory.ConsumerConfig{AckWait: 300 * time.Millisecond},
	text: `publish a 1
		publish a 2
		publish a 3
		receive c0 3
		wait 700ms
		publish a 4
		receive c0 4`,
}, {
	name: "released, they come in the order of their release", consumer: memory.ConsumerConfig{},
	text: `publish a 1
		publish a 2
		publish a 3
		publish a 4
		receive c0 3
		release 2
		release 0
		receive c0 1
		release 1
		receive c0 4`,
}, {
	name: "a backoff adds to a delay", consumer: memory.ConsumerConfig{BackOff: []time.Duration{time.Hour, 2 * time.Hour}},
	text: `publish a
		receive c0 1
		later 0
		receive c0 1
		later 1
		receive c0 1`,
}, {
	name: "a delay counts as in flight", consumer: memory.ConsumerConfig{MaxAckPending: 1},
	text: `publish a 1
		publish a 2
		receive c0 1
		later 0
		receive c0 2
		delete 1
		receive c0 2`,
}, {
	name: "bytes, to the last", stream: memory.StreamConfig{MaxBytes: 3 * (30 + 4), Discard: memory.DiscardNew},
	text: fill,
}, {
	name: "bytes in memory, to the last", stream: memory.StreamConfig{MaxBytes: 3 * (16 + 4), Discard: memory.DiscardNew, Storage: memory.MemoryStorage},
	text: fill,
}, {
	name: "bytes with headers", stream: memory.StreamConfig{MaxBytes: 30 + 4 + 4 + 12 + 10, Discard: memory.DiscardNew},
	text: `publish a  header=5
		publish a
		purge
		publish a  header=6`,
}, {
	name: "too old bytes go", stream: memory.StreamConfig{MaxBytes: 3 * (30 + 4)},
	text: `publish a
		publish a
		publish a
		receive c1 10
		publish a x
		receive c0 10`,
}, {
	name: "full of one subject", stream: memory.StreamConfig{MaxMsgs: 2, MaxMsgsPerSubject: 1, Discard: memory.DiscardNew},
	text: `publish a 1
		publish b 2
		publish a 3
		publish a.x 4
		receive c0 10`,
}, {
	name: "full of one subject, which refuses", stream: memory.StreamConfig{
		MaxMsgs: 3, MaxMsgsPerSubject: 1, Discard: memory.DiscardNew, DiscardNewPerSubject: true,
	},
	text: `publish a 1
		publish b 2
		publish a 3
		publish a.x 4
		publish a.y 5
		receive c0 10`,
}, {
	name: "interest", stream: memory.StreamConfig{Retention: memory.InterestRetention, MaxMsgs: 2, Discard: memory.DiscardNew},
	text: `publish a 1
		publish a 2
		publish a 3
		receive c0 2
		delete 0
		publish a 4
		receive c1 2
		delete 2
		publish a 5
		receive c0 3
		receive c1 3`,
}, {
	name: "a work queue", stream: memory.StreamConfig{Retention: memory.WorkQueueRetention, MaxMsgs: 2, Discard: memory.DiscardNew},
	text: `publish a 1
		publish a 2
		publish a 3
		receive c0 1
		delete 0
		delete 0
		release 0
		publish a 4 id=x
		receive c0 2
		delete 1
		publish a 5 id=x`,
}, {
	name: "gone while it is in hand", stream: memory.StreamConfig{MaxMsgs: 1},
	text: `publish a 1
		receive c0 1
		publish a 2
		extend 0
		release 0
		delete 0
		receive c0 2
		delete 1`,
}, {
	name: "purged while it is in hand",
	text: `publish a 1
		receive c0 1
		purge
		delete 0
		publish a 2
		receive c0 2`,
}, {
	name: "too old", stream: memory.StreamConfig{MaxAge: 500 * time.Millisecond},
	text: `publish a 1 id=x
		receive c0 1
		wait 1200ms
		receive c0 1
		publish a 2 id=x
		receive c0 2`,
}, {
	name: "dead letters", consumer: memory.ConsumerConfig{DeadLetters: memory.DeadLetters{Subject: "dead", MaxAttempts: 2}},
	text: `publish a 1 id=x header=3
		publish a 2
		receive c0 2
		reject 1
		release 0
		receive c0 2
		release 2
		receive c0 2
		receive dead 2
		release 3
		release 4
		redrive 1
		receive c0 2
		redrive 5
		receive c0 2`,
}}

const fill = `publish a
		publish a
		publish a
		publish a
		purge
		publish a xx
		publish a
		publish a
		receive c0 10`

// What happens seldom is the same on memory.JetStream and on a real server.
func TestJetStreamStoriesAreMemorys(t *testing.T) {
	r := newRig(t, &natsbroker.JetStreamOptions{MaxInFlight: 1})
	r.stream(jetstream.StreamConfig{Name: "FIRST", Subjects: []string{"first"}}) // see TestJetStreamAgreesWithMemory
	for i, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			b := newBoth(t, t, r, i+1)
			defer b.close()
			first, second := s.consumer, memory.ConsumerConfig{Durable: "c1", FilterSubject: "a"}
			if first.Durable = "c0"; first.AckWait == 0 && len(first.BackOff) == 0 {
				first.AckWait = aLongLease
			}
			if s.stream.Retention == memory.WorkQueueRetention {
				second.FilterSubject = "b"
				first.FilterSubject = "a"
			}
			b.open(&streamHistory{stream: s.stream, consumers: []memory.ConsumerConfig{first, second}})
			for line := range strings.Lines(s.text) {
				if line = strings.TrimSpace(line); line == "" {
					continue
				}
				if err := b.tell(line); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
			}
			b.atTheEnd()
		})
	}
}

// tell does what a line of a story says.
func (b *bothStreams) tell(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	var name string
	var n int
	switch word {
	case "publish":
		return b.publish(storyMessage(rest))
	case "receive":
		if _, err := fmt.Sscan(rest, &name, &n); err != nil {
			return err
		}
		queue := b.name + "/" + name
		if name == "dead" {
			queue = b.consumers[len(b.consumers)-1]
		}
		return b.receive(queue, n)
	case "wait":
		d, err := time.ParseDuration(rest)
		time.Sleep(d)
		return err
	case "purge":
		return b.step(&streamStep{do: word})
	}
	if _, err := fmt.Sscan(rest, &n); err != nil {
		return err
	}
	switch word {
	case "redrive":
		return b.redrive(n)
	case "later":
		word = "release later"
	}
	if n >= len(b.held) {
		return fmt.Errorf("there are %d deliveries", len(b.held))
	}
	return b.settle(word, b.held[n])
}

// storyMessage reads "SUBJECT [BODY] [id=ID] [header=N]".
func storyMessage(text string) broker.Message {
	var m broker.Message
	for i, word := range strings.Split(text, " ") {
		key, value, _ := strings.Cut(word, "=")
		switch {
		case i == 0:
			m.Subject = word
		case key == "id":
			m.DedupID = value
		case key == "header":
			var n int
			_, _ = fmt.Sscan(value, &n)
			m.Header = broker.Header{"h": strings.Repeat("v", n)}
		default:
			m.Body = []byte(word)
		}
	}
	return m
}
