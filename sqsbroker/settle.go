package sqsbroker

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/coalesce"
	"github.com/candidmq/candidmq/internal/lease"
	"github.com/candidmq/candidmq/internal/sqsrules"
)

// whyLate is the reason in errors of deliveries whose lease is over.
const whyLate = "the visibility timeout has passed"

// settling is one delivery that is to be settled or extended.
type settling struct {
	*handle
	op      string
	index   int   // in the call of the caller
	seconds int32 // the visibility timeout to set
	late    bool  // the lease was over before the call
	reduced bool  // seconds were more than SQS found left of the 12 hours

	// What a call leaves.
	err   error
	again bool // SQS failed this one entry, by its own fault, and there is time for another try
	tries int
}

// Trait is what calls that are shared must know: any ten may go together.
func (s *settling) Trait() (key string, size int) { return "", 1 }

// Result sends again what SQS failed by its own fault.
func (s *settling) Result() coalesce.Result {
	if s.again {
		return coalesce.Result{Again: entryPause.Delay(s.tries, rand.Float64())}
	}
	return coalesce.Result{}
}

// The operations of settlings.
const (
	opDelete  = "delete"
	opReject  = "reject"
	opExtend  = "extend"
	opRelease = "release"
)

// Delete deletes the messages with DeleteMessageBatch, ten a call. A success
// is no proof: SQS may deliver a message of a Standard queue again all the
// same. What is late is refused on a FIFO queue, as SQS would, and sent on a
// Standard queue; both are [broker.ErrLeaseLost].
func (b *Broker) Delete(ctx context.Context, ds ...*broker.Delivery) error {
	return b.settle(ctx, opDelete, ds, func(s *settling) (done bool, err error) {
		if done, err := s.CheckDelete(); done {
			return true, settled(opDelete, s.handle, err)
		}
		if s.late && s.queue.fifo {
			return true, lost(opDelete, s.subject, whyLate)
		}
		return false, nil
	})
}

// Extend sets the visibility timeouts with ChangeMessageVisibilityBatch, ten a
// call. lease is rounded up to whole seconds, and shortened to what is left of
// the 12 hours since the receive, which SQS never exceeds, counted from before the
// call of Receive, and once more where SQS finds less left, since the call took
// longer than expected to reach it; 0 is the queue's visibility timeout. It is
// [broker.ErrLeaseLost] when the lease is over or nothing is left of the 12 hours.
func (b *Broker) Extend(ctx context.Context, lease time.Duration, ds ...*broker.Delivery) error {
	if err := sqsrules.CheckExtend(lease); err != nil {
		return err
	}
	return b.settle(ctx, opExtend, ds, func(s *settling) (done bool, err error) {
		if err := s.checkChange(); err != nil {
			return true, err
		}
		want := lease
		if want == 0 {
			_, a, err := s.queue.look(ctx, fresh)
			if err != nil {
				return true, failure(ctx, opExtend, s.subject, err)
			}
			want = max(a.visibility, time.Second)
		}
		s.limit(want)
		if s.seconds == 0 {
			return true, lost(opExtend, s.subject, "12 hours have passed since the receive")
		}
		return false, nil
	})
}

// Release sets the visibility timeouts with ChangeMessageVisibilityBatch, ten
// a call, in the order of ds. delay is rounded up to whole seconds, and
// shortened to what is left of the 12 hours, as Extend does; more than 12
// hours is an error. What is late is [broker.ErrLeaseLost]: it is visible
// already.
func (b *Broker) Release(ctx context.Context, delay time.Duration, ds ...*broker.Delivery) error {
	if err := sqsrules.CheckRelease(delay); err != nil {
		return err
	}
	return b.settle(ctx, opRelease, ds, func(s *settling) (done bool, err error) {
		s.limit(delay)
		return false, s.checkChange()
	})
}

// checkChange refuses what is settled or late.
func (s *settling) checkChange() error {
	if err := s.CheckChange(); err != nil {
		return settled(s.op, s.handle, err)
	}
	if s.late {
		return lost(s.op, s.subject, whyLate)
	}
	return nil
}

// limit sets the visibility timeout to d, or what is left of the 12 hours.
func (s *settling) limit(d time.Duration) {
	s.seconds = sqsrules.Seconds(min(d, max(s.left(), 0)))
}

// left is what is left of the 12 hours.
func (s *settling) left() time.Duration { return time.Until(s.latest).Truncate(time.Second) }

