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

// answers is one subscription for the answers to everything that a JetStream
// asks: acknowledgements of publishes, confirmations of settlements. One inbox
// for all lets a call send many requests before it waits for the first answer.
type answers struct {
	conn    *nats.Conn
	stopped chan struct{}

	mu      sync.Mutex
	sub     *nats.Subscription // made with the first request
	prefix  string
	last    uint64
	waiting map[uint64]slot
	over    bool
}

// slot is where the answer to one request goes.
type slot struct {
	to    chan<- answer // has room for it
	index int
	// ack: only JetStream's own acknowledgement counts. A responder on the same
	// subject may answer first, and is not listened to.
	ack bool
}

type answer struct {
	index int
	msg   *nats.Msg
}

func (a *answers) init(nc *nats.Conn) {
	a.conn = nc
	a.stopped = make(chan struct{})
	a.waiting = map[uint64]slot{}
}

// expect reserves the answer to one request and returns its reply address.
func (a *answers) expect(s slot) (token uint64, replyTo string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.open(); err != nil {
		return 0, "", err
	}
	a.last++
	a.waiting[a.last] = s
	return a.last, a.prefix + strconv.FormatUint(a.last, 36), nil
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
	a.sub, a.prefix = sub, prefix
	return nil
}

// route hands an answer over. It runs on nats.go's goroutine and never blocks.
func (a *answers) route(msg *nats.Msg) {
	token, err := strconv.ParseUint(msg.Subject[strings.LastIndexByte(msg.Subject, '.')+1:], 36, 64)
	if err != nil {
		return
	}
	a.mu.Lock()
	s, ok := a.waiting[token]
	if ok && s.ack && !isAck(msg) {
		ok = false
	} else {
		delete(a.waiting, token)
	}
	a.mu.Unlock()
	if ok {
		s.to <- answer{s.index, msg}
	}
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
	if a.over {
		return
	}
	a.over = true
	close(a.stopped)
	if a.sub != nil {
		_ = a.sub.Unsubscribe() // on a closed connection there is nothing to undo
	}
}

// wait waits for the next answer.
func (a *answers) wait(ctx context.Context, from <-chan answer, late <-chan time.Time) (answer, error) {
	select {
	case got := <-from:
		return got, nil
	default:
	}
	select {
	case got := <-from:
		return got, nil
	case <-ctx.Done():
		return answer{}, ctx.Err()
	case <-late:
		return answer{}, context.DeadlineExceeded
	case <-a.stopped:
		return answer{}, nats.ErrConnectionClosed
	}
}

const (
	statusHeader   = "Status"
	noResponders   = "503"
	noMessages     = "404"
	requestTimeout = "408"
	conflict       = "409"
	idleHeartbeat  = "100"
)

// isAck reports whether a message can be an answer of JetStream.
func isAck(msg *nats.Msg) bool {
	if len(msg.Data) == 0 {
		return msg.Header.Get(statusHeader) == noResponders
	}
	return msg.Data[0] == '{' && (bytes.Contains(msg.Data, []byte(`"stream":`)) || bytes.Contains(msg.Data, []byte(`"error":`)))
}

// unanswered reports whether the server said that nobody takes the request.
func unanswered(msg *nats.Msg) bool {
	return len(msg.Data) == 0 && msg.Header.Get(statusHeader) == noResponders
}
