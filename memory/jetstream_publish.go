package memory

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
	"github.com/candidmq/candidmq/internal/stream"
)

// streamPause is the pause between tries while no stream has a subject.
const streamPause = 250 * time.Millisecond

var errNoStream = errors.New("no stream has the subject: add it to one, with CreateStream")

// Publish implements [broker.Publisher] as natsbroker.JetStream does: with
// OutcomeStored or OutcomeDuplicate, the stream's sequence number, and
// "stream:sequence" as the id. A DedupID is unique in its stream, whatever the
// subject, within Duplicates. A TTL is rounded up to whole seconds and needs
// AllowMsgTTL; a Delay needs AllowMsgSchedules and the subject
// schedule.<stream>.* in the stream. Of the headers beginning with Nats-, those
// named in [ErrExpectation] make the publish conditional, Nats-Rollup needs
// AllowRollup, and the others are refused.
//
// If no stream captures the subject, the error is [broker.ErrNotFound], at once
// unless StreamWait is set. A stream with NoAck stores the message and never
// answers: Publish then waits until ctx or RequestTimeout ends, with an error
// that matches [broker.ErrOutcomeUnknown].
func (b *JetStream) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	if err := b.open(ctx, OpPublish, m.Subject); err != nil {
		return broker.Receipt{}, err
	}
	var p stored
	if err := b.prepare(&m, &p); err != nil {
		return broker.Receipt{}, err
	}
	if err := b.failure(OpPublish); err != nil {
		return broker.Receipt{}, err
	}
	sent, err := b.storeAwaiting(ctx, &p)
	switch {
	case err != nil:
		return broker.Receipt{}, err
	case sent.NoAck:
		return broker.Receipt{}, b.unanswered(ctx, p.name)
	}
	return receiptOf(sent), nil
}

// stored is a message that was checked, as a stream takes it.
type stored struct {
	name string // the subject as the caller named it
	send stream.Send
}

// prepare checks m.
func (b *JetStream) prepare(m *broker.Message, p *stored) error {
	native := b.address(m.Subject)
	if err := natsrules.CheckJetStream(m, native, b.ignore); err != nil {
		return err
	}
	p.name = m.Subject
	p.send = stream.Send{Subject: native, Body: copyOf(m.Body), DedupID: m.DedupID, TTL: natsrules.WholeTTL(m.TTL)}
	controls := make([]string, 0, 8) // headers of the server's, names and values
	if m.DedupID != "" {
		controls = append(controls, "Nats-Msg-Id", m.DedupID)
	}
	ttl := "Nats-TTL"
	if m.Delay > 0 {
		at := "@at " + time.Now().Add(m.Delay).UTC().Format(time.RFC3339Nano)
		controls = append(controls, "Nats-Schedule", at, "Nats-Schedule-Target", native)
		ttl = "Nats-Schedule-TTL"
	}
	if m.TTL > 0 {
		controls = append(controls, ttl, strconv.FormatInt(int64(p.send.TTL/time.Second), 10)+"s")
	}
	header, err := readControls(m.Header, &p.send)
	if err != nil {
		return err
	}
	if len(header) > 0 {
		p.send.Attrs = header
	}
	p.send.HeaderSize = headerSize(m.Header, controls)
	if m.Delay > 0 {
		if err := b.schedule(m, p); err != nil {
			return err
		}
	}
	return b.checkPayload(p)
}

func (b *JetStream) checkPayload(p *stored) error {
	size := p.send.Size()
	if size <= b.maxPayload {
		return nil
	}
	return &broker.FieldError{
		Field: "Body", Value: fmt.Sprintf("%d bytes", size), TooLarge: true,
		Limit: fmt.Sprintf("at most %d bytes with the headers (the server's max_payload)", b.maxPayload),
	}
}

// headerSize is that of headers as they are written, the server's in pairs.
func headerSize(h broker.Header, controls []string) int64 {
	return plusControls(natsrules.Size(&broker.Message{Header: h}), controls)
}

// plusControls adds the server's to the size of headers.
func plusControls(size int64, controls []string) int64 {
	if size == 0 && len(controls) > 0 {
		size = int64(len("NATS/1.0\r\n\r\n"))
	}
	for i := 0; i < len(controls); i += 2 {
		size += int64(len(controls[i]) + len(controls[i+1]) + len(": \r\n"))
	}
	return size
}

