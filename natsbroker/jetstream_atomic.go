package natsbroker

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// Error codes that concern atomic batches as a whole.
const (
	codeAtomicDisabled = 10174
	codeAtomicHeader   = 10177
	codeHeaderTooLarge = 10097
)

// PublishAtomic stores all of the messages or none, in slice order and with no
// other message between them; no message is delivered before all are stored.
// Each receipt has its own sequence number.
//
// All subjects must belong to one stream, which must have allow_atomic
// (nats-server 2.12); otherwise the error is a [*broker.UnsupportedError], and
// nothing was sent. A batch has at most 1,000 messages, each with the limits of
// a single message. A Delay is unsupported, as are several subjects on a stream
// that has discard_new_per_subject together with max_msgs or max_bytes, of
// which nats-server 2.15 may store a part. Each batch checks by STREAM.LIST
// whether the stream allows it, since a server without the feature would store
// single messages.
//
// The error is one for the whole batch, except for messages refused before
// sending, which a [*broker.BatchError] names. A DedupID that the stream has
// seen within its duplicate_window, or that occurs twice in the batch, is
// [ErrDuplicate]; a header Nats-Expected-… that does not hold is
// [ErrExpectation]. Only the first message may expect a last sequence, and only
// the first message of a subject may expect one of that subject. A stream that
// discards new messages counts all messages of the batch, even those that would
// replace others. An error that matches [broker.ErrOutcomeUnknown] means that
// the batch as a whole may or may not be stored. If ctx ends before all
// messages are sent, nothing is stored; the server forgets its part of the
// batch after ten seconds, and has at most 50 open batches per stream
// ([broker.ErrThrottled]). MaxInFlight counts a batch as one; StreamWait does
// not apply.
func (j *JetStream) PublishAtomic(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
	const op = "publish"
	if err := j.ready(ctx, op, ""); err != nil || len(ms) == 0 {
		return nil, err
	}
	b := &atomicBatch{JetStream: j, ctx: ctx, got: make(oneByOne, len(ms))}
	if err := b.prepare(ms); err != nil {
		return nil, err
	}
	late, stop := j.until(ctx)
	defer stop()
	if err := j.awaitSlot(ctx, late); err != nil {
		return nil, j.failure(op, ms[0].Subject, err)
	}
	defer func() { <-j.slots }()
	b.late = late
	return b.run()
}

// atomicBatch is one call of PublishAtomic.
type atomicBatch struct {
	*JetStream
	ctx      context.Context //nolint:containedctx // of one call
	late     <-chan time.Time
	messages []jsMessage
	tokens   []uint64
	got      oneByOne
}

func (b *atomicBatch) prepare(ms []broker.Message) error {
	if err := natsrules.CheckAtomicCount(len(ms)); err != nil {
		return err
	}
	b.messages = make([]jsMessage, len(ms))
	errs := make([]error, len(ms))
	id := rand.Text()
	for i, m := range ms {
		if errs[i] = natsrules.CheckAtomic(&m, b.options.Ignore); errs[i] == nil {
			b.messages[i], errs[i] = b.JetStream.prepare(b.ctx, &m)
		}
		if errs[i] == nil {
			b.messages[i].join(id, i, i == len(ms)-1)
			errs[i] = b.checkJSSize(&b.messages[i])
		}
	}
	if err := skipRest(errs, ms); err != nil {
		return err
	}
	return b.checkStream()
}

// join makes a message the next one of a batch.
func (p *jsMessage) join(id string, index int, last bool) {
	if p.header == nil {
		p.header = make(nats.Header, 3)
	}
	p.header[natsrules.BatchIDHeader] = []string{id}
	p.header[natsrules.BatchSequenceHeader] = []string{strconv.Itoa(index + 1)}
	if last {
		p.header[natsrules.BatchCommitHeader] = []string{"1"}
	}
}

// checkStream checks that a single stream takes all messages as a batch.
func (b *atomicBatch) checkStream() error {
	first := &b.messages[0]
	info, err := b.streamOf(b.ctx, first.native)
	if err == nil && info == nil {
		err = errNoStream
	}
	if err != nil {
		return b.failure("publish", first.name, err)
	}
	subjects := make([]string, len(b.messages))
	for i := range b.messages {
		subjects[i] = b.messages[i].native
	}
	c := &info.Config
	s := natsrules.AtomicStream{
		Name: c.Name, Subjects: c.Subjects, Allowed: c.AllowAtomicPublish,
		Miscounts: c.DiscardNewPerSubject && (c.MaxMsgs > 0 || c.MaxBytes > 0),
	}
	return s.Check(subjects)
}

