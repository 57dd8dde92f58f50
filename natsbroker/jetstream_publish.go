package natsbroker

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// streamPause is the pause between attempts while no stream answers.
const streamPause = 250 * time.Millisecond

// Publish stores one message and returns when the stream has acknowledged it:
// with OutcomeStored, the stream's sequence number and "stream:sequence" as the
// id, or with OutcomeDuplicate and the values of the message that has the same
// DedupID. On one server that means written to the operating system's cache,
// not to disk; on a stream with replicas, that a majority has it.
//
// A DedupID is unique in its stream, whatever the subject, within the stream's
// duplicate_window. A TTL is rounded up to whole seconds and needs a stream
// with allow_msg_ttl; a Delay needs one with allow_msg_schedules and the
// subject schedule.<stream>.* (see [ScheduleSubject]). Headers beginning with
// Nats-Expected- make the publish conditional; if the condition does not hold,
// it fails with [ErrExpectation]. With the header Nats-Rollup the message
// replaces the stream's messages of its subject ("sub") or all of them ("all"),
// if the stream has allow_rollup_hdrs; nats-server 2.15 then forgets until
// their ack_wait ends that messages of other subjects were released. Other
// headers beginning with Nats- are refused.
//
// If no stream captures the subject, the error is [broker.ErrNotFound], at once
// unless StreamWait says otherwise. While the connection is down the message
// waits in the client's buffer for the reconnect, within ctx. The error matches
// [broker.ErrOutcomeUnknown] if ctx (or RequestTimeout) ends first, if the
// stream has no_ack and so never answers, if the answer is lost with the
// connection, and, at once, if the connection is closed while the message
// waits.
func (j *JetStream) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	const op = "publish"
	if err := j.ready(ctx, op, m.Subject); err != nil {
		return broker.Receipt{}, err
	}
	p, err := j.prepare(ctx, &m)
	if err != nil {
		return broker.Receipt{}, err
	}
	late, stop := j.until(ctx)
	defer stop()
	select {
	case j.slots <- struct{}{}:
	default:
		if err := j.awaitSlot(ctx, late); err != nil {
			return broker.Receipt{}, j.failure(op, m.Subject, err)
		}
	}
	defer func() { <-j.slots }()
	return j.store(ctx, &p, late)
}

// awaitSlot waits until fewer than MaxInFlight publishes are in flight.
func (j *JetStream) awaitSlot(ctx context.Context, late <-chan time.Time) error {
	select {
	case j.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-late:
		return context.DeadlineExceeded
	case <-j.life.Done():
		return nats.ErrConnectionClosed
	}
}

// store publishes until a stream has answered, as configured by StreamWait.
func (j *JetStream) store(ctx context.Context, p *jsMessage, late <-chan time.Time) (broker.Receipt, error) {
	deadline := time.Time{} // read the clock only where it is needed
	for {
		got := make(oneByOne, 1)
		token, err := j.send(p, slot{to: got, ack: true})
		if err != nil {
			return broker.Receipt{}, err
		}
		a, err := await(ctx, &j.answers, got, late)
		if err != nil {
			j.answers.forget(token)
			return broker.Receipt{}, j.uncertain("publish", p.name, err)
		}
		if !unanswered(a.msg) || j.options.StreamWait == 0 {
			return j.receipt(p, a.msg)
		}
		now := time.Now()
		if deadline.IsZero() {
			deadline = now.Add(j.options.StreamWait)
		}
		if !now.Add(streamPause).Before(deadline) || !j.pause(ctx, late, streamPause) {
			return j.receipt(p, a.msg)
		}
	}
}

// pause reports false if the call ends first.
func (j *JetStream) pause(ctx context.Context, late <-chan time.Time, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-late:
	case <-j.life.Done():
	}
	return false
}