// settled is the error of a delivery that was settled before.
func settled(op string, h *handle, err error) error {
	if err == nil {
		return nil
	}
	return lost(op, h.subject, "the message is already settled")
}

// settle runs check on each delivery, and makes calls for those that it does
// not call done or refuse. A single one may share its call with those of other
// callers; several go at once, in calls of their own. What is given twice is
// settled once, and then given again.
func (b *Broker) settle(ctx context.Context, op string, ds []*broker.Delivery,
	check func(*settling) (done bool, err error),
) error {
	if err := b.ready(ctx, op, ""); err != nil {
		return err
	}
	errs := make([]error, len(ds))
	todo := make([]*settling, 0, len(ds))
	first := firsts(ds)
	for i, d := range ds {
		h, err := b.own(d)
		if err != nil {
			errs[i] = err
			continue
		}
		if first != nil && first[d] != i {
			continue
		}
		s := &settling{handle: h, op: op, index: i, late: h.Expired(time.Now())}
		if done, err := check(s); done || err != nil {
			errs[i] = err
			continue
		}
		todo = append(todo, s)
	}
	if len(todo) == 1 {
		errs[todo[0].index] = b.carryOut(ctx, todo[0])
	} else {
		b.carryOutAll(ctx, todo, errs)
	}
	for i, d := range ds {
		if first != nil && first[d] != i && errs[i] == nil {
			errs[i] = secondTime(op, d.Handle.(*handle), errs[first[d]])
		}
	}
	return broker.NewBatchError(errs)
}

// firsts tells where each delivery stands first, nil if there is no more than
// one.
func firsts(ds []*broker.Delivery) map[*broker.Delivery]int {
	if len(ds) < 2 {
		return nil
	}
	first := make(map[*broker.Delivery]int, len(ds))
	for i, d := range slices.Backward(ds) {
		first[d] = i
	}
	return first
}

// secondTime is the result for a delivery that is given twice to one call, as if
// that were two calls. err is that of the first.
func secondTime(op string, h *handle, err error) error {
	if err == nil && (op == opRelease || op == opReject) {
		return lost(op, h.subject, "the message is already settled")
	}
	return err
}

// carryOut settles one delivery.
func (b *Broker) carryOut(ctx context.Context, s *settling) error {
	calls := b.to(s.url).changes
	if s.deletes() {
		calls = b.to(s.url).deletes
	}
	if err := calls.Do(ctx, s); err != nil {
		return notCalled(s.op, s.subject, err)
	}
	return cutOff(ctx, s.err)
}

// carryOutAll settles several, in calls of their own.
func (b *Broker) carryOutAll(ctx context.Context, todo []*settling, errs []error) {
	for len(todo) > 0 {
		b.callAll(ctx, batches(todo))
		for _, s := range todo {
			errs[s.index] = s.err
		}
		todo = slices.DeleteFunc(todo, func(s *settling) bool { return !s.again })
		if len(todo) > 0 && !pauseAfter(ctx, todo[0].tries) {
			return
		}
	}
}

// callAll makes the calls at once, so that one that is slow costs the others no
// lease, but no more than maxInFlight at a time.
func (b *Broker) callAll(ctx context.Context, calls [][]*settling) {
	var flying sync.WaitGroup
	free := make(chan struct{}, maxInFlight)
	for _, call := range calls {
		if call[0].inOrder() || len(calls) == 1 {
			b.settleCall(ctx, call[0].url, call)
			continue
		}
		free <- struct{}{}
		flying.Go(func() {
			defer func() { <-free }()
			b.settleCall(ctx, call[0].url, call)
		})
	}
	flying.Wait()
}

// inOrder reports whether the calls go one after the other: what is released on
// a FIFO queue may be received at once, before what is released later.
func (s *settling) inOrder() bool { return s.op == opRelease && s.queue.fifo }

// deletes reports whether s is for DeleteMessageBatch.
func (s *settling) deletes() bool { return s.op == opDelete || s.op == opReject }

// batches splits by queue and by ten, and keeps the order within each queue.
func batches(all []*settling) [][]*settling {
	var split [][]*settling
	latest := map[string]int{} // by URL
	for _, s := range all {
		i, ok := latest[s.url]
		if !ok || len(split[i]) == sqsrules.MaxBatch {
			i = len(split)
			latest[s.url] = i
			split = append(split, nil)
		}
		split[i] = append(split[i], s)
	}
	return split
}

