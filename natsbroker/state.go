package natsbroker

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
)

// State is the state of a connection.
type State uint8

// States of a connection.
const (
	// StateConnected means that there is a server.
	StateConnected State = iota + 1
	// StateReconnecting means that the server is gone and the client is looking
	// for another. Published messages wait in the client's buffer.
	StateReconnecting
	// StateClosed means that the connection is closed for good.
	StateClosed
)

// String returns the name of the state.
func (s State) String() string {
	switch s {
	case StateConnected:
		return "connected"
	case StateReconnecting:
		return "reconnecting"
	case StateClosed:
		return "closed"
	}
	return "unknown"
}

// stateOf returns 0 for intermediate states.
func stateOf(s nats.Status) State {
	switch s {
	case nats.CONNECTED:
		return StateConnected
	case nats.RECONNECTING:
		return StateReconnecting
	case nats.CLOSED:
		return StateClosed
	}
	return 0
}

// confirmPeriod is how often sent messages are confirmed for OnLoss.
const confirmPeriod = 100 * time.Millisecond

// watch calls back for the connection's states and losses, alongside the
// handlers that the connection's owner has set.
type watch struct {
	broker  *Broker
	onState func(State, error) // nil: not asked for
	onLoss  func(Loss)         // nil: not asked for
	events  chan nats.Status
	life    context.Context // ends with stop
	end     context.CancelFunc
	stopped chan struct{} // closed when the goroutine has ended
}

func newWatch(b *Broker, o *Options) *watch {
	w := &watch{
		broker:  b,
		onState: o.OnState,
		onLoss:  o.OnLoss,
		events:  b.conn.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.CLOSED),
		stopped: make(chan struct{}),
	}
	w.life, w.end = context.WithCancel(context.Background())
	go w.run(stateOf(b.conn.Status()))
	return w
}

// run ends with the connection, or when stop removes the listener.
func (w *watch) run(last State) {
	defer close(w.stopped)
	var due <-chan time.Time
	if w.onLoss != nil {
		tick := time.NewTicker(confirmPeriod)
		defer tick.Stop()
		due = tick.C
	}
	for last != StateClosed {
		select {
		case status, open := <-w.events:
			w.reportLoss()
			if !open {
				return
			}
			last = w.reportLatest(last, status)
		case <-due:
			w.confirm()
		}
	}
}

// confirm makes a round trip if there is something to confirm.
func (w *watch) confirm() {
	if w.broker.ledger.unconfirmed() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(w.life, writeTimeout)
	defer cancel()
	_ = w.broker.trips.do(ctx) // without one, there is more to be uncertain about
}

// reportLoss reports a new loss.
func (w *watch) reportLoss() {
	if w.onLoss == nil {
		return
	}
	if lost := w.broker.ledger.forHook(); lost != (Loss{}) {
		w.onLoss(lost)
	}
}

// reportLatest reports a state and, if it is the last for which nats.go had
// room, the current one: whatever was missed, the last state is reported.
func (w *watch) reportLatest(last State, status nats.Status) State {
	last = w.report(last, stateOf(status))
	if len(w.events) == 0 {
		last = w.report(last, stateOf(w.broker.conn.Status()))
	}
	return last
}

// report reports a state if it is new, and returns the last state reported.
func (w *watch) report(last, state State) State {
	if state == 0 || state == last || last == StateClosed {
		return last
	}
	var err error
	if state != StateConnected {
		err = w.broker.conn.LastError()
	}
	if w.onState != nil {
		w.onState(state, err)
	}
	return state
}

// stop joins the goroutine within ctx. Earlier events are reported first: a
// removed listener still delivers its buffered events.
func (w *watch) stop(ctx context.Context) error {
	w.end()
	w.broker.conn.RemoveStatusListener(w.events)
	select {
	case <-w.stopped:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
