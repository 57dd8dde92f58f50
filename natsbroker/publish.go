package natsbroker

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// Publish hands the message to the client's write buffer and returns
// [broker.OutcomeSent]. It honours ReplyTo; core NATS can honour none of the
// other optional fields. Body and headers together may have as many bytes as
// the server's max_payload allows. The headers Nats-Trace-Only and
// Nats-Trace-Dest are refused: with them the server may deliver a message to
// nobody.
//
// While the connection is down, messages wait in the client's buffer (8 MiB
// unless the connection's owner changed nats.ReconnectBufSize) and are sent
// after the reconnect, or discarded if the connection is closed first; once the
// buffer is full, Publish fails with [broker.ErrUnavailable]. With
// [Options].RefuseWhileDown it does so at once, as it does before the very
// first connection. [Broker.Flush], [Broker.Losses] and [Options].OnLoss report
// the fate of messages when a connection was lost. Publish blocks only while
// the peer does not read, for at most nats.FlusherTimeout (5 s on a connection
// made by Connect); ctx does not shorten that.
//
// With [Options].Confirm it waits for a round trip, within ctx (or
// [Options].RequestTimeout if ctx has no deadline), and through a reconnect if
// necessary, and returns [broker.OutcomeReceived]: the server has read the
// message. Whether anybody gets it is not known. If the round trip fails, or
// the connection was lost in the meantime, the error matches
// [broker.ErrOutcomeUnknown].
func (b *Broker) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	const op = "publish"
	if err := b.ready(ctx, op, m.Subject); err != nil {
		return broker.Receipt{}, err
	}
	native, err := b.prepare(&m)
	if err != nil {
		return broker.Receipt{}, err
	}
	if b.confirm {
		return b.publishConfirmed(ctx, native, &m)
	}
	if err := b.send(op, native, &m); err != nil {
		return broker.Receipt{}, err
	}
	return broker.Receipt{Outcome: broker.OutcomeSent}, nil
}

func (b *Broker) publishConfirmed(ctx context.Context, native string, m *broker.Message) (broker.Receipt, error) {
	const op = "publish"
	before := b.ledger.mark()
	if err := b.send(op, native, m); err != nil {
		return broker.Receipt{}, err
	}
	if err := b.awaitReceived(ctx, before); err != nil {
		return broker.Receipt{}, b.unconfirmed(m.Subject, err)
	}
	return broker.Receipt{Outcome: broker.OutcomeReceived}, nil
}

var errConnectionLost = errors.New("the connection was lost after the message was sent on it")

// awaitReceived returns when the server has read the messages sent after before
// was taken.
func (b *Broker) awaitReceived(ctx context.Context, before mark) error {
	ctx, cancel := b.withDeadline(ctx)
	defer cancel()
	if err := b.trips.do(ctx); err != nil {
		return err
	}
	if !b.ledger.confirm(before) {
		return errConnectionLost
	}
	return nil
}

// unconfirmed returns the error of a message that was sent but may not have
// arrived.
func (b *Broker) unconfirmed(subject string, err error) error {
	e := b.uncertain("publish", subject, err)
	switch {
	case errors.Is(err, errConnectionLost):
		e.Kind, e.Retryable = broker.ErrUnavailable, true
	case errors.Is(err, errBrokerClosed):
		e.Kind = broker.ErrClosed
	}
	return e
}

// send publishes a prepared message.
func (b *Broker) send(op, native string, m *broker.Message) error {
	if !b.connected.Load() {
		if err := b.begin(m); err != nil {
			return b.sendFailure(op, m, err)
		}
	}
	b.ledger.note()
	var err error
	switch {
	case len(m.Header) > 0:
		err = b.conn.PublishMsg(nativeMsg(native, m))
	case m.ReplyTo != "":
		err = b.conn.PublishRequest(native, m.ReplyTo, m.Body)
	default:
		err = b.conn.Publish(native, m.Body)
	}
	if err != nil {
		return b.sendFailure(op, m, err)
	}
	return nil
}

