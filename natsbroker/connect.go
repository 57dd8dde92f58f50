package natsbroker

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
)

// Settings that Connect uses in place of nats.go's defaults.
const (
	// writeTimeout bounds a write to a peer that does not read. nats.go holds
	// its lock during the write, so every call on the connection waits
	// (default: 1 minute).
	writeTimeout = 5 * time.Second
	// A silent peer is noticed after (pingsOut + 1) * pingInterval: 9 s
	// (default: 6 minutes).
	pingInterval = 3 * time.Second
	pingsOut     = 2
)

// schemes are those that nats.go knows; a URL without a scheme means nats.
var schemes = []string{"nats", "tls", "ws", "wss"}

// Connect dials a server, or one of several separated by commas, and returns a
// Broker that owns the connection: Close closes it. ctx bounds only the
// dialing; without a deadline nats.go's own limit of 2 s per server applies.
//
// The connection never stops trying to reconnect, fails a write after 5 s and
// notices a silent peer after 9 s. natsOpts (credentials, TLS, a name, ...) are
// applied after those settings and override them. If they include a dialer or
// an in-process server, the end of ctx is noticed only when that dialer
// returns.
//
// If the server refuses the credentials, or no TLS can be agreed on, the error
// is a [*ConnectError] with a remedy.
func Connect(ctx context.Context, servers string, o *Options, natsOpts ...nats.Option) (*Broker, error) {
	const op = "connect"
	if o == nil {
		o = &Options{}
	}
	list, err := parseServers(servers)
	if err := errors.Join(err, o.check()); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, failure(op, "", err)
	}
	native, err := nativeOptions(o, list, natsOpts)
	if err != nil {
		if errors.Is(err, broker.ErrInvalid) {
			return nil, err
		}
		return nil, failure(op, "", err)
	}
	nc, err := dial(ctx, native)
	if err != nil {
		return nil, connectFailure(err)
	}
	b := newBroker(nc, o)
	b.owned = true
	return b, nil
}

// parseServers checks the URLs. Its errors never show a password.
func parseServers(servers string) ([]string, error) {
	var list []string
	var errs []error
	for server := range strings.SplitSeq(servers, ",") {
		server = strings.TrimSpace(server)
		if server == "" {
			continue
		}
		list = append(list, server)
		errs = append(errs, checkServer(server))
	}
	if len(list) == 0 {
		errs = append(errs, &broker.FieldError{Field: "servers", Limit: "at least one URL"})
	}
	return list, errors.Join(errs...)
}

func checkServer(server string) error {
	if !strings.Contains(server, "://") {
		server = "nats://" + server
	}
	u, err := url.Parse(server)
	switch {
	case err != nil:
		return &broker.FieldError{Field: "servers", Value: "(not shown)", Limit: "a URL like nats://host:4222"}
	case !slices.Contains(schemes, u.Scheme):
		return &broker.FieldError{Field: "servers", Value: u.Redacted(), Limit: "one of the schemes " + strings.Join(schemes, ", ")}
	case u.Host == "":
		return &broker.FieldError{Field: "servers", Value: u.Redacted(), Limit: "a host"}
	case u.RawQuery != "" || u.Fragment != "":
		return &broker.FieldError{Field: "servers", Value: u.Redacted(), Limit: "no parameters: none are known"}
	}
	return nil
}

func nativeOptions(o *Options, servers []string, natsOpts []nats.Option) (nats.Options, error) {
	native := nats.GetDefaultOptions()
	native.Servers = servers
	native.Name = "candidmq"
	native.MaxReconnect = -1
	native.FlusherTimeout = writeTimeout
	native.PingInterval = pingInterval
	native.MaxPingsOut = pingsOut
	if o.Logger != nil {
		native.AsyncErrorCB = func(_ *nats.Conn, sub *nats.Subscription, err error) {
			var subject string
			if sub != nil {
				subject = sub.Subject
			}
			o.Logger.Warn("nats connection", "subject", subject, "error", err)
		}
	} else {
		native.AsyncErrorCB = func(*nats.Conn, *nats.Subscription, error) {} // nats.go's default prints to stderr
	}
	if o.RefuseWhileDown {
		native.ReconnectBufSize = -1
	}
	for _, option := range natsOpts {
		if option == nil {
			continue
		}
		if err := option(&native); err != nil {
			return native, err
		}
	}
	if o.RefuseWhileDown && native.ReconnectBufSize >= 0 {
		return native, buffers(native.ReconnectBufSize)
	}
	return native, nil
}
