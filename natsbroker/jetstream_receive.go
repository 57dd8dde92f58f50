package natsbroker

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

const (
	// defaultWait is how long a Receive without a Wait option waits.
	defaultWait = 20 * time.Second
	// longestPull is how long one request waits at the server. A longer Wait is
	// several requests: when a leader dies, its waiting requests are lost
	// silently, and no other server knows of them.
	longestPull = 5 * time.Second
	// shortestPull is how long a Wait of 0 waits: a message counts for a
	// consumer a moment after it was acknowledged to its publisher.
	shortestPull = 5 * time.Millisecond
	// maxPull is the most messages to request at a time.
	maxPull = 500
	// spareRoom is for statuses that come in place of messages.
	spareRoom = 4
)

// Receive pulls from a consumer and returns as soon as one message is there,
// with any others that are available at once. It waits 20 s unless
// [broker.Wait], which has no upper limit, says otherwise; Wait(0) waits 5 ms,
// or a tenth of a second where max_ack_pending holds messages back. Everything
// that the server sends is returned, so a slow link makes for slow batches; ask
// for fewer messages if one should not wait for the others. If ctx ends during
// a Receive, messages in transit are taken in for at most a second. Messages
// lost in transit with a connection, messages that in a cluster have not
// reached the connected server when ctx ends, and those that have not come two
// seconds after the message before them, come again when their leases end.
//
// The lease is the consumer's ack_wait, or its backoff for the attempt, as read
// at most a minute ago; [broker.Lease] with any other value is unsupported. On
// a consumer with ack_policy none nothing is leased, and a message is never
// redelivered.
//
// A message whose headers nats.go cannot parse is delivered without them, and
// logged.
//
// A Receive in progress when the broker is closed gives its messages back,
// which counts as an attempt, and fails with [broker.ErrClosed].
//
// While the connection is down Receive waits for the reconnect; if its wait
// ends first, it fails with [broker.ErrUnavailable].
func (j *JetStream) Receive(ctx context.Context, queue string, limit int, opts ...broker.ReceiveOption) ([]*broker.Delivery, error) {
	const op = "receive"
	if err := j.ready(ctx, op, queue); err != nil {
		return nil, err
	}
	r := &receive{JetStream: j, name: queue, limit: limit}
	var optErr error
	r.wait, r.lease, optErr = natsrules.ParseReceive(limit, opts, defaultWait)
	q, err := j.find(queue)
	if err := errors.Join(err, optErr); err != nil {
		return nil, err
	}
	r.queue = q
	ds, err := r.run(ctx)
	switch {
	case len(ds) > 0 || err == nil:
		return ds, nil
	case j.life.Err() != nil:
		return nil, j.closed(op, queue)
	case errors.Is(err, errors.ErrUnsupported):
		return nil, err
	}
	return nil, j.failure(op, queue, err)
}

// receive is one call of Receive.
type receive struct {
	*JetStream
	queue *queue
	name  string
	limit int
	wait  time.Duration
	lease time.Duration // 0: the consumer's
	facts *consumerFacts
}

// run pulls until a message is there or the wait is over.
func (r *receive) run(ctx context.Context) ([]*broker.Delivery, error) {
	end := time.Now().Add(r.wait)
	for {
		ds, err := r.round(ctx, end)
		if len(ds) > 0 || err != nil || !time.Now().Before(end) {
			return ds, err
		}
	}
}

// round makes one request, with the consumer known and the connection up.
func (r *receive) round(ctx context.Context, end time.Time) ([]*broker.Delivery, error) {
	if err := r.awaitConnection(ctx, end); err != nil {
		return nil, err
	}
	facts, err := r.look(ctx, r.queue, fresh)
	if err != nil {
		return nil, err
	}
	r.facts = facts
	if err := r.checkLease(); err != nil {
		return nil, err
	}
	before := r.queue.last.Load()
	p, err := r.take(ctx, end)
	if len(p.msgs) == 0 {
		return nil, r.explain(ctx, err)
	}
	if r.queue.count(before, p.msgs) {
		if anew, err := r.look(ctx, r.queue, 0); err == nil {
			facts, r.facts = anew, anew
		}
	}
	ds := make([]*broker.Delivery, 0, len(p.msgs))
	var exhausted []*broker.Delivery
	for _, msg := range p.msgs {
		d := r.newJSDelivery(r, msg, p.since)
		if facts.dead.MaxAttempts > 0 && d.Attempt > facts.dead.MaxAttempts {
			exhausted = append(exhausted, &d.Delivery)
			continue
		}
		ds = append(ds, &d.Delivery)
	}
	if len(exhausted) > 0 {
		r.moveDeadLetters(ctx, facts.dead.MaxAttempts, exhausted)
	}
	return ds, nil
}