// schedule makes a message wait in its stream.
func (b *JetStream) schedule(m *broker.Message, p *stored) error {
	s := b.streamOf(p.send.Subject)
	if s == nil {
		return noStream(p.name)
	}
	if err := s.checkSchedules(); err != nil {
		return err
	}
	then := p.send
	scheduler := natsrules.SchedulePrefix(s.Name) + rand.Text()
	p.send.Subject, p.send.TTL = scheduler, 0
	p.send.After, p.send.Then = m.Delay, &then
	then.DedupID, then.Expect = "", stream.Expectation{}
	controls := []string{"Nats-Scheduler", scheduler, "Nats-Schedule-Next", "purge"}
	then.HeaderSize = headerSize(m.Header, controls)
	return nil
}

func (c *StreamConfig) checkSchedules() error {
	return natsrules.CheckSchedules(c.Name, c.Subjects, c.AllowMsgSchedules, c.Retention == InterestRetention)
}

// ScheduleSubject is the subject that a stream must capture, in addition to its
// own, for messages with a Delay to be published to it. A consumer of such a
// stream should have a filter, or it also receives the waiting messages.
func ScheduleSubject(stream string) string { return natsrules.ScheduleSubject(stream) }

// readControls takes the headers that are the server's, and returns a copy of the
// others.
func readControls(h broker.Header, m *stream.Send) (broker.Header, error) {
	if len(h) == 0 {
		return nil, nil
	}
	rest, x := maps.Clone(h), &m.Expect
	for key, value := range h {
		if !strings.HasPrefix(key, natsrules.ControlPrefix) {
			continue
		}
		delete(rest, key)
		var err error
		switch key {
		case "Nats-Expected-Stream":
			x.Stream = &value
		case "Nats-Expected-Last-Msg-Id":
			x.LastID = &value
		case "Nats-Expected-Last-Sequence":
			x.LastSeq, err = number(key, value)
		case "Nats-Expected-Last-Subject-Sequence":
			x.LastSubjectSeq, err = number(key, value)
		case natsrules.RollupHeader:
			m.Rollup = stream.RollupSubject
			if value == natsrules.RollupAll {
				m.Rollup = stream.RollupAll
			}
		default:
			err = &broker.UnsupportedError{Backend: backend, What: "header " + key, Why: "memory does not simulate it"}
		}
		if err != nil {
			return nil, err
		}
	}
	return rest, nil
}

func number(key, value string) (*uint64, error) {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil {
		return nil, &broker.FieldError{Field: "Header[" + key + "]", Value: value, Limit: "a number"}
	}
	return &n, nil
}

// storeAwaiting stores, as StreamWait says.
func (b *JetStream) storeAwaiting(ctx context.Context, p *stored) (stream.Sent, error) {
	sent, err := b.store(p)
	if b.streamWait == 0 || !errors.Is(err, errNoStream) {
		return sent, err
	}
	deadline := time.Now().Add(b.streamWait)
	for time.Now().Add(streamPause).Before(deadline) && b.pause(ctx) {
		if sent, err = b.store(p); !errors.Is(err, errNoStream) {
			break
		}
	}
	return sent, err
}

// pause reports false if the call is over before.
func (b *JetStream) pause(ctx context.Context) bool {
	timer := time.NewTimer(streamPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-b.over:
	}
	return false
}

// store hands a message to its stream.
func (b *JetStream) store(p *stored) (stream.Sent, error) {
	b.activity.begun.Add(1)
	sent, err := b.engine.Publish(&p.send)
	if err != nil {
		return sent, p.refused(err)
	}
	return sent, nil
}

