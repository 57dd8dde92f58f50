package natsbroker

import (
	"context"
	"fmt"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// Inspect reports settings above these values.
const (
	slowWrite  = 10 * time.Second
	slowNotice = 15 * time.Second
)

var _ broker.Inspector = (*Broker)(nil)

// Inspect adds to what [broker.Check] finds about a destination what only this
// backend can know: how soon the connection notices a failure. The settings
// belong to whoever dialed the connection; one dialed by Connect with its
// defaults has none of these findings.
//
//	slow-write    warning  a peer that stops reading blocks every call for longer than 10 s
//	slow-notice   warning  a silent peer is noticed after more than 15 s, or never
//	gives-up      warning  without a server for a while, the connection is closed for good
//
// It does no I/O. A subject that nobody listens to is no finding.
func (b *Broker) Inspect(ctx context.Context, destination string) (broker.Findings, error) {
	if err := b.ready(ctx, "inspect", destination); err != nil {
		return nil, err
	}
	if err := natsrules.CheckSubject(b.address(destination)); err != nil {
		return nil, err
	}
	return b.findings(destination), nil
}

// findings returns the findings on the connection for a destination.
func (b *Broker) findings(destination string) broker.Findings {
	var found broker.Findings
	add := func(code, cause, remedy string) {
		found = append(found, broker.Finding{
			Code: code, Severity: broker.SeverityWarning, Destination: destination, Cause: cause, Remedy: remedy,
		})
	}
	o := &b.conn.Opts
	if o.FlusherTimeout <= 0 || o.FlusherTimeout > slowWrite {
		add("slow-write", "a write to a peer that does not read, and every other call on the connection, may take "+
			limit(o.FlusherTimeout)+" (nats.FlusherTimeout of the connection)", "dial with nats.FlusherTimeout(5*time.Second), or use Connect")
	}
	if notice := o.PingInterval * time.Duration(o.MaxPingsOut+1); o.PingInterval <= 0 || notice > slowNotice {
		add("slow-notice", "messages may go to a silent server for "+limit(notice)+
			" before that is noticed (nats.PingInterval and nats.MaxPingsOutstanding of the connection)", "dial with nats.PingInterval(3*time.Second), or use Connect")
	}
	switch {
	case !o.AllowReconnect:
		add("gives-up", "the connection is closed for good when it is lost (nats.NoReconnect of the connection)",
			"dial without nats.NoReconnect, or use Connect")
	case o.MaxReconnect >= 0:
		add("gives-up", fmt.Sprintf("the connection is closed for good after %d attempts to reach a server again (nats.MaxReconnects of the connection)", o.MaxReconnect),
			"dial with nats.MaxReconnects(-1), or use Connect")
	}
	return found
}

// limit formats a timeout, where 0 and below mean none.
func limit(d time.Duration) string {
	if d <= 0 {
		return "an unlimited time"
	}
	return d.String()
}
