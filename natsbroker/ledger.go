package natsbroker

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
)

// Loss counts messages by the effect that losing a connection had on them. The
// connection itself counts what is sent, so the count includes requests, and
// messages published by others who share the connection.
type Loss struct {
	// Uncertain is the number of messages that were handed to a connection that
	// was lost before a round trip confirmed them: each may or may not have
	// arrived.
	Uncertain uint64
	// Discarded is the number of messages that waited in the client's buffer
	// for a reconnect when the connection was closed: none of them was sent.
	Discarded uint64
}

func (l Loss) minus(m Loss) Loss { return Loss{l.Uncertain - m.Uncertain, l.Discarded - m.Discarded} }

// LossError is a Loss that Flush or Close reports, of a [Broker] or a
// [JetStream].
type LossError struct{ Loss }

// Error returns a text with the counts.
func (e *LossError) Error() string {
	var parts []string
	if e.Uncertain > 0 {
		parts = append(parts, fmt.Sprintf("%d messages were sent on a connection that was lost, and may not have arrived", e.Uncertain))
	}
	if e.Discarded > 0 {
		parts = append(parts, fmt.Sprintf("%d messages that waited for a reconnect were discarded", e.Discarded))
	}
	return strings.Join(parts, "; ")
}

// ledger accounts for the messages sent on a connection: confirmed by a round
// trip, of unknown fate, or discarded. nats.go reports none of that; it counts
// the messages it has taken, and reports when the connection is lost and
// re-established.
type ledger struct {
	conn *nats.Conn
	made chan nats.Status // times that the connection was established, not recorded yet
	lost chan nats.Status // times that it was lost or could not be established, not recorded yet

	entering atomic.Bool // a goroutine is recording

	mu      sync.Mutex
	open    bool   // something was published by the Broker, or settled unconfirmed
	settled uint64 // messages counted as sent whose fate is recorded
	down    bool   // sent messages wait in the client's buffer
	losses  uint64 // times that the connection was lost
	total   Loss
	flushed Loss // as reported by Flush
	told    Loss // as reported to OnLoss
}

func newLedger(nc *nats.Conn) *ledger {
	l := &ledger{conn: nc, made: nc.StatusChanged(nats.CONNECTED), lost: nc.StatusChanged(nats.RECONNECTING, nats.CLOSED)}
	l.down = !isUp(nc.Status())
	return l
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
	l.down = !isUp(l.conn.Status())
}

// note records a lost connection, if there was one, before more is counted as
// sent: whoever records it now counts the messages sent so far. It is cheap if
// none was lost.
func (l *ledger) note() {
	if len(l.lost) == 0 && !l.entering.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enter()
}

// enter records what has happened since the last time. nats.go drops events for
// which a listener has no room, so only whether there were any matters, not
// their order. The caller holds mu.
func (l *ledger) enter() {
	l.entering.Store(true) // before anything is taken from the channels
	defer l.entering.Store(false)
	made, lost, status := l.happened()
	if made+lost == 0 {
		return
	}
	connections := made // since the last time
	if !l.down && lost > 0 {
		connections++ // the one from before
	}
	l.down = !isUp(status)
	switch {
	case connections > 1, connections == 1 && l.down:
		l.total.Uncertain += l.settle()
	case status == nats.CLOSED:
		l.total.Discarded += l.settle()
	default: // Waiting messages were sent and are unconfirmed, or there was no connection and they still wait.
		return
	}
	l.losses++
}

// happened returns how often the connection was established, how often it was
// lost or could not be established, and its status after that.
func (l *ledger) happened() (made, lost int, status nats.Status) {
	for again := true; again; again = len(l.made)+len(l.lost) > 0 {
		made += drain(l.made)
		lost += drain(l.lost)
		// The connection's lock is held while its listeners are notified, one
		// after the other: once it is free, an event that another listener has
		// received is here too.
		status = l.conn.Status()
	}
	return made, lost, status
}

// drain empties a channel that nobody else receives from.
func drain(events <-chan nats.Status) (n int) {
	for ; len(events) > 0; n++ {
		<-events
	}
	return n
}

// isUp reports whether messages are sent at once.
func isUp(status nats.Status) bool {
	return status == nats.CONNECTED || status == nats.DRAINING_SUBS || status == nats.DRAINING_PUBS
}

// settle returns how many messages are newly settled.
func (l *ledger) settle() (n uint64) {
	sent := l.conn.Stats().OutMsgs
	if l.open {
		n = sent - l.settled
	}
	l.settled = sent
	return n
}

// mark is a moment before a round trip.
type mark struct{ sent, losses uint64 }

func (l *ledger) mark() mark {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enter()
	return mark{l.conn.Stats().OutMsgs, l.losses}
}

// confirm records that a round trip was made since m. It reports whether that
// proves anything: it does not if the connection was lost in the meantime.
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

// unconfirmed returns how many messages no round trip has confirmed yet.
func (l *ledger) unconfirmed() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enter()
	if !l.open || l.down {
		return 0
	}
	return l.conn.Stats().OutMsgs - l.settled
}

// forFlush returns the loss that no flush has reported yet, and marks it as
// reported.
func (l *ledger) forFlush() Loss { return l.tell(&l.flushed) }

// forHook returns the loss that OnLoss has not been called with yet, and marks
// it as reported.
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

// stop ends the account. Earlier events are still recorded.
func (l *ledger) stop() {
	l.conn.RemoveStatusListener(l.made)
	l.conn.RemoveStatusListener(l.lost)
}