// send hands a message to the client's write buffer.
func (j *JetStream) send(p *jsMessage, s slot) (token uint64, err error) {
	to, err := j.answers.expect(s)
	if err != nil {
		return 0, j.failure("publish", p.name, err)
	}
	if len(p.header) > 0 {
		err = j.conn.PublishMsg(&nats.Msg{Subject: p.native, Reply: to.replyTo, Header: p.header, Data: p.body})
	} else {
		err = j.conn.PublishRequest(p.native, to.replyTo, p.body)
	}
	if err != nil {
		j.answers.forget(to.token)
		return 0, j.sendFailure("publish", p.name, err)
	}
	return to.token, nil
}

// pubAck is JetStream's answer to a publish.
type pubAck struct {
	Stream    string              `json:"stream"`
	Sequence  uint64              `json:"seq"`
	Duplicate bool                `json:"duplicate"`
	Error     *jetstream.APIError `json:"error"`
}

// receipt parses the stream's answer.
func (j *JetStream) receipt(p *jsMessage, msg *nats.Msg) (broker.Receipt, error) {
	const op = "publish"
	if unanswered(msg) {
		return broker.Receipt{}, j.failure(op, p.name, errNoStream)
	}
	var ack pubAck
	err := json.Unmarshal(msg.Data, &ack)
	switch {
	case err == nil && ack.Error != nil:
		return broker.Receipt{}, j.refusal(p, ack.Error)
	case err == nil && ack.Stream == "":
		err = jetstream.ErrInvalidJSAck
	}
	if err != nil {
		return broker.Receipt{}, j.uncertain(op, p.name, err)
	}
	r := broker.Receipt{
		Outcome:  broker.OutcomeStored,
		ID:       messageID(ack.Stream, ack.Sequence),
		Sequence: broker.NewSequence(ack.Sequence),
	}
	if ack.Duplicate {
		r.Outcome = broker.OutcomeDuplicate
	}
	return r, nil
}

// messageID is the id of a stored message, in receipts and deliveries.
func messageID(stream string, sequence uint64) string {
	var room [64]byte // on the stack: one allocation for the whole
	return string(strconv.AppendUint(append(append(room[:0], stream...), ':'), sequence, 10))
}

// refusal returns the error for a message that the stream refused.
func (j *JetStream) refusal(p *jsMessage, api *jetstream.APIError) error {
	switch api.ErrorCode {
	case 10054, codeHeaderTooLarge:
		return j.failure("publish", p.name, fmt.Errorf("%w: %w", tooLargeForStream(p, api), api))
	case 10166:
		return natsrules.NoTTL("the stream does not allow it (" + api.Error() + ")")
	case 10111:
		return natsrules.NoRollup("the stream does not allow it (" + api.Error() + ")")
	case 10188:
		return natsrules.NoSchedules("the stream does not allow it (" + api.Error() + ")")
	case 10109:
		return &broker.UnsupportedError{Backend: jsBackend, What: "publishing", Why: "the stream is sealed (" + api.Error() + ")"}
	case 10169:
		return &broker.UnsupportedError{
			Backend: jsBackend, What: "publishing", Why: "the stream holds counters, and takes only messages with an increment (" + api.Error() + ")",
			Instead: "a stream without allow_msg_counter",
		}
	}
	return j.failure("publish", p.name, api)
}

func tooLargeForStream(p *jsMessage, api *jetstream.APIError) error {
	field, size, limit := "Body", p.size(), "at most the stream's max_msg_size, headers included"
	if api.ErrorCode == codeHeaderTooLarge {
		field, size, limit = "Header", p.headerSize(), fmt.Sprintf("at most %d bytes of headers", natsrules.MaxJetStreamHeaders)
	}
	return &broker.FieldError{Field: field, Value: fmt.Sprintf("%d bytes", size), Limit: limit, TooLarge: true}
}

