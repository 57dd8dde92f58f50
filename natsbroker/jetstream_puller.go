package natsbroker

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// puller is a subscription for the answers to successive requests for messages,
// each with a reply address of its own, so that an answer to an earlier one is
// recognized: a server that was frozen may give it late. A puller has no
// goroutine. After a request that was given up it is not reused, since more
// messages may come.
type puller struct {
	inbox string // what the reply addresses begin with
	asked uint64 // requests
	sub   *nats.Subscription
	from  chan *nats.Msg
	down  chan nats.Status // rings when the connection breaks
	timer *time.Timer
}

// idlePullers is how many a consumer keeps for its next requests: as many as
// there are concurrent receives, up to this.
const idlePullers = 8

// puller returns one that is unused and to which nothing has come in the
// meantime: a message would belong to a request that is over.
func (j *JetStream) puller(q *queue) (*puller, error) {
	for {
		p := j.idlePuller(q)
		if p == nil {
			return j.newPuller()
		}
		for len(p.down) > 0 { // of a break that is over
			<-p.down
		}
		switch {
		case !j.conn.IsConnected():
			j.keep(q, p)
			return nil, j.down()
		case len(p.from) > 0:
			j.discard(p)
		default:
			return p, nil
		}
	}
}

// idlePuller takes a kept puller, or returns nil if there is none.
func (j *JetStream) idlePuller(q *queue) *puller {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := len(q.idle)
	if n == 0 {
		return nil
	}
	p := q.idle[n-1]
	q.idle[n-1] = nil
	q.idle = q.idle[:n-1]
	return p
}

func (j *JetStream) newPuller() (*puller, error) {
	p := &puller{inbox: j.conn.NewInbox() + ".", from: make(chan *nats.Msg, maxPull+spareRoom), timer: time.NewTimer(pullSlack)}
	var err error
	if p.sub, err = j.conn.ChanSubscribe(p.inbox+"*", p.from); err != nil {
		return nil, err
	}
	p.down = j.conn.StatusChanged(nats.RECONNECTING, nats.CLOSED)
	return p, nil
}

// replyTo returns the reply address of the next request.
func (p *puller) replyTo() string {
	p.asked++
	var room [64]byte // on the stack: one allocation for the whole
	return string(strconv.AppendUint(append(room[:0], p.inbox...), p.asked, 36))
}

// keep keeps a puller for the next request.
func (j *JetStream) keep(q *queue, p *puller) {
	p.timer.Stop()
	j.mu.Lock()
	kept := j.life.Err() == nil && j.queues[q.consumerName] == q && len(q.idle) < idlePullers
	if kept {
		q.idle = append(q.idle, p)
	}
	j.mu.Unlock()
	if !kept {
		j.discard(p)
	}
}

// discard ends a puller.
func (j *JetStream) discard(p *puller) {
	p.timer.Stop()
	j.conn.RemoveStatusListener(p.down)
	_ = p.sub.Unsubscribe() // on a closed connection there is nothing to undo
}

// discardIdle ends the pullers that a consumer keeps.
func (j *JetStream) discardIdle(q *queue) {
	j.mu.Lock()
	idle := q.idle
	q.idle = nil
	j.mu.Unlock()
	for _, p := range idle {
		j.discard(p)
	}
}
