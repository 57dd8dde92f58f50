package natsbroker_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
	"github.com/candidmq/candidmq/natsbroker"
)

// secure makes a server speak TLS with the certificate.
func secure(certificate tls.Certificate, change ...func(*server.Options)) func(*server.Options) {
	return func(o *server.Options) {
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
		o.TLS, o.TLSTimeout = true, 5
		for _, c := range change {
			c(o)
		}
	}
}

// trust makes a client trust the certificate itself.
func trust(t *testing.T, certificate tls.Certificate) nats.Option {
	t.Helper()
	leaf, err := x509.ParseCertificate(certificate.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return nats.Secure(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
}

// What one side refuses is an error that says what helps, and neither a password
// nor a reason to try again.
func TestCoreConnectErrorsSayWhatHelps(t *testing.T) {
	local := func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} }
	good := selfSigned(t, local)
	elsewhere := selfSigned(t, func(c *x509.Certificate) { c.DNSNames = []string{"elsewhere.example"} })
	expired := selfSigned(t, local, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) })
	client := selfSigned(t)
	askClient := func(o *server.Options) { o.TLSConfig.ClientAuth, o.TLSVerify = tls.RequireAnyClientCert, true }
	login := func(o *server.Options) { o.Username, o.Password = "u", "right" }
	token := func(o *server.Options) { o.Authorization = "right" }

	tests := []struct {
		name   string
		server func(*server.Options)
		opts   []nats.Option
		kind   error
		remedy string // a word of it; "": it connects
	}{
		{"no credentials", login, nil, broker.ErrDenied, "nats.UserInfo"},
		{"wrong password", login, []nats.Option{nats.UserInfo("u", "hush")}, broker.ErrDenied, "nats.UserInfo"},
		{"wrong token", token, []nats.Option{nats.Token("hush")}, broker.ErrDenied, "nats.Token"},
		{"right password", login, []nats.Option{nats.UserInfo("u", "right")}, nil, ""},
		{"TLS that the server has not", func(*server.Options) {}, []nats.Option{nats.Secure()}, broker.ErrUnavailable, "nats.Secure"},
		{"TLS first that the server has not", func(*server.Options) {}, []nats.Option{nats.Secure(), nats.TLSHandshakeFirst()}, broker.ErrUnavailable, "nats.TLSHandshakeFirst"},
		{"an unknown authority", secure(good), nil, broker.ErrUnavailable, "nats.RootCAs"},
		{"another name", secure(elsewhere), []nats.Option{trust(t, elsewhere)}, broker.ErrUnavailable, "ServerName"},
		{"expired", secure(expired), []nats.Option{trust(t, expired)}, broker.ErrUnavailable, "valid"},
		{"no certificate of the client", secure(good, askClient), []nats.Option{trust(t, good)}, broker.ErrUnavailable, "nats.ClientCert"},
		{"no version in common", secure(good), []nats.Option{trust(t, good), func(o *nats.Options) error {
			o.TLSConfig.MinVersion, o.TLSConfig.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
			return nil
		}}, broker.ErrUnavailable, "version"},
		{"a certificate of the client", secure(good, askClient), []nats.Option{trust(t, good), func(o *nats.Options) error {
			o.TLSConfig.Certificates = []tls.Certificate{client}
			return nil
		}}, nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := startServer(t, tt.server)
			address := s.Addr().String()
			b, err := natsbroker.Connect(soon(t), address, nil, tt.opts...)
			if tt.remedy == "" {
				if err != nil {
					t.Fatal(err)
				}
				closeAtEnd(t, b)
				return
			}
			refused, ok := errors.AsType[*natsbroker.ConnectError](err)
			if !ok || b != nil || !errors.Is(err, tt.kind) || !strings.Contains(refused.Remedy, tt.remedy) || !strings.Contains(err.Error(), tt.remedy) {
				t.Fatalf("got %v, want %v and a remedy with %q", err, tt.kind, tt.remedy)
			}
			if e, ok := errors.AsType[*broker.Error](err); !ok || e.Retryable || e.Op != "connect" {
				t.Errorf("got %+v, want nothing to try again", e)
			}
			if strings.Contains(err.Error(), "hush") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}
