package memory_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/memory"
)

// sqsModel is the contract of SQS as a judge: it does not tell what a queue
// will do, but whether it may do what it did. It knows messages by the number
// in their header.
type sqsModel struct {
	fifo    bool
	worst   bool // what rarely happens on a Standard queue is expected
	partial bool // a receive may bring fewer than there are
	options memory.QueueOptions
	queues  [2]modelQueue // the queue, and its dead-letter queue
	all     []*modelMessage
	sent    map[string]time.Time // by scope and dedup id: the last that was accepted
	last    broker.Receipt
	orders  int
}

type modelQueue struct {
	messages    []*modelMessage
	maxReceives int           // 0: no dead-letter queue
	retention   time.Duration // 0: longer than a history
}

type modelMessage struct {
	n        int
	sent     broker.Message
	id       string
	at       time.Time // sent
	queue    *modelQueue
	order    int       // place in the queue
	visible  time.Time // end of its delay or lease
	attempts int       // in all queues
	here     int       // in this queue
	newest   *held
	loose    bool // its place in the dead-letter queue cannot be told
	// must: it is lost if it never comes again. may: it may come again.
	must, may bool
}

// held is a delivery.
type held struct {
	*modelMessage
	delivery *broker.Delivery
	from     *modelQueue
	at, end  time.Time
	settled  string
}

func newSQSModel(h *sqsHistory) *sqsModel {
	m := &sqsModel{
		fifo: h.FIFO, worst: h.Worst != 0 && !h.FIFO, partial: h.Worst != 0,
		options: h.Options, sent: map[string]time.Time{},
	}
	m.queues[0].retention = h.Options.Retention
	if h.Options.DeadLetter != "" {
		m.queues[0].maxReceives = h.Options.MaxReceives
	}
	return m
}

func (s *sqsModel) put(q *modelQueue, m *modelMessage) {
	if old := m.queue; old != nil {
		old.messages = slices.DeleteFunc(old.messages, func(o *modelMessage) bool { return o == m })
	}
	s.orders++
	m.queue, m.order = q, s.orders
	q.messages = append(q.messages, m)
}

func (s *sqsModel) published(n int, sent *broker.Message, r broker.Receipt) error {
	now := time.Now()
	if want := map[bool]broker.Outcome{false: broker.OutcomeStored, true: broker.OutcomeAccepted}[s.fifo]; r.Outcome != want {
		return fmt.Errorf("outcome %v, want %v", r.Outcome, want)
	}
	if s.fifo && s.duplicate(sent, now) {
		return nil
	}
	if s.fifo && s.last.ID != "" && r.Sequence.Compare(s.last.Sequence) <= 0 {
		return fmt.Errorf("sequence %v after %v", r.Sequence, s.last.Sequence)
	}
	if r.ID == "" || r.ID == s.last.ID {
		return fmt.Errorf("id %q after %q", r.ID, s.last.ID)
	}
	s.last = r
	delay := s.options.Delay
	if sent.Delay > 0 {
		delay = sent.Delay
	}
	m := &modelMessage{n: n, sent: *sent, id: r.ID, at: now, visible: now.Add(delay), must: true, may: true}
	s.all = append(s.all, m)
	s.put(&s.queues[0], m)
	return nil
}

// duplicate also remembers what is none.
func (s *sqsModel) duplicate(m *broker.Message, now time.Time) bool {
	id := "id " + m.DedupID
	if m.DedupID == "" {
		id = "body " + string(m.Body)
	}
	if s.options.DedupScope == broker.ScopeKey {
		id = m.Key + " " + id
	}
	if at, ok := s.sent[id]; ok && now.Before(at.Add(5*time.Minute)) {
		return true
	}
	s.sent[id] = now
	return false
}

// exhausted: instead of being received, it goes to the dead-letter queue.
func (m *modelMessage) exhausted() bool {
	return m.queue.maxReceives > 0 && m.here >= m.queue.maxReceives
}

func (m *modelMessage) tooOld(now time.Time) bool {
	return m.queue.retention > 0 && !now.Before(m.at.Add(m.queue.retention))
}

// free: it is there, and no delay or lease holds it.
func (m *modelMessage) free(now time.Time) bool {
	return m.must && !m.tooOld(now) && !now.Before(m.visible)
}

// earlier are the messages that a FIFO queue delivers before m.
func (s *sqsModel) earlier(m *modelMessage, now time.Time) (before []*modelMessage) {
	for _, o := range m.queue.messages {
		if s.fifo && o.must && o.order < m.order && o.sent.Key == m.sent.Key && !o.tooOld(now) && !o.loose && !m.loose {
			before = append(before, o)
		}
	}
	return before
}

