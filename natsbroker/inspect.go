package natsbroker

import (
	"context"
	"fmt"
	"time"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/internal/natsrules"
)

// What Inspect finds fault with is above these.
const (
	slowWrite  = 10 * time.Second
	slowNotice = 15 * time.Second
)

var (
	_ broker.Inspector = (*Broker)(nil)
	_ broker.Inspector = (*JetStream)(nil)
)

// Inspect adds to what [broker.Check] finds of a destination what only this
// backend can know: how soon the connection notices a failure. Those are settings
// of whoever dialed it; one of Connect's own has none of the findings.
//
//	slow-write    warning  a peer that stops reading blocks every call for longer than 10 s
//	slow-notice   warning  a silent peer is noticed after more than 15 s, or never
//	gives-up      warning  without a server for a while, the connection is closed for good
//
// It does no I/O.
func (b *Broker) Inspect(ctx context.Context, destination string) (broker.Findings, error) {
	if err := b.ready(ctx, "inspect", destination); err != nil {
		return nil, err
	}
	if err := natsrules.CheckSubject(b.address(destination)); err != nil {
		return nil, err
	}
	return b.findings(destination), nil
}

// Inspect finds what [Broker.Inspect] does: the connection is the same kind.
func (j *JetStream) Inspect(ctx context.Context, destination string) (broker.Findings, error) {
	if err := j.ready(ctx, "inspect", destination); err != nil {
		return nil, err
	}
	return j.core.findings(destination), nil
}

// findings are those of the connection, told of a destination.
func (b *Broker) findings(destination string) broker.Findings {
	var found broker.Findings
	add := func(code, cause, remedy string) {
		found = append(found, broker.Finding{
			Code: code, Severity: broker.SeverityWarning, Destination: destination, Cause: cause, Remedy: remedy,
		})
	}
	o := &b.conn.Opts
	if o.FlusherTimeout <= 0 || o.FlusherTimeout > slowWrite {
		add("slow-write", "a write to a peer that does not read, and every call on the connection meanwhile, may take "+
			limit(o.FlusherTimeout)+" (nats.FlusherTimeout of the connection)", "dial with nats.FlusherTimeout(5*time.Second), or by Connect")
	}
	if notice := o.PingInterval * time.Duration(o.MaxPingsOut+1); o.PingInterval <= 0 || notice > slowNotice {
		add("slow-notice", "messages may go to a server that is silent "+limit(notice)+
			" before that is noticed (nats.PingInterval and nats.MaxPingsOutstanding of the connection)", "dial with nats.PingInterval(3*time.Second), or by Connect")
	}
	switch {
	case !o.AllowReconnect:
		add("gives-up", "the connection is closed for good when it is lost (nats.NoReconnect of the connection)",
			"dial without nats.NoReconnect, or by Connect")
	case o.MaxReconnect >= 0:
		add("gives-up", fmt.Sprintf("the connection is closed for good after %d attempts to reach a server again (nats.MaxReconnects of the connection)", o.MaxReconnect),
			"dial with nats.MaxReconnects(-1), or by Connect")
	}
	return found
}

// limit words a time-out, of which 0 and below are none.
func limit(d time.Duration) string {
	if d <= 0 {
		return "for ever"
	}
	return d.String()
}
