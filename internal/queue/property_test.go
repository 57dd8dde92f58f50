package queue_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/candidmq/candidmq/internal/queue"
)

// The engine and the model agree on whatever is done to a queue and its
// dead-letter queue.
func TestAgreesWithModel(t *testing.T) {
	for _, fifo := range []bool{false, true} {
		t.Run("fifo="+strconv.FormatBool(fifo), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) { compare(t, fifo) })
		})
	}
}

func compare(t *rapid.T, fifo bool) {
	p := newPair(t, fifo)
	defer p.engine.Close()
	t.Repeat(map[string]func(*rapid.T){
		"holds":        p.check,
		"send":         p.send,
		"send more":    p.send,
		"receive":      p.receive,
		"receive more": p.receive,
		"delete":       p.delete,
		"extend":       p.extend,
		"reject":       p.reject,
		"advance":      p.advance,
		"purge":        p.purge,
	})
	p.check(t)
}

// pair is an engine and a model that have been through the same.
type pair struct {
	engine *queue.Engine
	clock  *manualClock
	models []*model
	issued map[string][]queue.Receipt // by queue, of all receives
	sends  int
}

func newPair(t *rapid.T, fifo bool) *pair {
	p := &pair{clock: &manualClock{now: time.Unix(0, 0)}, issued: map[string][]queue.Receipt{
		"main": {{Receive: 1}}, "dead": {{Receive: 1}},
	}}
	p.engine = queue.New(p.clock)
	seq := new(uint64)
	main := &model{name: "main", config: drawConfig(t, fifo), seq: seq}
	dead := &model{name: "dead", config: drawConfig(t, fifo), seq: seq}
	if rapid.Bool().Draw(t, "dead letters") {
		main.dead = dead
		main.config.DeadLetter = dead.name
	}
	p.models = []*model{main, dead}
	for _, m := range p.models {
		if err := p.engine.Create(m.name, m.config); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func drawConfig(t *rapid.T, fifo bool) queue.Config {
	seconds := func(name string, of ...int) time.Duration {
		return time.Duration(rapid.SampledFrom(of).Draw(t, name)) * time.Second
	}
	return queue.Config{
		FIFO:        fifo,
		Visibility:  seconds("visibility", 0, 2, 5),
		Delay:       seconds("delay", 0, 0, 3),
		Retention:   seconds("retention", 0, 20),
		MaxLease:    seconds("max lease", 0, 8),
		DedupWindow: seconds("dedup window", 0, 10),
		DedupScope:  rapid.SampledFrom([]queue.DedupScope{queue.DedupPerQueue, queue.DedupPerGroup}).Draw(t, "scope"),
		MaxReceives: rapid.IntRange(0, 3).Draw(t, "max receives"),
		MaxInFlight: rapid.SampledFrom([]int{0, 0, 2, 4}).Draw(t, "max in flight"),
	}
}

// pick draws a queue and brings its model up to date; the engine's comes up to
// date by itself. The other one too: what moves there finds it so.
func (p *pair) pick(t *rapid.T) *model {
	for _, m := range p.models {
		m.advance(p.clock.Now())
	}
	// main twice: most happens there.
	return p.models[max(0, rapid.IntRange(-1, 1).Draw(t, "queue"))]
}

func (p *pair) send(t *rapid.T) {
	q := p.pick(t)
	p.sends++
	s := queue.Send{
		ID:       strconv.Itoa(p.sends),
		Group:    rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "group"),
		DedupID:  rapid.SampledFrom([]string{"", "", "x", "y"}).Draw(t, "dedup id"),
		HasDelay: rapid.Bool().Draw(t, "has delay"),
	}
	s.Delay = time.Duration(rapid.IntRange(0, 3).Draw(t, "delay")) * time.Second
	want := q.send(s, p.clock.Now())
	if got, err := p.engine.Send(q.name, s); got != want || err != nil {
		t.Fatalf("send %+v: %+v, %v, want %+v", s, got, err, want)
	}
}

func (p *pair) lease(t *rapid.T) time.Duration {
	return time.Duration(rapid.IntRange(-1, 10).Draw(t, "lease")) * time.Second
}

func (p *pair) receive(t *rapid.T) {
	q, lease, n := p.pick(t), p.lease(t), rapid.IntRange(1, 5).Draw(t, "limit")
	want, wantErr := q.receive(n, lease, p.clock.Now())
	got, err := p.engine.Receive(context.Background(), q.name, n, 0, lease)
	if !errors.Is(err, wantErr) || len(got) != len(want) {
		t.Fatalf("receive: %q, %v, want %q, %v", ids(got), err, modelIDs(want), wantErr)
	}
	for i, m := range got {
		w := want[i]
		if m.ID != w.id || m.Receipt != w.lastHandle || m.Receives != w.receives || !m.LeaseEnd.Equal(w.due) || !m.Sent.Equal(w.sent) {
			t.Fatalf("receive: %+v, want %+v; all %q, want %q", m, w, ids(got), modelIDs(want))
		}
		p.issued[q.name] = append(p.issued[q.name], m.Receipt)
	}
}

func modelIDs(ms []*modelMsg) string {
	var names []string
	for _, m := range ms {
		names = append(names, m.id)
	}
	return strings.Join(names, " ")
}

// receipt draws one of the last that were issued; at first there is one that
// nobody has issued.
func (p *pair) receipt(t *rapid.T, q *model) queue.Receipt {
	all := p.issued[q.name]
	return all[len(all)-1-rapid.IntRange(0, min(len(all)-1, 6)).Draw(t, "receipt")]
}

func (p *pair) delete(t *rapid.T) {
	q := p.pick(t)
	r := p.receipt(t, q)
	want := q.delete(r)
	if err := p.engine.Delete(q.name, r); !errors.Is(err, want) {
		t.Fatalf("delete %v: %v, want %v", r, err, want)
	}
}

func (p *pair) extend(t *rapid.T) {
	q := p.pick(t)
	r, lease := p.receipt(t, q), p.lease(t)
	want := q.extend(r, lease, p.clock.Now())
	if _, err := p.engine.Extend(q.name, r, lease); !errors.Is(err, want) {
		t.Fatalf("extend %v by %v: %v, want %v", r, lease, err, want)
	}
}

func (p *pair) reject(t *rapid.T) {
	q := p.pick(t)
	r := p.receipt(t, q)
	want := q.reject(r, p.clock.Now())
	if err := p.engine.Reject(q.name, r, nil); !errors.Is(err, want) {
		t.Fatalf("reject %v: %v, want %v", r, err, want)
	}
}

func (p *pair) advance(t *rapid.T) {
	p.clock.set(p.clock.Now().Add(time.Duration(rapid.IntRange(1, 8).Draw(t, "seconds")) * time.Second))
}

func (p *pair) purge(t *rapid.T) {
	if rapid.IntRange(0, 9).Draw(t, "really, if 0") > 0 {
		return
	}
	q := p.pick(t)
	q.purge()
	if err := p.engine.Purge(q.name); err != nil {
		t.Fatal(err)
	}
}

// check compares what the queues hold. It is a step like the others and not an
// invariant, so that time passes unnoticed by the engine too.
func (p *pair) check(t *rapid.T) {
	for _, q := range p.models {
		q.advance(p.clock.Now())
		if got, err := p.engine.Stats(q.name); got != q.stats() || err != nil {
			t.Fatalf("%s holds %+v, %v, want %+v", q.name, got, err, q.stats())
		}
	}
}
