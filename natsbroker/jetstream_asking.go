package natsbroker

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
)

const (
	// pullSlack is how late the end of a request, or the rest of a batch, may
	// come before it is considered lost.
	pullSlack = 2 * time.Second
	// shortSlack is how long a request that does not wait for messages may go
	// without an answer.
	shortSlack = 100 * time.Millisecond
	// firstQuiet is how long it may be quiet within a batch before the consumer
	// is asked why.
	firstQuiet = 10 * time.Millisecond
	// restFlush bounds receiving the messages in transit when a request is
	// given up.
	restFlush = time.Second
)

var (
	errNoAnswer = errors.New("no answer to the request for messages")
	errHeldBack = errors.New("max_ack_pending holds back the rest of the batch")
)

// asking is one request for messages in progress. If there are fewer messages
// than were asked for, the server ends the request with a status, and after a
// message only that status means that no more will come: a gap between two
// messages may be a slow link, and messages given up in it are leased to
// nobody.
//
// One case has no such status. A server that max_ack_pending keeps from sending
// the rest leaves the request open until it expires or a message is settled. So
// when it is quiet within a batch, the consumer is asked for its state, and the
// answer comes to the same address.
type asking struct {
	*receive
	*puller
	batch  int
	noWait bool
	reply  string        // the address for answers
	sent   time.Time     // the request
	quiet  time.Duration // how long it may be quiet within the batch
	asked  bool          // for the consumer's state, which is to come
	held   bool          // by max_ack_pending, as that said
	pulled
}

// collect takes messages until the server has reported the end. patience is for
// the first message.
func (a *asking) collect(ctx context.Context, patience time.Duration) error {
	a.timer.Reset(patience)
	for {
		msg, err := a.next(ctx)
		if err != nil {
			a.giveUp()
			return err
		}
		over, err := a.take(msg)
		if over {
			a.over(err)
			return err
		}
	}
}

// next waits for a message from the server, or the status that ends the
// request.
func (a *asking) next(ctx context.Context) (*nats.Msg, error) {
	for {
		msg, err := a.await(ctx)
		if err != nil || !a.isState(msg) {
			a.held = false
			return msg, err
		}
		a.asked = false
		full, delivered := readState(msg)
		switch {
		case !full:
			a.held = false
			a.quiet *= 2 // more is to come, only slowly
		case a.held || delivered == a.last():
			return nil, errHeldBack
		default:
			a.held = true // some of it may still be on its way to us: look again
		}
	}
}

// last is the consumer's own number of the last message received.
func (a *asking) last() uint64 {
	at, _ := parsePosition(a.msgs[len(a.msgs)-1].Reply)
	return at.consumed
}

// await waits for the server's next message.
func (a *asking) await(ctx context.Context) (*nats.Msg, error) {
	select {
	case msg := <-a.from:
		return msg, nil
	default:
	}
	if len(a.msgs) > 0 {
		a.timer.Reset(a.quietFor())
	}
	for {
		select {
		case msg := <-a.from:
			return msg, nil
		case <-a.timer.C:
			if !a.askState() {
				return nil, errNoAnswer
			}
			a.timer.Reset(pullSlack)
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-a.life.Done():
			return nil, nats.ErrConnectionClosed
		case <-a.down:
			return nil, a.JetStream.down()
		}
	}
}

// mayBeHeld reports whether max_ack_pending may keep the server from sending the
// rest.
func (a *asking) mayBeHeld() bool {
	return len(a.msgs) > 0 && a.facts.maxPending > 0 && !a.asked && a.quiet < pullSlack
}

// quietFor returns how long it may be quiet after a message.
func (a *asking) quietFor() time.Duration {
	if a.mayBeHeld() {
		return a.quiet
	}
	return pullSlack
}

// askState asks for the consumer's state, if that may explain the quiet.
func (a *asking) askState() bool {
	if !a.mayBeHeld() {
		return false
	}
	a.asked = a.conn.PublishRequest(a.queue.info, a.reply, nil) == nil
	return a.asked
}

// isState distinguishes the consumer's state from a delivery, which has a reply
// address.
func (a *asking) isState(msg *nats.Msg) bool {
	return a.asked && msg.Reply == "" && len(msg.Data) > 0
}

// readState reads whether the consumer has as many leased messages as it may,
// and how many messages it has sent. An answer that cannot be parsed means
// neither.
func readState(msg *nats.Msg) (full bool, delivered uint64) {
	var state struct {
		Pending   int `json:"num_ack_pending"`
		Delivered struct {
			Consumer uint64 `json:"consumer_seq"`
		} `json:"delivered"`
		Config struct {
			MaxPending int `json:"max_ack_pending"`
		} `json:"config"`
	}
	err := json.Unmarshal(msg.Data, &state)
	return err == nil && state.Config.MaxPending > 0 && state.Pending >= state.Config.MaxPending, state.Delivered.Consumer
}

// over records the end of a request as reported by the server.
func (a *asking) over(err error) {
	if !a.asked && (err == nil || a.noWait && errors.Is(err, errOthersWait)) {
		a.keep(a.queue, a.puller)
		return
	}
	a.discard(a.puller)
}

// take reports whether the request is over.
func (a *asking) take(msg *nats.Msg) (over bool, err error) {
	word := status(msg)
	switch {
	case word == "":
		if a.since.IsZero() {
			a.since = a.leasedSince(time.Now())
		}
		a.msgs = append(a.msgs, msg)
		return len(a.msgs) == a.batch, nil
	case word == idleHeartbeat, msg.Subject != a.reply: // the latter is about an earlier request
		return false, nil
	}
	return true, statusError(word, msg.Header.Get("Description"))
}

// leasedSince returns the moment from which the lease of a message arriving now
// is counted. The server counts from when it sent the message, which was after
// the request: that moment is safe, unless the message has been waited for and
// little of the lease would be left.
func (a *asking) leasedSince(now time.Time) time.Time {
	if now.Sub(a.sent) < a.facts.lease(1)/4 {
		return a.sent
	}
	return now
}

// giveUp ends a request that is not over. Messages that the server has sent by
// then are received, since they are leased to nobody else: the round trip comes
// after them.
func (a *asking) giveUp() {
	if a.conn.IsConnected() && a.sub.Drain() == nil {
		ctx, cancel := context.WithTimeout(context.Background(), restFlush)
		_ = a.conn.FlushWithContext(ctx) // messages that it does not bring come again
		cancel()
	}
	a.discard(a.puller)
	for {
		select {
		case msg := <-a.from:
			if !a.isState(msg) {
				_, _ = a.take(msg) // it is over anyway
			}
		default:
			return
		}
	}
}

var errOthersWait = errors.New("other requests are waiting for the messages")

// statusError returns the error for a status that the server sends in place of
// messages.
func statusError(word, description string) error {
	switch {
	case word == noMessages:
		return nil
	case word == requestTimeout && description == "Requests Pending":
		return errOthersWait
	case word == requestTimeout:
		return nil
	case word == noResponders:
		return nats.ErrNoResponders
	case word == conflict && description == "Consumer Deleted":
		return errConsumerDeleted
	}
	return &pullError{word + " " + description}
}

// pullError is any other status from the server, such as "409 Leadership
// Change".
type pullError struct{ text string }

func (e *pullError) Error() string { return "the server answered: " + e.text }

// kind is ErrUnavailable for transient errors, such as a change of leader.
func (e *pullError) kind() error {
	if strings.Contains(e.text, "Exceeded") { // MaxWaiting, mostly
		return broker.ErrThrottled
	}
	return broker.ErrUnavailable
}