// deliverable counts the messages that a receive must find.
func (s *sqsModel) deliverable(q *modelQueue, now time.Time) (n int) {
	for _, m := range q.messages {
		blocked := slices.ContainsFunc(q.messages, func(o *modelMessage) bool { return o.loose && o.sent.Key == m.sent.Key })
		for _, o := range s.earlier(m, now) {
			blocked = blocked || !o.free(now)
		}
		if m.free(now) && !blocked && !m.exhausted() {
			n++
		}
	}
	return n
}

func (s *sqsModel) received(q *modelQueue, ds []*broker.Delivery, limit int, begin time.Time, wait, lease time.Duration) ([]*held, error) {
	now := time.Now()
	if now.Sub(begin) > wait {
		return nil, fmt.Errorf("waited %v, not %v", now.Sub(begin), wait)
	}
	if now.After(begin) && s.deliverable(q, now.Add(-time.Millisecond)) > 0 {
		return nil, errors.New("waited though something was there")
	}
	least := min(limit, s.deliverable(q, now))
	switch {
	case wait > 0 && now.Equal(begin.Add(wait)): // what comes in that instant may be missed
		least = 0
	case s.worst && wait == 0:
		least = 0
	case s.partial:
		least = min(least, 1)
	}
	if len(ds) < least || len(ds) > limit {
		return nil, fmt.Errorf("got %d messages, want at least %d of %d", len(ds), least, limit)
	}
	var all []*held
	taken := map[*modelMessage]bool{}
	for _, d := range ds {
		h, err := s.delivered(q, d, taken, now, lease)
		if err != nil {
			return nil, fmt.Errorf("message %s of %d: %w", d.Header["n"], len(ds), err)
		}
		all = append(all, h)
		taken[h.modelMessage] = true
	}
	return all, nil
}

// delivered checks one delivery of a receive that has taken others before it.
func (s *sqsModel) delivered(q *modelQueue, d *broker.Delivery, taken map[*modelMessage]bool, now time.Time, lease time.Duration) (*held, error) {
	m := s.find(d)
	if m == nil {
		return nil, errors.New("was not sent, or is a duplicate")
	}
	if taken[m] {
		return nil, errors.New("comes twice at once")
	}
	if m.queue != q {
		if err := s.exhaust(m, q, now); err != nil {
			return nil, err
		}
	}
	switch {
	case !m.may:
		return nil, errors.New("comes again after it was deleted")
	case m.tooOld(now):
		return nil, errors.New("comes after its retention")
	case now.Before(m.visible) && (m.attempts == 0 || !s.worst):
		return nil, fmt.Errorf("comes %v early", m.visible.Sub(now))
	case m.exhausted():
		return nil, fmt.Errorf("comes after %d receives", m.here)
	}
	for _, o := range s.earlier(m, now) {
		if taken[o] {
			continue
		}
		if !o.exhausted() || !o.free(now) {
			return nil, fmt.Errorf("comes before %d of its key", o.n)
		}
		s.move(o, now)
	}
	return s.take(m, d, now, lease)
}

// exhaust sees whether m may have moved to its dead-letter queue by itself.
func (s *sqsModel) exhaust(m *modelMessage, q *modelQueue, now time.Time) error {
	if m.queue != &s.queues[0] || q != &s.queues[1] || !m.exhausted() {
		return errors.New("comes from the wrong queue")
	}
	if !s.worst && m.must && !m.free(now) {
		return errors.New("is dead-lettered during its lease")
	}
	for _, o := range s.earlier(m, now) {
		if !o.exhausted() || !o.free(now) {
			return fmt.Errorf("is dead-lettered before %d of its key", o.n)
		}
		s.move(o, now)
	}
	s.move(m, now)
	return nil
}

// move makes m the last of the dead-letter queue.
func (s *sqsModel) move(m *modelMessage, now time.Time) {
	m.here, m.visible = 0, now
	s.put(&s.queues[1], m)
}

func (s *sqsModel) find(d *broker.Delivery) *modelMessage {
	for _, m := range s.all {
		if strconv.Itoa(m.n) == d.Header["n"] {
			return m
		}
	}
	return nil
}