// refused is what a stream would not store.
func (p *stored) refused(err error) error {
	_, unexpected := errors.AsType[*stream.ExpectationError](err)
	switch {
	case errors.Is(err, stream.ErrNotCaptured):
		return noStream(p.name)
	case errors.Is(err, stream.ErrTooLarge):
		return failed(OpPublish, p.name, broker.ErrTooLarge, &broker.FieldError{
			Field: "Body", Value: fmt.Sprintf("%d bytes", p.send.Size()), Limit: "at most the stream's max_msg_size, headers included", TooLarge: true,
		})
	case errors.Is(err, stream.ErrHeaderTooLarge):
		return failed(OpPublish, p.name, broker.ErrTooLarge, &broker.FieldError{
			Field: "Header", Value: fmt.Sprintf("%d bytes", p.send.HeaderSize), TooLarge: true,
			Limit: fmt.Sprintf("at most %d bytes of headers", natsrules.MaxJetStreamHeaders),
		})
	case errors.Is(err, stream.ErrNoTTL):
		return natsrules.NoTTL("the stream does not allow it (" + err.Error() + ")")
	case errors.Is(err, stream.ErrNoRollup), errors.Is(err, stream.ErrLateRollup):
		return natsrules.NoRollup("the stream does not allow it (" + err.Error() + ")")
	case errors.Is(err, stream.ErrNoAtomic):
		return natsrules.NoAtomic("the stream does not allow it (" + err.Error() + ")")
	case errors.Is(err, stream.ErrDuplicate):
		return failed(OpPublish, p.name, ErrDuplicate, err)
	case errors.Is(err, stream.ErrFull):
		return &broker.Error{
			Backend: backend, Op: string(OpPublish), Subject: p.name, Kind: broker.ErrThrottled, Err: fmt.Errorf("%w: %w", ErrFull, err), Retryable: true,
		}
	case unexpected:
		return failed(OpPublish, p.name, ErrExpectation, err)
	}
	return streamFailed(OpPublish, p.name, err)
}

func noStream(name string) error {
	return &broker.Error{Backend: backend, Op: string(OpPublish), Subject: name, Kind: broker.ErrNotFound, Err: errNoStream, Retryable: true}
}

// unanswered waits for an answer that does not come.
func (b *JetStream) unanswered(ctx context.Context, name string) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, b.timeout)
		defer cancel()
	}
	var err error
	select {
	case <-ctx.Done():
		err = failed(OpPublish, name, nil, ctx.Err())
	case <-b.over:
		err = failed(OpPublish, name, broker.ErrClosed, nil)
	}
	e, _ := errors.AsType[*broker.Error](err)
	e.OutcomeUnknown = true
	return e
}

func receiptOf(sent stream.Sent) broker.Receipt {
	r := broker.Receipt{
		Outcome: broker.OutcomeStored, ID: messageID(sent.Stream, sent.Seq), Sequence: broker.NewSequence(sent.Seq),
	}
	if sent.Duplicate {
		r.Outcome = broker.OutcomeDuplicate
	}
	return r
}

// messageID is the id of a stored message, in receipts and deliveries.
func messageID(stream string, sequence uint64) string {
	return stream + ":" + strconv.FormatUint(sequence, 10)
}

// PublishBatch implements [broker.Publisher], as natsbroker.JetStream with a
// MaxInFlight of 1: one message after the other, and after a failure no further
// message of its subject. If any message is refused as bad input, none is sent.
// StreamWait does not apply.
func (b *JetStream) PublishBatch(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
	receipts, errs := make([]broker.Receipt, len(ms)), make([]error, len(ms))
	if err := b.open(ctx, OpPublish, ""); err != nil {
		return receipts, err
	}
	all := make([]stored, len(ms))
	for i, m := range ms {
		errs[i] = b.prepare(&m, &all[i])
	}
	if err := skipRest(errs, ms); err != nil {
		return receipts, err
	}
	broken := map[string]error{} // the failures, by subject
	for i := range all {
		p, native := &all[i], b.address(ms[i].Subject)
		if behind := cmp.Or(broken[native], ctx.Err()); behind != nil {
			errs[i] = skipped(p.name, behind)
			continue
		}
		if receipts[i], errs[i] = b.storeOne(ctx, p); errs[i] != nil {
			broken[native] = errs[i]
		}
	}
	return receipts, broker.NewBatchError(errs)
}

// skipRest is the error of a batch of which some messages are refused, nil if none
// is.
func skipRest(errs []error, ms []broker.Message) error {
	err := broker.NewBatchError(errs)
	if err == nil {
		return nil
	}
	for i := range errs {
		if errs[i] == nil {
			errs[i] = skipped(ms[i].Subject, err)
		}
	}
	return broker.NewBatchError(errs)
}

func (b *JetStream) storeOne(ctx context.Context, p *stored) (broker.Receipt, error) {
	if err := b.failure(OpPublish); err != nil {
		return broker.Receipt{}, err
	}
	sent, err := b.store(p)
	switch {
	case err != nil:
		return broker.Receipt{}, err
	case sent.NoAck:
		return broker.Receipt{}, b.unanswered(ctx, p.name)
	}
	return receiptOf(sent), nil
}