// PublishBatch sends the messages one after the other without waiting for each
// acknowledgement, with at most MaxInFlight of them in flight, and reports the
// outcome of each. They are stored in slice order. A failure is known only when
// its answer comes: no message of its subject is sent after that, but those in
// flight by then may be stored; with a MaxInFlight of 1 there are none. If ctx
// ends, messages not yet sent are skipped, and the errors of those not yet
// answered match [broker.ErrOutcomeUnknown]. StreamWait does not apply.
// [JetStream.PublishAtomic] stores all or none.
func (j *JetStream) PublishBatch(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
	const op = "publish"
	if err := j.ready(ctx, op, ""); err != nil {
		return make([]broker.Receipt, len(ms)), err
	}
	b := &jsBatch{
		JetStream: j, ctx: ctx,
		messages: make([]jsMessage, len(ms)), receipts: make([]broker.Receipt, len(ms)),
		errs: make([]error, len(ms)), tokens: make([]uint64, len(ms)),
		got: make(oneByOne, len(ms)),
	}
	if err := b.prepare(ms); err != nil || len(ms) == 0 {
		return b.receipts, err
	}
	late, stop := j.until(ctx)
	defer stop()
	if err := j.awaitSlot(ctx, late); err != nil {
		return b.receipts, j.failure(op, "", err)
	}
	defer func() { <-j.slots }()
	b.late = late
	b.run()
	return b.receipts, broker.NewBatchError(b.errs)
}

// jsBatch is one call of PublishBatch.
type jsBatch struct {
	*JetStream
	ctx      context.Context
	late     <-chan time.Time
	messages []jsMessage
	receipts []broker.Receipt
	errs     []error
	tokens   []uint64 // of what is in flight; 0 once answered
	got      oneByOne
	inFlight int
	failed   map[string]error // by subject
}

func (b *jsBatch) prepare(ms []broker.Message) error {
	for i, m := range ms {
		b.messages[i], b.errs[i] = b.JetStream.prepare(b.ctx, &m)
	}
	return skipRest(b.errs, ms)
}

// skipRest returns the error of a batch of which some items are refused, or
// nil.
func skipRest(errs []error, ms []broker.Message) error {
	err := broker.NewBatchError(errs)
	if err == nil {
		return nil
	}
	for i := range errs {
		if errs[i] == nil {
			errs[i] = skipped(jsBackend, ms[i].Subject, err)
		}
	}
	return err
}

// run sends all messages and takes all answers.
func (b *jsBatch) run() {
	var over error
	for i := range b.messages {
		p := &b.messages[i]
		for over == nil && b.inFlight == b.options.MaxInFlight {
			over = b.takeOne()
		}
		b.takeReady()
		if behind := cmp.Or(b.failed[p.native], over); behind != nil {
			b.errs[i] = skipped(jsBackend, p.name, behind)
			continue
		}
		token, err := b.send(p, slot{to: b.got, index: i, ack: true})
		if err != nil {
			b.fail(i, err)
			continue
		}
		b.tokens[i] = token
		b.inFlight++
	}
	for over == nil && b.inFlight > 0 {
		over = b.takeOne()
	}
	b.giveUp(over)
}

// takeOne waits for one answer.
func (b *jsBatch) takeOne() error {
	a, err := await(b.ctx, &b.answers, b.got, b.late)
	if err == nil {
		b.take(a)
	}
	return err
}

// takeReady takes the answers that have arrived.
func (b *jsBatch) takeReady() {
	for {
		select {
		case a := <-b.got:
			b.take(a)
		default:
			return
		}
	}
}

func (b *jsBatch) take(a answer) {
	i := a.index
	b.inFlight--
	b.tokens[i] = 0
	r, err := b.receipt(&b.messages[i], a.msg)
	b.receipts[i] = r
	if err != nil {
		b.fail(i, err)
	}
}

func (b *jsBatch) fail(i int, err error) {
	b.errs[i] = err
	if b.failed == nil {
		b.failed = map[string]error{}
	}
	b.failed[b.messages[i].native] = err
}

// giveUp abandons the messages in flight.
func (b *jsBatch) giveUp(cause error) {
	for i, token := range b.tokens {
		if token != 0 {
			b.answers.forget(token)
			b.errs[i] = b.uncertain("publish", b.messages[i].name, cause)
		}
	}
}