func (s *sqsModel) take(m *modelMessage, d *broker.Delivery, now time.Time, lease time.Duration) (*held, error) {
	m.attempts++
	m.here++
	m.visible = now.Add(lease)
	h := &held{modelMessage: m, delivery: d, from: m.queue, at: now, end: m.visible}
	m.newest = h
	m.must = m.must || !s.worst // a late delete did not reach it
	switch {
	case !bytes.Equal(d.Body, m.sent.Body), d.Key != m.sent.Key, d.ID != m.id:
		return nil, fmt.Errorf("is not what was sent: %v", d)
	case d.Attempt != m.attempts:
		return nil, fmt.Errorf("is attempt %d, want %d", d.Attempt, m.attempts)
	case !d.LeaseEnd.Equal(h.end):
		return nil, fmt.Errorf("has a lease until %v, want %v", d.LeaseEnd, h.end)
	case !d.Time.Equal(m.at) && (!s.fifo || m.queue == &s.queues[0] || d.Time.Before(m.at)):
		return nil, fmt.Errorf("was sent at %v, want %v", d.Time, m.at)
	}
	return h, nil
}

// want compares the error of an operation.
func want(what string, err, want error) error {
	if err == nil && want == nil || want != nil && errors.Is(err, want) {
		return nil
	}
	return fmt.Errorf("%s: got %w, want %w", what, orNil(err), orNil(want))
}

func orNil(err error) error {
	if err == nil {
		return errors.New("no error")
	}
	return err
}

func (s *sqsModel) deleted(h *held, err error) error {
	late := !time.Now().Before(h.end)
	switch {
	case h.settled == "deleted":
		return want("delete again", err, nil)
	case h.settled != "", late && s.fifo:
		return want("delete without a lease", err, broker.ErrLeaseLost)
	}
	m := h.modelMessage
	switch {
	case m.queue != h.from: // it is not there any more
	case m.exhausted() && (late || s.worst): // nor here, perhaps
		m.must = false
	default:
		m.must, m.may = false, s.worst
	}
	if late {
		return want("late delete", err, broker.ErrLeaseLost)
	}
	h.settled = "deleted"
	return want("delete", err, nil)
}

// changed is the begin of extended, released and rejected: whether the lease is
// lost, for certain or because an error says so that is allowed.
func (s *sqsModel) changed(what string, h *held, err error) (lost bool, fault error) {
	m := h.modelMessage
	switch {
	case h.settled != "", !time.Now().Before(h.end):
	case s.worst && errors.Is(err, broker.ErrLeaseLost):
	case m.must && m.queue == h.from && m.newest == h && !m.tooOld(time.Now()):
		return false, nil
	case s.worst && m.queue == h.from && m.newest == h:
		return err != nil, nil
	}
	return true, want(what+" without a lease", err, broker.ErrLeaseLost)
}

func (s *sqsModel) extended(h *held, d time.Duration, err error) error {
	if lost, fault := s.changed("extend", h, err); lost {
		return fault
	}
	if d == 0 {
		d = s.options.Visibility
	}
	d = min(d, h.left())
	if d <= 0 {
		return want("extend after 12 hours", err, broker.ErrLeaseLost)
	}
	h.end = time.Now().Add(d)
	h.visible = h.end
	if got := h.delivery.Handle.(broker.Leased).LeaseEnd(); err == nil && !got.Equal(h.end) {
		return fmt.Errorf("extended until %v, want %v", got, h.end)
	}
	return want("extend", err, nil)
}

func (s *sqsModel) released(h *held, d time.Duration, err error) error {
	if lost, fault := s.changed("release", h, err); lost {
		return fault
	}
	h.settled = "released"
	h.visible = time.Now().Add(min(d, h.left()))
	return want("release", err, nil)
}

// left is what is left of the 12 hours of a lease, in the whole seconds of SQS.
func (h *held) left() time.Duration {
	return max(0, time.Until(h.at.Add(12*time.Hour)).Truncate(time.Second))
}

func (s *sqsModel) rejected(h *held, err error) error {
	if h.from.maxReceives == 0 && h.settled == "" && time.Now().Before(h.end) {
		return want("reject without a dead-letter queue", err, errors.ErrUnsupported)
	}
	if lost, fault := s.changed("reject", h, err); lost {
		return fault
	}
	h.settled = "rejected"
	for _, o := range s.earlier(h.modelMessage, time.Now()) {
		h.loose = h.loose || o.exhausted() && o.free(time.Now()) // it may be there before
	}
	s.move(h.modelMessage, time.Now())
	return want("reject", err, nil)
}

// lost is the first message that never came, or never again.
func (s *sqsModel) lost() error {
	for _, m := range s.all {
		if m.must && !m.tooOld(time.Now()) {
			return fmt.Errorf("message %d is lost after %d attempts", m.n, m.attempts)
		}
	}
	return nil
}
