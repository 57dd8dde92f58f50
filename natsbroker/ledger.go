package natsbroker

import (
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// Loss counts messages by what the loss of a connection did to them. The
// connection itself counts what is sent, so requests count too, and what others
// published who share it.
type Loss struct {
	// Uncertain messages had been handed to a connection that was lost before a
	// round trip confirmed them: each of them has arrived or has not.
	Uncertain uint64
	// Discarded messages waited in the client's buffer for a reconnect when the
	// connection was closed: none of them was sent.
	Discarded uint64
}

func (l Loss) minus(m Loss) Loss { return Loss{l.Uncertain - m.Uncertain, l.Discarded - m.Discarded} }

// LossError is a Loss that Flush or Close has found, of a [Broker] or a
// [JetStream].
type LossError struct{ Loss }

// Error tells the numbers.
func (e *LossError) Error() string {
	var parts []string
	if e.Uncertain > 0 {
		parts = append(parts, fmt.Sprintf("of %d messages sent on a connection that was lost, nobody knows whether they arrived", e.Uncertain))
	}
	if e.Discarded > 0 {
		parts = append(parts, fmt.Sprintf("%d messages that waited for a reconnect were discarded", e.Discarded))
	}
	return strings.Join(parts, "; ")
}

// ledger accounts for what is sent on a connection: confirmed by a round trip,
// of unknown fate, discarded. nats.go tells none of that; it counts what it has
// taken, and tells when the connection is lost and made again.
type ledger struct {
	conn   *nats.Conn
	events chan nats.Status // states that are not entered yet

	mu      sync.Mutex
	open    bool   // something was published by the Broker, or settled unconfirmed
	settled uint64 // of what the connection counts as sent: that, whose fate is entered
	down    bool   // what is sent waits in the client's buffer
	losses  uint64 // times that the connection was lost
	total   Loss
	flushed Loss // as Flush has told it
	told    Loss // as OnLoss was told
}

func newLedger(nc *nats.Conn) *ledger {
	return &ledger{conn: nc, events: nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.CLOSED)}
}

// start begins the account: a Broker that publishes nothing has nothing to
// lose, whatever others send on its connection.
func (l *ledger) start() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open {
		return
	}
	l.enter()
	l.open = true
	l.settled = l.conn.Stats().OutMsgs
	l.down = !l.conn.IsConnected()
}

// note enters what has happened. It is cheap where nothing has.
func (l *ledger) note() {
	if len(l.events) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enter()
}

// enter enters the states in their order. The caller holds mu.
func (l *ledger) enter() {
	// The connection's lock is held while its listeners are told, one after the
	// other: behind it, an event that somebody else has got is here too.
	status := l.conn.Status()
	if len(l.events) == cap(l.events) {
		l.enterMissed(status)
		return
	}
	for {
		select {
		case status, ok := <-l.events:
			if !ok {
				return
			}
			l.apply(status)
		default:
			return
		}
	}
}

// enterMissed is for states of which nats.go has dropped some: the connection
// was lost, and what is the case now is known.
func (l *ledger) enterMissed(status nats.Status) {
	for len(l.events) > 0 {
		<-l.events
	}
	l.apply(nats.RECONNECTING)
	if status != nats.RECONNECTING {
		l.apply(status)
	}
}

func (l *ledger) apply(status nats.Status) {
	sent := l.conn.Stats().OutMsgs
	unsettled := sent - l.settled
	if !l.open {
		unsettled = 0
	}
	switch {
	case status == nats.CONNECTED: // what waited is sent, and confirmed by nobody yet
		l.down = false
		return
	case status == nats.CLOSED && l.down:
		l.total.Discarded += unsettled
	default:
		l.total.Uncertain += unsettled
	}
	l.settled = sent
	l.down = true
	l.losses++
}

// mark is a moment before a round trip.
type mark struct{ sent, losses uint64 }

func (l *ledger) mark() mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enter()
	return mark{l.conn.Stats().OutMsgs, l.losses}
}

// confirm enters that a round trip was made since m. It reports whether that
// says anything: not if the connection was lost meanwhile.
func (l *ledger) confirm(m mark) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enter()
	if l.losses != m.losses {
		return false
	}
	l.settled = max(l.settled, m.sent)
	return true
}

// unconfirmed is how many messages no round trip has confirmed yet.
func (l *ledger) unconfirmed() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enter()
	if !l.open || l.down {
		return 0
	}
	return l.conn.Stats().OutMsgs - l.settled
}

// forFlush is the loss that no flush has told yet; it is told now.
func (l *ledger) forFlush() Loss { return l.tell(&l.flushed) }

// forHook is the loss that OnLoss was not told of yet; it is told now.
func (l *ledger) forHook() Loss { return l.tell(&l.told) }

func (l *ledger) tell(told *Loss) Loss {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enter()
	fresh := l.total.minus(*told)
	*told = l.total
	return fresh
}

func (l *ledger) now() Loss {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enter()
	return l.total
}

// stop ends the account. What has happened before is still entered.
func (l *ledger) stop() { l.conn.RemoveStatusListener(l.events) }