// settleCall makes one call, and leaves each one's result in it.
func (b *Broker) settleCall(ctx context.Context, url string, batch []*settling) {
	call := b.changeBatch
	if batch[0].deletes() {
		call = b.deleteBatch
	}
	before := time.Now() // SQS counts from a later moment
	done, notDone, err := call(ctx, url, batch)
	if err != nil {
		callFailed(ctx, batch, err)
		return
	}
	unanswered(batch)
	for _, id := range done {
		succeeded(batch, id, before)
	}
	failed(ctx, batch, notDone)
}

// deleteBatch returns what SQS says of each entry.
func (b *Broker) deleteBatch(ctx context.Context, url string, batch []*settling) (done []*string, notDone []types.BatchResultErrorEntry, err error) {
	entries := make([]types.DeleteMessageBatchRequestEntry, len(batch))
	for i, s := range batch {
		entries[i] = types.DeleteMessageBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), ReceiptHandle: s.native.ReceiptHandle,
		}
	}
	out, err := b.client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: entries}, answeredInTime, triesInTime(ctx))
	if err != nil {
		return nil, nil, err
	}
	for _, e := range out.Successful {
		done = append(done, e.Id)
	}
	return done, out.Failed, nil
}

// changeBatch is the same for visibility timeouts.
func (b *Broker) changeBatch(ctx context.Context, url string, batch []*settling) (done []*string, notDone []types.BatchResultErrorEntry, err error) {
	entries := make([]types.ChangeMessageVisibilityBatchRequestEntry, len(batch))
	for i, s := range batch {
		entries[i] = types.ChangeMessageVisibilityBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), ReceiptHandle: s.native.ReceiptHandle, VisibilityTimeout: s.seconds,
		}
	}
	out, err := b.client.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &url, Entries: entries}, answeredInTime, triesInTime(ctx))
	if err != nil {
		return nil, nil, err
	}
	for _, e := range out.Successful {
		done = append(done, e.Id)
	}
	return done, out.Failed, nil
}

// callFailed gives each delivery of a call that failed as a whole its error.
func callFailed(ctx context.Context, batch []*settling, err error) {
	for _, s := range batch {
		e := s.queue.fail(ctx, s.op, s.subject, err)
		e.OutcomeUnknown = mayHaveTakenEffect(err)
		s.err, s.again = e, false
	}
}

// unanswered is what holds until an answer's entries are read.
func unanswered(batch []*settling) {
	for _, s := range batch {
		s.err = &broker.Error{Backend: backend, Op: s.op, Subject: s.subject, OutcomeUnknown: true, Err: errUnanswered}
		s.again = false
		s.tries++
	}
}

// succeeded takes the result of an entry that SQS has carried out, in a call
// that began at a time.
func succeeded(batch []*settling, id *string, began time.Time) {
	i, ok := entryIndex(id, len(batch))
	if !ok {
		return
	}
	s := batch[i]
	s.err = nil
	switch s.op {
	case opExtend:
		s.Renew(began.Add(time.Duration(s.seconds) * time.Second))
	case opRelease:
		s.Settle(lease.Released)
	default:
		s.deleted()
	}
}

// deleted is the result of a delete that has gone well, which does not say much
// of one that came late.
func (s *settling) deleted() {
	switch {
	case s.late:
		s.err = lost(s.op, s.subject, whyLate+"; the delete was sent all the same")
	case s.op == opReject:
		s.Settle(lease.Rejected)
	default:
		s.Settle(lease.Deleted)
	}
}

// failed takes the results of the entries that SQS has not carried out.
func failed(ctx context.Context, batch []*settling, entries []types.BatchResultErrorEntry) {
	for _, e := range entries {
		if i, ok := entryIndex(e.Id, len(batch)); ok {
			s := batch[i]
			s.err = s.queue.fail(ctx, s.op, s.subject, entryError(e))
			s.again = !e.SenderFault && s.tries < entryTries && !s.Expired(time.Now())
			if beyondLimit(e) {
				s.reduce()
			}
		}
	}
}

// arrival is what an extension may take to reach SQS, with all its tries.
const arrival = 5 * time.Second

// reduce asks once more, for less: SQS counts the 12 hours up to when a request
// arrives, which was later than it was taken for.
func (s *settling) reduce() {
	if less := s.left() - arrival; less > 0 && !s.reduced {
		s.seconds, s.reduced, s.again = min(s.seconds, sqsrules.Seconds(less)), true, true
	}
}
