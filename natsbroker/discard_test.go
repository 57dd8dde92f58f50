package natsbroker_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/natsbroker"
)

// discardingServer answers the handshake and the final ping and takes
// everything else without reading it: what remains is the client's own cost.
type discardingServer struct{}

func (discardingServer) InProcessConn() (net.Conn, error) {
	client, server := net.Pipe()
	c := &discardingConn{Conn: client}
	c.answers.Go(func() { handshake(server) })
	return c, nil
}

// handshake greets the client, and returns when the client has its answer.
func handshake(server net.Conn) {
	_, _ = io.WriteString(server, `INFO {"server_id":"x","version":"2.15.2","proto":1,"headers":true,"max_payload":1048576}`+"\r\n")
	for lines := bufio.NewScanner(server); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "PING") {
			_, _ = io.WriteString(server, "PONG\r\n")
			return
		}
	}
}

// discardingConn writes to its pipe until the handshake is over.
type discardingConn struct {
	net.Conn
	answers sync.WaitGroup
	mu      sync.Mutex
	greeted bool
}

func (c *discardingConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.greeted {
		return len(p), nil
	}
	c.greeted = strings.Contains(string(p), "PING")
	return c.Conn.Write(p)
}

func (c *discardingConn) Close() error {
	err := c.Conn.Close()
	c.answers.Wait()
	return err
}

func discardingConnection(tb testing.TB) *nats.Conn {
	tb.Helper()
	nc, err := nats.Connect("nats://discard", nats.InProcessServer(discardingServer{}), nats.NoReconnect(), nats.PingInterval(-1))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(nc.Close)
	return nc
}

func discardingBroker(tb testing.TB) *natsbroker.Broker {
	tb.Helper()
	// Not closed: nobody would answer the flush.
	b, err := natsbroker.New(discardingConnection(tb), nil)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}
