package natsbroker

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

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
	conn *nats.Conn
	made chan nats.Status // times that the connection was made, not entered yet
	lost chan nats.Status // times that it was lost or could not be made, not entered yet

	entering atomic.Bool // somebody does so

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

// note enters what has happened if a connection was lost, before more is counted as
// sent: whoever enters that at this time counts what was sent. It is cheap where
// none was lost.
func (l *ledger) note() {
	if len(l.lost) == 0 && !l.entering.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.enter()
}

// enter enters what has happened since the last time. nats.go drops what a
// listener has no room for, so the order of events is not asked for, only whether
// there were any. The caller holds mu.
func (l *ledger) enter() {
	l.entering.Store(true) // before anything is taken from the channels
	defer l.entering.Store(false)
	made, lost, status := l.happened()
	if made+lost == 0 {
		return
	}
	connections := made // that there were since the last time
	if !l.down && lost > 0 {
		connections++ // the one of then
	}
	l.down = !isUp(status)
	switch {
	case connections > 1, connections == 1 && l.down:
		l.total.Uncertain += l.settle()
	case status == nats.CLOSED:
		l.total.Discarded += l.settle()
	default: // What waited is sent, and confirmed by nobody yet. Or no connection could be made, and it waits on.
		return
	}
	l.losses++
}

// happened is how often the connection was made, how often it was lost or could
// not be made, and what it is after that.
func (l *ledger) happened() (made, lost int, status nats.Status) {
	for again := true; again; again = len(l.made)+len(l.lost) > 0 {
		made += drain(l.made)
		lost += drain(l.lost)
		// The connection's lock is held while its listeners are told, one after the
		// other: behind it, an event that somebody else has got is here too.
		status = l.conn.Status()
	}
	return made, lost, status
}

// drain takes what is in a channel that nobody else receives from.
func drain(events <-chan nats.Status) (n int) {
	for ; len(events) > 0; n++ {
		<-events
	}
	return n
}

// isUp reports whether what is sent is sent at once.
func isUp(status nats.Status) bool {
	return status == nats.CONNECTED || status == nats.DRAINING_SUBS || status == nats.DRAINING_PUBS
}

// settle is how many messages are settled now that were not before.
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
func (l *ledger) stop() {
	l.conn.RemoveStatusListener(l.made)
	l.conn.RemoveStatusListener(l.lost)
}
