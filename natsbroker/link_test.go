package natsbroker_test

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// link stands between clients and a server, or between two servers: a network
// that is slow towards the client, swallows what the client sends, or breaks.
type link struct {
	listener net.Listener
	slowness atomic.Int64 // of up to 64 KiB towards the client, in ns
	mute     atomic.Bool  // nothing of what clients send arrives
	reading  sync.RWMutex // held while nothing of what clients send is read
	refusing atomic.Bool  // connections are taken and let go again
	refused  atomic.Int64 // so many

	mu    sync.Mutex
	conns []net.Conn
	work  sync.WaitGroup
}

func linkTo(tb testing.TB, server string) *link {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	n := &link{listener: l}
	n.work.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			if n.refusing.Load() {
				_ = client.Close()
				n.refused.Add(1)
				continue
			}
			n.join(client, server)
		}
	})
	tb.Cleanup(func() {
		_ = l.Close()
		n.cut()
		n.work.Wait()
	})
	return n
}

func (n *link) url() string { return "nats://" + n.listener.Addr().String() }

// slow makes the link take a time for each 64 KiB towards the client.
func (n *link) slow(each time.Duration) { n.slowness.Store(int64(each)) }

// silence swallows what the clients send from now on, until the link is cut.
func (n *link) silence() { n.mute.Store(true) }

// stall has the link read nothing more of what clients send, until the test is over.
func (n *link) stall(tb testing.TB) {
	tb.Helper()
	n.reading.Lock()
	tb.Cleanup(n.reading.Unlock)
}

// refuse breaks all connections, and lets each new one go as soon as it is made, as
// a port does that is forwarded to a server which is not there.
func (n *link) refuse() {
	n.refusing.Store(true)
	n.cut()
}

// cut breaks all connections. New ones are whole.
func (n *link) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		_ = c.Close()
	}
	n.conns = nil
	n.mute.Store(false)
}

func (n *link) join(client net.Conn, server string) {
	upstream, err := net.Dial("tcp", server)
	if err != nil {
		_ = client.Close()
		return
	}
	n.mu.Lock()
	n.conns = append(n.conns, client, upstream)
	n.mu.Unlock()
	n.work.Go(func() { n.toServer(upstream, client) })
	n.work.Go(func() { n.toClient(client, upstream) })
}

func (n *link) toServer(server, client net.Conn) {
	_, _ = io.Copy(writerFunc(func(b []byte) (int, error) {
		n.reading.RLock()
		defer n.reading.RUnlock()
		if n.mute.Load() {
			return len(b), nil
		}
		return server.Write(b)
	}), client)
	_ = server.Close()
}

func (n *link) toClient(client, server net.Conn) {
	_, _ = io.CopyBuffer(writerFunc(func(b []byte) (int, error) {
		time.Sleep(time.Duration(n.slowness.Load()))
		return client.Write(b)
	}), readerOnly{server}, make([]byte, 64<<10))
	_ = client.Close()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// readerOnly hides the ReadFrom and WriteTo of a connection, which would take no
// notice of the buffer.
type readerOnly struct{ io.Reader }
