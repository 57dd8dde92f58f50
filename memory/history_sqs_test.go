package memory_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// queues is what a history of a queue is played on.
type queues interface {
	broker.Publisher
	broker.Receiver
}

// sqsHistory is what is done to a queue and its dead-letter queue.
type sqsHistory struct {
	FIFO    bool
	Options memory.QueueOptions // DeadLetter as a sign that there is one
	Worst   uint64
	Steps   []sqsStep
}

// sqsStep is one operation. What it does not need is drawn all the same.
type sqsStep struct {
	Do         string
	Dead       bool // on the dead-letter queue
	Key, Dedup string
	Body       string
	Max, Which int
	Seconds    int
}

// GoString keeps what a failure prints short.
func (s sqsStep) GoString() string {
	switch s.Do {
	case "publish":
		return fmt.Sprintf("publish(%s %q %s +%ds)", s.Key, s.Dedup, s.Body, s.Seconds)
	case "receive", "poll":
		return fmt.Sprintf("%s(%d dead=%t %ds lease=%d)", s.Do, s.Max, s.Dead, s.Seconds, s.Which)
	}
	return fmt.Sprintf("%s(-%d %ds)", s.Do, s.Which, s.Seconds)
}

var sqsSteps = []string{
	"publish", "publish", "publish", "receive", "receive", "receive", "poll",
	"delete", "delete", "delete", "extend", "release", "reject", "advance", "advance",
}

func sqsHistories(fifo bool) *rapid.Generator[sqsHistory] {
	step := rapid.Custom(func(t *rapid.T) sqsStep {
		return sqsStep{
			Do:      rapid.SampledFrom(sqsSteps).Draw(t, "do"),
			Dead:    rapid.IntRange(0, 4).Draw(t, "on dead") == 4,
			Key:     rapid.SampledFrom([]string{"a", "a", "b", "c"}).Draw(t, "key"),
			Dedup:   rapid.SampledFrom([]string{"", "", "", "x", "y"}).Draw(t, "dedup"),
			Body:    rapid.SampledFrom([]string{"1", "2", "3", "4"}).Draw(t, "body"),
			Max:     rapid.IntRange(1, 12).Draw(t, "max"),
			Which:   rapid.IntRange(0, 20).Draw(t, "which"),
			Seconds: rapid.SampledFrom([]int{0, 0, 1, 2, 4, 5, 20, 299, 300, 301, 43_200}).Draw(t, "seconds"),
		}
	})
	return rapid.Custom(func(t *rapid.T) sqsHistory {
		h := sqsHistory{FIFO: fifo}
		h.Options.Visibility = time.Duration(rapid.SampledFrom([]int{2, 5, 30}).Draw(t, "visibility")) * time.Second
		h.Options.Delay = time.Duration(rapid.SampledFrom([]int{0, 0, 3}).Draw(t, "delay")) * time.Second
		h.Options.Retention = 14 * 24 * time.Hour
		switch rapid.IntRange(0, 4).Draw(t, "end") {
		case 0:
			h.Options.Retention = time.Minute
		case 1, 2, 3:
			h.Options.DeadLetter = "yes"
			h.Options.MaxReceives = rapid.IntRange(1, 3).Draw(t, "max receives")
		}
		if fifo {
			h.Options.ContentBasedDedup = rapid.Bool().Draw(t, "content")
			if rapid.Bool().Draw(t, "per key") {
				h.Options.DedupScope = broker.ScopeKey
			}
		}
		h.Worst = uint64(max(0, rapid.IntRange(-5, 5).Draw(t, "worst")))
		// A slice is of half a dozen on average, so this is of three dozen.
		h.Steps = slices.Concat(rapid.SliceOfN(rapid.SliceOfN(step, 1, 20), 1, 20).Draw(t, "steps")...)
		return h
	})
}

// player plays a history and keeps the model up to date.
type player struct {
	queues
	ctx   context.Context
	model *sqsModel
	held  []*held
	sent  int
	names [2]string // of the queue and its dead-letter queue
}

