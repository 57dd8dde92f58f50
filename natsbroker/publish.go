package natsbroker

import (
	"context"
	"errors"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// Publish hands the message to the client's write buffer and returns
// [broker.OutcomeSent]. It honours ReplyTo; of the other optional fields core
// NATS can honour none. Body and headers together may have as many bytes as
// the server's max_payload allows.
//
// While the connection is down, messages wait in the client's buffer (8 MiB
// unless the connection's owner changed nats.ReconnectBufSize) and are sent
// after the reconnect; once that is full, Publish fails with
// [broker.ErrUnavailable]. Before the very first connection it fails so at
// once. It blocks only while the peer does not read, for at most
// nats.FlusherTimeout (5 s on a connection made by Connect); ctx does not
// shorten that.
func (b *Broker) Publish(ctx context.Context, m broker.Message) (broker.Receipt, error) {
	const op = "publish"
	if err := b.ready(ctx, op, m.Subject); err != nil {
		return broker.Receipt{}, err
	}
	native, err := b.prepare(&m)
	if err != nil {
		return broker.Receipt{}, err
	}
	if err := b.send(op, native, &m); err != nil {
		return broker.Receipt{}, err
	}
	return broker.Receipt{Outcome: broker.OutcomeSent}, nil
}

// send publishes a prepared message.
func (b *Broker) send(op, native string, m *broker.Message) error {
	if !b.connected.Load() {
		if err := b.checkSize(m); err != nil {
			return b.sendFailure(op, m, err)
		}
	}
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

// sendFailure tells what was certainly not sent from what may have been.
func (b *Broker) sendFailure(op string, m *broker.Message, err error) error {
	if errors.Is(err, broker.ErrInvalid) {
		return err
	}
	if errors.Is(err, nats.ErrMaxPayload) {
		return natsrules.TooLarge(m, b.conn.MaxPayload())
	}
	e := b.failure(op, m.Subject, err)
	// A failed write to the socket may have got a part through.
	e.OutcomeUnknown = e.Kind == nil || errors.Is(e.Kind, broker.ErrUnavailable) && !notSent(err)
	return e
}

// notSent is known of what nats.go refuses before it writes.
func notSent(err error) bool {
	return errors.Is(err, nats.ErrReconnectBufExceeded) || errors.Is(err, nats.ErrDisconnected)
}

// PublishBatch publishes the messages one after the other. There is nothing to
// gain over calls of Publish but that all are checked first: one that is
// refused keeps the whole batch from being sent, and the others' errors match
// [broker.ErrSkipped].
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
	var failed map[string]bool // subjects
	for i := range batch {
		m, native := &batch[i].Message, batch[i].native
		if failed[native] {
			errs[i] = skipped(m.Subject)
			continue
		}
		if errs[i] = b.send(op, native, m); errs[i] != nil {
			if failed == nil {
				failed = map[string]bool{}
			}
			failed[native] = true
			continue
		}
		receipts[i].Outcome = broker.OutcomeSent
	}
	return receipts, broker.NewBatchError(errs)
}

// prepared is a message that was checked, with its native subject.
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
			errs[i] = skipped(ms[i].Subject)
		}
	}
	return nil, err
}

func skipped(subject string) error {
	return &broker.Error{Backend: backend, Op: "publish", Subject: subject, Kind: broker.ErrSkipped, Retryable: true}
}
