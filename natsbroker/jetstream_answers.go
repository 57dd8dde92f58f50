package natsbroker

import (
	"bytes"
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// answers is one subscription for the answers to all requests of a JetStream:
// acknowledgements of publishes and confirmations of settlements. A single
// inbox lets a call send many requests before it waits for the first answer.
type answers struct {
	conn    *nats.Conn
	stopped chan struct{}

	mu      sync.Mutex
	sub     *nats.Subscription // made with the first request
	prefix  string
	last    uint64
	waiting map[uint64]slot
	free    []address // given back; see confirmations
	over    bool
}

// slot is where the answer to one request goes.
type slot struct {
	to    taker
	index int
	// ack means that only JetStream's own acknowledgement counts. A responder
	// on the same subject may answer first, or as well, and is ignored.
	ack bool
}

// taker is given answers. It runs on nats.go's goroutine, under the lock of
// answers, and does not block.
type taker interface {
	take(index int, msg *nats.Msg)
}

// oneByOne is a taker whose owner looks at each answer as it comes. It has room
// for all of them.
type oneByOne chan answer

type answer struct {
	index int
	msg   *nats.Msg
}

func (c oneByOne) take(index int, msg *nats.Msg) { c <- answer{index, msg} }

// address is where the answer to one request is sent.
type address struct {
	token   uint64 // 0: none
	replyTo string
}

func (a *answers) init(nc *nats.Conn) {
	a.conn = nc
	a.stopped = make(chan struct{})
	a.waiting = map[uint64]slot{}
}

// expect reserves an address that nothing else has used for the answers to one
// request: there may be several, of which only one counts.
func (a *answers) expect(s slot) (address, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.open(); err != nil {
		return address{}, err
	}
	to := a.address()
	a.waiting[to.token] = s
	return to, nil
}

// address creates an address. The caller holds mu.
func (a *answers) address() address {
	a.last++
	var room [64]byte // on the stack: one allocation for the whole
	return address{a.last, string(strconv.AppendUint(append(room[:0], a.prefix...), a.last, 36))}
}

// open subscribes. The caller holds mu.
func (a *answers) open() error {
	if a.over {
		return nats.ErrConnectionClosed
	}
	if a.sub != nil {
		return nil
	}
	prefix := a.conn.NewInbox() + "."
	sub, err := a.conn.Subscribe(prefix+"*", a.route)
	if err != nil {
		return err
	}
	if err := sub.SetPendingLimits(-1, -1); err != nil { // bounded by what is asked
		return err
	}
	sub.SetClosedHandler(func(string) { a.end() })
	a.sub, a.prefix = sub, prefix
	return nil
}

// end ends every wait: the subscription is gone, usually because the connection
// was closed for good. On one that is lost and re-established, an answer may
// still come.
func (a *answers) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.endLocked()
}

func (a *answers) endLocked() {
	if !a.over {
		a.over = true
		close(a.stopped)
	}
}

// route hands an answer over. It runs on nats.go's goroutine and never blocks.
func (a *answers) route(msg *nats.Msg) {
	token, err := strconv.ParseUint(msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:], 36, 64)
	if err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	s, ok := a.waiting[token]
	if !ok || s.ack && !isAck(msg) {
		return
	}
	delete(a.waiting, token)
	s.to.take(s.index, msg)
}

// forget gives up an answer.
func (a *answers) forget(token uint64) {
	a.mu.Lock()
	delete(a.waiting, token)
	a.mu.Unlock()
}

// stop ends the subscription and every wait.
func (a *answers) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.endLocked()
	if a.sub != nil {
		_ = a.sub.Unsubscribe() // on a closed connection, or the second time, there is nothing to undo
	}
}

// await waits for what a taker hands over.
func await[T any](ctx context.Context, a *answers, from <-chan T, late <-chan time.Time) (got T, err error) {
	select {
	case got = <-from:
		return got, nil
	default:
	}
	select {
	case got = <-from:
	case <-ctx.Done():
		err = ctx.Err()
	case <-late:
		err = context.DeadlineExceeded
	case <-a.stopped:
		err = nats.ErrConnectionClosed
	}
	return got, err
}

const (
	statusHeader   = "Status"
	noResponders   = "503"
	noMessages     = "404"
	requestTimeout = "408"
	conflict       = "409"
	idleHeartbeat  = "100"
)

// Prefixes of a stream's acknowledgements; that of a refusal has the error. All
// name the stream.
var (
	ackBegin     = []byte(`{"stream":"`)
	refusalBegin = []byte(`{"error":{"code":`)
	ackNumber    = []byte(`"seq":`)
	refusalOf    = []byte(`"stream":"`)
)

// isAck reports whether a message has the form of a JetStream answer. Other
// services answer in JSON too, and with errors.
func isAck(msg *nats.Msg) bool {
	if len(msg.Data) == 0 {
		return msg.Header.Get(statusHeader) == noResponders
	}
	return bytes.HasPrefix(msg.Data, ackBegin) && bytes.Contains(msg.Data, ackNumber) ||
		bytes.HasPrefix(msg.Data, refusalBegin) && bytes.Contains(msg.Data, refusalOf)
}

// unanswered reports whether the server reported that nobody takes the request.
func unanswered(msg *nats.Msg) bool {
	return len(msg.Data) == 0 && msg.Header.Get(statusHeader) == noResponders
}
