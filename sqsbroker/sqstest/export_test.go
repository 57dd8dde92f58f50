package sqstest

import (
	"context"
	"net"
)

// Dial connects to a memory server below HTTP.
func (s *Server) Dial(ctx context.Context) (net.Conn, error) {
	return s.transport.DialContext(ctx, "tcp", "x")
}