// take pulls. If the broker is closed in the meantime, the messages are given
// back, because nobody could settle them any more. Close waits for that.
func (r *receive) take(ctx context.Context, end time.Time) (pulled, error) {
	r.mu.Lock()
	if r.life.Err() != nil {
		r.mu.Unlock()
		return pulled{}, nats.ErrConnectionClosed
	}
	r.tasks.Add(1)
	r.mu.Unlock()
	defer r.tasks.Done()
	p, err := r.pull(ctx, end)
	if r.life.Err() == nil {
		return p, err
	}
	if r.facts.ackWait > 0 {
		for _, msg := range p.msgs {
			_ = r.conn.Publish(msg.Reply, nakWord) // messages it does not reach come again when their leases end
		}
	}
	return pulled{}, nats.ErrConnectionClosed
}

func (r *receive) checkLease() error {
	if r.lease == 0 || r.lease == r.facts.ackWait && len(r.facts.backoff) == 0 {
		return nil
	}
	return natsrules.LeaseFixed(r.lease, r.queue.consumerName)
}

// awaitConnection waits for the reconnect while the connection is down.
func (r *receive) awaitConnection(ctx context.Context, end time.Time) error {
	if r.conn.IsConnected() {
		return nil
	}
	changed := r.conn.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer r.conn.RemoveStatusListener(changed)
	timer := time.NewTimer(time.Until(end))
	defer timer.Stop()
	for !r.conn.IsConnected() {
		if r.conn.IsClosed() {
			return nats.ErrConnectionClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		case <-r.life.Done():
			return nats.ErrConnectionClosed
		case <-timer.C:
			return nats.ErrDisconnected
		}
	}
	return nil
}

// explain finds out why a request was not answered: the consumer may be gone.
func (r *receive) explain(ctx context.Context, err error) error {
	if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, errConsumerDeleted) {
		if _, why := r.look(ctx, r.queue, 0); why != nil {
			return why
		}
	}
	return err
}

var errConsumerDeleted = errors.New("the consumer was deleted")

// request is a request to the consumer (ADR-13). With no_wait and expires it is
// answered as soon as there is a message, and reports when there are no more;
// with no_wait alone it reports at once that there is none.
type request struct {
	batch   int
	noWait  bool
	expires time.Duration // 0: not said
}

func (q request) body() []byte {
	b := strconv.AppendInt([]byte(`{"batch":`), int64(q.batch), 10)
	if q.noWait {
		b = append(b, `,"no_wait":true`...)
	}
	if q.expires > 0 {
		b = strconv.AppendInt(append(b, `,"expires":`...), q.expires.Nanoseconds(), 10)
	}
	return append(b, '}')
}

// pull makes a request. If another request waits for more messages than there
// are, the server refuses one with no_wait; the second attempt is for one
// message, which needs no end.
func (r *receive) pull(ctx context.Context, end time.Time) (pulled, error) {
	batch := min(r.limit, maxPull)
	if r.facts.maxBatch > 0 {
		batch = min(batch, r.facts.maxBatch)
	}
	if r.facts.maxPending > 0 { // with more than that the request would stay open
		batch = min(batch, r.facts.maxPending)
	}
	wait := min(max(time.Until(end), shortestPull), longestPull)
	if r.facts.maxExpires > 0 {
		wait = min(wait, r.facts.maxExpires)
	}
	msgs, err := r.ask(ctx, request{batch: batch, noWait: true, expires: wait})
	switch {
	case errors.Is(err, errOthersWait):
		msgs, err = r.ask(ctx, request{batch: 1, expires: wait})
	case err == nil && len(msgs.msgs) == 0 && wait == shortestPull && r.wait <= shortestPull:
		msgs, err = r.askWhatThereIs(ctx, batch)
	}
	if errors.Is(err, errOthersWait) { // what there is, is for them
		return msgs, nil
	}
	return msgs, err
}

// askWhatThereIs asks again after a short wait that brought nothing: a busy
// server may not have reached that request before it expired. This one does not
// expire; max_ack_pending may leave it without an answer.
func (r *receive) askWhatThereIs(ctx context.Context, batch int) (pulled, error) {
	msgs, err := r.ask(ctx, request{batch: batch, noWait: true})
	if errors.Is(err, errNoAnswer) {
		err = nil
	}
	return msgs, err
}

// pulled holds the messages of one request, and when their leases began.
type pulled struct {
	msgs  []*nats.Msg
	since time.Time
}

func (r *receive) ask(ctx context.Context, q request) (pulled, error) {
	p, err := r.puller(r.queue)
	if err != nil {
		return pulled{}, err
	}
	a := &asking{receive: r, puller: p, batch: q.batch, noWait: q.noWait, reply: p.replyTo(), sent: time.Now(), quiet: firstQuiet}
	if err := r.conn.PublishRequest(r.queue.next, a.reply, q.body()); err != nil {
		r.discard(p)
		return pulled{}, err
	}
	patience := q.expires + pullSlack
	if q.expires == 0 {
		patience = shortSlack
	}
	if err := a.collect(ctx, patience); err != nil && len(a.msgs) == 0 {
		return pulled{}, err
	}
	return a.pulled, nil
}
