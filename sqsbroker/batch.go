package sqsbroker

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// PublishBatch sends the messages of each queue with SendMessageBatch, one
// call after the other, each of at most 10 messages and 1 MiB. If a message is
// refused before anything is sent, nothing is, and the others' errors match
// [broker.ErrSkipped].
//
// What SQS fails by its own fault is sent again, up to four times more, after
// pauses that double from 50 ms, with chance. On a Standard queue the others go on
// meanwhile; on a FIFO queue nothing of the batch is sent before it, whatever its
// key, and SQS may fail one entry of a call and store a later one of the same key:
// the later one is reported as stored then, and the failed one is not sent
// again, since it would come out of order. No message that comes after a failure
// of its key is sent; it is [broker.ErrSkipped], and as retryable as what failed.
// While a PublishBatch sends to a FIFO queue, other calls that publish messages
// of its keys wait.
//
// If ctx ends, or the broker is closed, no further call is made: what was not sent
// has ctx's error, or is [broker.ErrClosed], or ErrSkipped behind such a one of its
// key. A call that is under way when ctx ends is cancelled; SQS may still carry it
// out, after what is published next: who needs the order on a FIFO queue waits a
// minute before that, or lets the batch end.
func (b *Broker) PublishBatch(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
	receipts := make([]broker.Receipt, len(ms))
	if len(ms) == 0 {
		return receipts, nil
	}
	if err := b.ready(ctx, opPublish, ms[0].Subject); err != nil {
		return receipts, err
	}
	shipments, errs := b.load(ctx, opPublish, ms)
	if slices.ContainsFunc(errs, refusedHere) {
		skipOthers(ms, errs)
		return receipts, broker.NewBatchError(errs)
	}
	for _, s := range shipments {
		s.receipts, s.errs = receipts, errs
		s.sendAlone(ctx)
	}
	return receipts, broker.NewBatchError(errs)
}

// shipment is the messages of one batch that go to one queue, under whatever
// names.
type shipment struct {
	queue    *queue
	url      string
	ahead    []item           // not sent yet, in order
	again    []item           // to be sent again, in order, before those ahead
	receipts []broker.Receipt // of the whole batch
	errs     []error          // of the whole batch
	failed   map[string]error // by key, the first failure of it
}

// item is one message of a shipment.
type item struct {
	index   int // in the batch
	queue   *queue
	message broker.Message
	parcel  *parcel   // once it has come to the head
	due     time.Time // to be sent again, not before
}

// sent reports whether the message has been in a call.
func (it *item) sent() bool { return it.parcel != nil && it.parcel.tries > 0 }

// skipOthers gives the messages of a refused batch that are fine their errors.
func skipOthers(ms []broker.Message, errs []error) {
	for i, err := range errs {
		if err == nil {
			errs[i] = skipped(ms[i].Subject, false)
		}
	}
}

// skipped is the error of a message that was not sent because of another one's.
// retryable is whether sending both again may work.
func skipped(subject string, retryable bool) *broker.Error {
	return &broker.Error{Backend: backend, Op: opPublish, Subject: subject, Kind: broker.ErrSkipped, Retryable: retryable}
}

// load checks every message and sorts them by the queues' URLs. errs has those that are
// refused, and those whose queue could not be looked up.
func (b *Broker) load(ctx context.Context, op string, ms []broker.Message) (all []*shipment, errs []error) {
	errs = make([]error, len(ms))
	byURL := map[string]*shipment{}
	absent := map[string]error{} // by subject: asked for once, so that order holds
	for i, m := range ms {
		m.Clear(b.ignore)
		if gone := absent[m.Subject]; gone != nil {
			errs[i] = cmp.Or(b.refuse(&m), gone)
			continue
		}
		q, url, err := b.route(ctx, op, &m)
		if errs[i] = err; err != nil {
			if !refusedHere(err) {
				absent[m.Subject] = err
			}
			continue
		}
		s := byURL[url]
		if s == nil {
			s = &shipment{queue: q, url: url, failed: map[string]error{}}
			byURL[url] = s
			all = append(all, s)
		}
		s.ahead = append(s.ahead, item{index: i, queue: q, message: m})
	}
	return all, errs
}

// route finds the queue that m goes to, and its URL, and checks m.
func (b *Broker) route(ctx context.Context, op string, m *broker.Message) (*queue, string, error) {
	q, err := b.find(m.Subject)
	if err != nil {
		return nil, "", err
	}
	url, err := q.check(ctx, op, m)
	return q, url, err
}

// refuse checks m as far as that is possible without the queue's attributes.
func (b *Broker) refuse(m *broker.Message) error {
	q, err := b.find(m.Subject)
	if err != nil {
		return err
	}
	return sqsrules.Check(m, q.leastRules())
}

// refusedHere reports whether this package refused the message, not SQS.
func refusedHere(err error) bool {
	if _, ok := errors.AsType[*broker.FieldError](err); ok {
		return true
	}
	_, ok := errors.AsType[*broker.UnsupportedError](err)
	return ok
}

