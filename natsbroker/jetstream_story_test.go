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
	case "atomic":
		var ms []broker.Message
		for text := range strings.SplitSeq(rest, " + ") {
			ms = append(ms, b.native(storyMessage(text)))
		}
		return b.allOrNone(ms)
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

// storyMessage reads what stands behind publish.
func storyMessage(text string) broker.Message {
	m := broker.Message{Header: broker.Header{}}
	controls := map[string]string{
		"rollup": "Nats-Rollup", "last": jetstream.ExpectedLastSeqHeader, "subject": jetstream.ExpectedLastSubjSeqHeader,
	}
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
			m.Header["h"] = strings.Repeat("v", n)
		case controls[key] != "":
			m.Header[controls[key]] = value
		default:
			m.Body = []byte(word)
		}
	}
	return m
}