func newPlayer(t *testing.T, h *sqsHistory, mutate func(queues) queues) *player {
	t.Helper()
	b := closing(t, memory.NewSQS(&memory.SQSOptions{WorstCase: h.Worst}))
	p := &player{queues: b, ctx: t.Context(), names: [2]string{"q", "dead"}}
	if h.FIFO {
		p.names = [2]string{"q.fifo", "dead.fifo"}
	}
	o := h.Options
	if o.DeadLetter != "" {
		o.DeadLetter = p.names[1]
	}
	must(t, b.CreateQueue(p.names[1], memory.QueueOptions{Visibility: o.Visibility, Retention: 14 * 24 * time.Hour}))
	must(t, b.CreateQueue(p.names[0], o))
	p.model = newSQSModel(h)
	if mutate != nil {
		p.queues = mutate(b)
	}
	return p
}

// playSQS returns the first thing that the contract does not allow.
func playSQS(mutate func(queues) queues) func(*testing.T, sqsHistory) error {
	return func(t *testing.T, h sqsHistory) error {
		t.Helper()
		p := newPlayer(t, &h, mutate)
		for i, s := range h.Steps {
			if err := p.step(s); err != nil {
				return fmt.Errorf("step %d, %#v: %w", i, s, err)
			}
		}
		if err := p.drain(); err != nil {
			return fmt.Errorf("in the end: %w", err)
		}
		return nil
	}
}

func (p *player) step(s sqsStep) error {
	d := time.Duration(s.Seconds) * time.Second
	switch s.Do {
	case "publish":
		return p.publish(s, d)
	case "receive":
		return p.receive(s.Dead, s.Max, 0, 0)
	case "poll":
		return p.receive(s.Dead, s.Max, min(max(d, time.Second), 20*time.Second), time.Duration(s.Which)*time.Second)
	case "advance":
		time.Sleep(d)
		return nil
	}
	if len(p.held) == 0 {
		return nil
	}
	// The newest are of the most interest.
	h := p.held[max(0, len(p.held)-1-s.Which)]
	switch s.Do {
	case "delete":
		return p.model.deleted(h, broker.ItemError(p.Delete(p.ctx, h.delivery), 0))
	case "extend":
		return p.model.extended(h, d, broker.ItemError(p.Extend(p.ctx, d, h.delivery), 0))
	case "release":
		return p.model.released(h, d, broker.ItemError(p.Release(p.ctx, d, h.delivery), 0))
	default:
		return p.model.rejected(h, broker.ItemError(p.Reject(p.ctx, "why", h.delivery), 0))
	}
}

func (p *player) publish(s sqsStep, delay time.Duration) error {
	p.sent++
	m := broker.Message{Subject: p.names[0], Body: []byte(s.Body), Header: broker.Header{"n": strconv.Itoa(p.sent)}}
	if p.model.fifo {
		m.Key, m.DedupID = s.Key, s.Dedup
		if s.Dedup == "" && !p.model.options.ContentBasedDedup {
			m.DedupID = strconv.Itoa(p.sent)
		}
	} else {
		m.Delay = min(delay, 15*time.Minute)
	}
	r, err := p.Publish(p.ctx, m)
	if err != nil {
		return err
	}
	return p.model.published(p.sent, &m, r)
}

func (p *player) receive(dead bool, limit int, wait, lease time.Duration) error {
	from := 0
	if dead {
		from = 1
	}
	opts := []broker.ReceiveOption{broker.Wait(wait)}
	if lease > 0 {
		opts = append(opts, broker.Lease(lease))
	} else {
		lease = p.model.options.Visibility
	}
	begin := time.Now()
	ds, err := p.Receive(p.ctx, p.names[from], limit, opts...)
	if err != nil {
		return err
	}
	held, err := p.model.received(&p.model.queues[from], ds, min(limit, 10), begin, wait, lease)
	p.held = append(p.held, held...)
	return err
}

// drain takes and deletes all that is left, in both queues.
func (p *player) drain() error {
	time.Sleep(12 * time.Hour) // no lease is longer
	for range 1000 {
		before := len(p.held)
		for _, dead := range []bool{false, true} {
			first := len(p.held)
			if err := p.receive(dead, 10, 20*time.Second, 0); err != nil {
				return err
			}
			for _, h := range p.held[first:] {
				if err := p.model.deleted(h, broker.ItemError(p.Delete(p.ctx, h.delivery), 0)); err != nil {
					return err
				}
			}
		}
		if len(p.held) == before {
			return p.model.lost()
		}
	}
	return errors.New("the queues are never empty")
}

func TestSQSHistories(t *testing.T) {
	for kind, fifo := range map[string]bool{"standard": false, "fifo": true} {
		t.Run(kind, func(t *testing.T) { checkHistories(t, sqsHistories(fifo), playSQS(nil)) })
	}
}
