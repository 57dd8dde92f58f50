package natsbroker

import (
	"context"

	"github.com/nats-io/nats.go"
)

// State is the state of a connection.
type State uint8

// States of a connection.
const (
	// StateConnected: there is a server.
	StateConnected State = iota + 1
	// StateReconnecting: the server is gone and the client looks for another.
	// What is published waits in the client's buffer.
	StateReconnecting
	// StateClosed: the connection is closed for good.
	StateClosed
)

// String returns the state's word.
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

// stateOf is 0 for the states in between.
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

// watch tells a callback of the connection's states, beside the handlers that
// the connection's owner has set.
type watch struct {
	conn    *nats.Conn
	tell    func(State, error)
	events  chan nats.Status
	stopped chan struct{} // closed when the goroutine has ended
}

func newWatch(nc *nats.Conn, tell func(State, error)) *watch {
	w := &watch{
		conn:    nc,
		tell:    tell,
		events:  nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.CLOSED),
		stopped: make(chan struct{}),
	}
	go w.run(stateOf(nc.Status()))
	return w
}

// run ends with the connection, or when stop removes the listener.
func (w *watch) run(last State) {
	defer close(w.stopped)
	for status := range w.events {
		last = w.report(last, stateOf(status))
		if len(w.events) == 0 {
			// nats.go drops events while the channel is full: whatever was
			// missed, the present state is told.
			last = w.report(last, stateOf(w.conn.Status()))
		}
		if last == StateClosed {
			return
		}
	}
}

// report tells a state that is new, and returns the state told last.
func (w *watch) report(last, state State) State {
	if state == 0 || state == last || last == StateClosed {
		return last
	}
	var err error
	if state != StateConnected {
		err = w.conn.LastError()
	}
	w.tell(state, err)
	return state
}

// stop joins the goroutine within ctx. What happened before is told first: a
// removed listener still gives the events that it has buffered.
func (w *watch) stop(ctx context.Context) error {
	w.conn.RemoveStatusListener(w.events)
	select {
	case <-w.stopped:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