// sendFailure distinguishes messages that were certainly not sent from those
// that may have been.
func (b *Broker) sendFailure(op string, m *broker.Message, err error) error {
	if errors.Is(err, broker.ErrInvalid) {
		return err
	}
	if errors.Is(err, nats.ErrMaxPayload) {
		return natsrules.TooLarge(m, b.conn.MaxPayload())
	}
	e := b.failure(op, m.Subject, err)
	// A failed write to the socket may have sent a part.
	e.OutcomeUnknown = e.Kind == nil || errors.Is(e.Kind, broker.ErrUnavailable) && !notSent(err)
	return e
}

// bufferFull adds why nothing can wait for the reconnect.
func (b *Broker) bufferFull(err error) error {
	if size := b.conn.Opts.ReconnectBufSize; size >= 0 {
		return fmt.Errorf("the connection is down, and waiting messages fill the buffer of %d bytes (nats.ReconnectBufSize): %w", size, err)
	}
	return fmt.Errorf("the connection is down, and messages may not wait for it (RefuseWhileDown, nats.ReconnectBufSize): %w", err)
}

// notSent reports whether nats.go refuses before it writes.
func notSent(err error) bool {
	return errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrDisconnected)
}

// PublishBatch publishes the messages one after the other. All are checked
// first: if one is refused, the whole batch is not sent, and the others' errors
// match [broker.ErrSkipped]. With [Options].Confirm, one round trip confirms
// them all.
func (b *Broker) PublishBatch(ctx context.Context, ms []broker.Message) ([]broker.Receipt, error) {
	const op = "publish"
	receipts := make([]broker.Receipt, len(ms))
	if err := b.ready(ctx, op, ""); err != nil {
		return receipts, err
	}
	batch, err := b.prepareBatch(ms)
	if err != nil {
		return receipts, err
	}
	errs := make([]error, len(ms))
	if !b.confirm || len(ms) == 0 {
		b.sendBatch(batch, receipts, errs)
		return receipts, broker.NewBatchError(errs)
	}
	before := b.ledger.mark()
	b.sendBatch(batch, receipts, errs)
	b.confirmBatch(ctx, before, batch, receipts, errs)
	return receipts, broker.NewBatchError(errs)
}

// sendBatch sends the messages whose subject has no earlier failure.
func (b *Broker) sendBatch(batch []prepared, receipts []broker.Receipt, errs []error) {
	var failed map[string]error // by subject
	for i := range batch {
		m, native := &batch[i].Message, batch[i].native
		if failed[native] != nil {
			errs[i] = skipped(backend, m.Subject, failed[native])
			continue
		}
		if errs[i] = b.send("publish", native, m); errs[i] != nil {
			if failed == nil {
				failed = map[string]error{}
			}
			failed[native] = errs[i]
			continue
		}
		receipts[i].Outcome = broker.OutcomeSent
	}
}

// confirmBatch turns the sent messages into received ones, or into ones of
// unknown fate.
func (b *Broker) confirmBatch(ctx context.Context, before mark, batch []prepared, receipts []broker.Receipt, errs []error) {
	err := b.awaitReceived(ctx, before)
	for i := range batch {
		switch {
		case errs[i] != nil:
		case err == nil:
			receipts[i].Outcome = broker.OutcomeReceived
		default:
			receipts[i].Outcome = broker.OutcomeUnknown
			errs[i] = b.unconfirmed(batch[i].Subject, err)
		}
	}
}

// prepared is a checked message with its native subject.
type prepared struct {
	broker.Message
	native string
}

func (b *Broker) prepareBatch(ms []broker.Message) ([]prepared, error) {
	batch := make([]prepared, len(ms))
	errs := make([]error, len(ms))
	for i, m := range ms {
		native, err := b.prepare(&m)
		if err == nil {
			if err = b.checkSize(&m); err != nil {
				err = b.sendFailure("publish", &m, err)
			}
		}
		batch[i], errs[i] = prepared{m, native}, err
	}
	err := broker.NewBatchError(errs)
	if err == nil {
		return batch, nil
	}
	for i := range errs {
		if errs[i] == nil {
			errs[i] = skipped(backend, ms[i].Subject, err)
		}
	}
	return nil, err
}

// skipped returns the error of a message that is not sent because of another
// one's error, and is as retryable as that.
func skipped(backend, subject string, behind error) error {
	e, ok := errors.AsType[*broker.Error](behind)
	return &broker.Error{Backend: backend, Op: "publish", Subject: subject, Kind: broker.ErrSkipped, Retryable: ok && e.Retryable}
}