// errBehind stands for a failure of another call's message of the same key.
var errBehind = &broker.Error{Backend: backend, Op: opPublish, Kind: broker.ErrSkipped, Retryable: true}

// sendAlone sends while no other call sends messages of the same keys.
func (s *shipment) sendAlone(ctx context.Context) {
	keys := s.keys()
	if len(keys) == 0 {
		s.send(ctx)
		return
	}
	release, behind, err := s.queue.broker.to(s.url).sends.Hold(ctx, keys)
	if err != nil {
		for _, it := range s.ahead {
			s.errs[it.index] = notCalled(opPublish, it.message.Subject, err)
		}
		return
	}
	for _, key := range behind {
		s.failed[key] = errBehind
	}
	s.send(ctx)
	failed := slices.Collect(maps.Keys(s.failed))
	if ctx.Err() != nil { // no failure but the caller's own wish
		failed = nil
	}
	release(failed)
}

// keys are those of the messages, without repetition; none on a Standard queue.
func (s *shipment) keys() []string {
	seen := map[string]struct{}{}
	var keys []string
	for i := range s.ahead {
		key := s.ahead[i].message.Key
		if _, again := seen[key]; !again && key != "" {
			seen[key] = struct{}{}
			keys = append(keys, key)
		}
	}
	return keys
}

// send makes the calls. It stops between two of them when ctx ends or the broker
// is closed.
func (s *shipment) send(ctx context.Context) {
	b := s.queue.broker
	going, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(b.closed, stop)()
	for len(s.again)+len(s.ahead) > 0 {
		s.await(going)
		call := s.next(going)
		if len(call) == 0 {
			continue
		}
		if err := b.over(ctx); err != nil {
			s.giveUp(call, err)
			continue
		}
		parcels := make([]*parcel, len(call))
		for i := range call {
			parcels[i] = call[i].parcel
		}
		b.send(ctx, s.url, parcels)
		s.settle(call)
	}
}

// await sleeps until what failed may be sent again, if nothing else can be sent
// before: on a FIFO queue that would overtake it.
func (s *shipment) await(ctx context.Context) {
	if len(s.again) == 0 || !s.queue.fifo && len(s.ahead) > 0 {
		return
	}
	latest := slices.MaxFunc(s.again, func(a, b item) int { return a.due.Compare(b.due) })
	sleepUntil(ctx, latest.due)
}

// head is where the next message to send is.
func (s *shipment) head(ctx context.Context) *[]item {
	if len(s.again) > 0 && (ctx.Err() != nil || !time.Now().Before(s.again[0].due)) || len(s.ahead) == 0 {
		return &s.again
	}
	return &s.ahead
}

// next takes the messages of one call, and skips those of keys that failed.
func (s *shipment) next(ctx context.Context) []item {
	var call []item
	size := 0
	for {
		from := s.head(ctx)
		if len(*from) == 0 {
			return call
		}
		it := &(*from)[0]
		if s.queue.fifo && len(call) > 0 && call[0].sent() && !it.sent() {
			return call // what is sent again may fail again, and must not be overtaken
		}
		if first := s.failed[it.message.Key]; first != nil {
			s.passOver(it, first)
			*from = (*from)[1:]
			continue
		}
		if it.parcel == nil {
			it.parcel = it.queue.pack(&it.message)
		}
		size += it.parcel.size
		if len(call) == sqsrules.MaxBatch || len(call) > 0 && size > sqsrules.MaxBatchSize {
			return call
		}
		call = append(call, *it)
		*it = item{} // so that what is packed goes when it is stored
		*from = (*from)[1:]
	}
}

// passOver is for a message that is not sent, or not again, because of the first
// failure of its key.
func (s *shipment) passOver(it *item, first error) {
	if it.sent() {
		s.errs[it.index] = it.parcel.err
		return
	}
	e, ok := errors.AsType[*broker.Error](first)
	s.errs[it.index] = skipped(it.message.Subject, ok && e.Retryable)
}

// giveUp is for messages that are not sent, or not again, since ctx has ended or
// the broker is closed.
func (s *shipment) giveUp(call []item, err error) {
	for _, it := range call {
		e := notCalled(opPublish, it.message.Subject, err)
		if it.sent() {
			e.Err = errors.Join(e.Err, it.parcel.err)
			e = it.parcel.doubtful(e)
		}
		s.fail(it, e)
	}
}

// settle takes the results of a call, and keeps what may be sent again.
func (s *shipment) settle(call []item) {
	for _, it := range call {
		switch {
		case it.parcel.err == nil:
			s.receipts[it.index] = it.parcel.receipt
		case it.parcel.again:
			it.due = time.Now().Add(entryPause.Delay(it.parcel.tries, rand.Float64()))
			s.again = append(s.again, it)
		default:
			s.fail(it, it.parcel.err)
		}
	}
}

// fail records that a message is not stored, as far as is known.
func (s *shipment) fail(it item, err error) {
	s.errs[it.index] = err
	if key := it.message.Key; key != "" && s.failed[key] == nil {
		s.failed[key] = err
	}
}