// run sends all messages and waits for the answer to the last, which commits
// them. Earlier errors are reported by the answers before it, which arrive
// first.
func (b *atomicBatch) run() ([]broker.Receipt, error) {
	defer b.forgetAll()
	last := len(b.messages) - 1
	for i := range b.messages {
		if err := b.ctx.Err(); err != nil { // not committed: nothing is stored
			return nil, b.failure("publish", b.messages[i].name, err)
		}
		token, err := b.send(&b.messages[i], slot{to: b.got, index: i, ack: true})
		if err != nil {
			if e, ok := errors.AsType[*broker.Error](err); ok && i < last {
				e.OutcomeUnknown = false
			}
			return nil, err
		}
		b.tokens = append(b.tokens, token)
	}
	var cause error
	for {
		a, err := await(b.ctx, &b.answers, b.got, b.late)
		if err != nil {
			return nil, b.uncertain("publish", b.messages[last].name, err)
		}
		if a.index == last {
			return b.committed(a.msg, cause)
		}
		if cause == nil {
			cause = b.refused(a)
		}
	}
}

// forgetAll gives up the answers that have not come.
func (b *atomicBatch) forgetAll() {
	for _, token := range b.tokens {
		b.answers.forget(token)
	}
}

// refused returns why the stream did not take a message of the batch, or nil if
// it did or if the answer cannot be parsed.
func (b *atomicBatch) refused(a answer) error {
	var ack pubAck
	if err := json.Unmarshal(a.msg.Data, &ack); err == nil && ack.Error != nil {
		return b.atomicRefusal(&b.messages[a.index], ack.Error)
	}
	return nil
}

// committed reads the answer to the commit.
func (b *atomicBatch) committed(msg *nats.Msg, cause error) ([]broker.Receipt, error) {
	p := &b.messages[len(b.messages)-1]
	var ack atomicAck
	var err error
	if !unanswered(msg) {
		err = json.Unmarshal(msg.Data, &ack)
	}
	switch {
	case unanswered(msg):
		return nil, b.failure("publish", p.name, errNoStream)
	case err == nil && ack.Error != nil && cause != nil:
		return nil, cause // this one only says that something was missing
	case err == nil && ack.Error != nil:
		return nil, b.atomicRefusal(p, ack.Error)
	case err == nil && (ack.Stream == "" || ack.Count != uint64(len(b.messages)) || ack.Sequence < ack.Count):
		err = fmt.Errorf("%w: it does not confirm the batch", jetstream.ErrInvalidJSAck)
	}
	if err != nil {
		return nil, b.uncertain("publish", p.name, err)
	}
	receipts := make([]broker.Receipt, len(b.messages))
	for i := range receipts {
		sequence := ack.Sequence - ack.Count + uint64(i) + 1
		receipts[i] = broker.Receipt{
			Outcome: broker.OutcomeStored, ID: messageID(ack.Stream, sequence), Sequence: broker.NewSequence(sequence),
		}
	}
	return receipts, nil
}

// atomicAck is the stream's answer to a commit: the last message's sequence
// number, and the number of messages stored.
type atomicAck struct {
	pubAck
	Count uint64 `json:"count"`
}

// largestHeader returns the message with the largest headers.
func (b *atomicBatch) largestHeader() *jsMessage {
	p := &b.messages[0]
	for i := range b.messages {
		if q := &b.messages[i]; q.headerSize() > p.headerSize() {
			p = q
		}
	}
	return p
}

// atomicRefusal returns why a stream did not store a batch.
func (b *atomicBatch) atomicRefusal(p *jsMessage, api *jetstream.APIError) error {
	switch api.ErrorCode {
	case codeHeaderTooLarge: // reported at the commit, for any of them
		p = b.largestHeader()
	case codeAtomicDisabled:
		return natsrules.NoAtomic("the stream does not allow it (" + api.Error() + ")")
	case codeAtomicHeader:
		return &broker.UnsupportedError{
			Backend: jsBackend, What: "a header in an atomic batch", Why: "the stream refuses it (" + api.Error() + ")", Instead: "Publish for each",
		}
	}
	return b.refusal(p, api)
}
