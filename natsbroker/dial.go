package natsbroker

import (
	"context"
	"net"
	"sync"

	"github.com/nats-io/nats.go"
)

// dial connects within ctx, which nats.go itself does not accept.
func dial(ctx context.Context, o nats.Options) (*nats.Conn, error) {
	if o.CustomDialer == nil && o.InProcessServer == nil {
		d := newDialer(ctx, &o)
		o.CustomDialer = d
		o.SkipHostLookup = true // nats.go's lookup takes no context, net.Dialer's does
		defer d.release()
	}
	nc, err := o.Connect()
	if ended := ctx.Err(); ended != nil {
		if err == nil {
			nc.Close()
		}
		return nil, ended
	}
	return nc, err
}

// dialer is a net.Dialer whose connections are bound to a context until it is
// released. Later dials, for reconnects, are bound only by their timeout.
type dialer struct {
	net.Dialer

	mu     sync.Mutex
	ctx    context.Context // nil once released
	unbind []func() bool
}

// newDialer takes over the user's options for dialing.
func newDialer(ctx context.Context, o *nats.Options) *dialer {
	d := &dialer{ctx: ctx}
	d.Timeout = o.Timeout
	if o.Dialer != nil {
		d.Dialer = *o.Dialer
	}
	if o.AllowMultipathTCP != nil {
		d.SetMultipathTCP(*o.AllowMultipathTCP)
	}
	return d
}

// Dial is called by nats.go for one server at a time.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	d.mu.Lock()
	ctx := d.ctx
	d.mu.Unlock()
	if ctx == nil {
		return d.Dialer.Dial(network, address)
	}
	conn, err := d.DialContext(ctx, network, address)
	if err == nil {
		d.bind(ctx, conn)
	}
	return conn, err
}

// bind closes conn when ctx ends: a server that accepts and then stays silent
// would hold nats.go for its own timeout.
func (d *dialer) bind(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ctx == nil { // released in the meantime
		stop()
		return
	}
	d.unbind = append(d.unbind, stop)
}

func (d *dialer) release() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, stop := range d.unbind {
		stop()
	}
	d.unbind, d.ctx = nil, nil
}
