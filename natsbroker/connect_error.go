package natsbroker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"

	"github.com/nats-io/nats.go"

	"github.com/candidmq/candidmq/broker"
)

// ConnectError reports that one side refused the connection because of how it
// was set up. It is wrapped in a [*broker.Error] of the kind [broker.ErrDenied]
// for credentials, and [broker.ErrUnavailable] for TLS; trying again does not
// help.
type ConnectError struct {
	Remedy string // what helps
	Err    error  // the native error
}

// Error returns the native error followed by the remedy.
func (e *ConnectError) Error() string { return e.Err.Error() + ": " + e.Remedy }

// Unwrap returns the native error.
func (e *ConnectError) Unwrap() error { return e.Err }

const (
	remedyCredentials = "check the credentials: nats.UserInfo, nats.Token, nats.UserCredentials, nats.Nkey, or those in the URL"
	remedyExpired     = "renew the credentials, and check the clock"
	remedyPlain       = "the server offers no TLS: leave out nats.Secure and tls://, or give the server a certificate"
	remedyNoTLS       = "the peer does not start with TLS: leave out nats.TLSHandshakeFirst, or check the port"
	remedyAuthority   = "pass the authority that signed the server's certificate with nats.RootCAs"
	remedyName        = "connect by a name that is in the server's certificate, or set that name with nats.Secure and tls.Config.ServerName"
	remedyInvalid     = "give the server a valid certificate, and check the clock"
	remedyClient      = "the server requires a client certificate that it trusts: use nats.ClientCert"
	remedyVersion     = "server and client have no TLS version or cipher in common: see the tls.Config given to nats.Secure"
)

// remedies lists the remedies for errors that are values.
var remedies = []struct {
	native error
	remedy string
}{
	{nats.ErrAuthorization, remedyCredentials},
	{nats.ErrAuthExpired, remedyExpired},
	{nats.ErrAuthRevoked, remedyExpired},
	{nats.ErrAccountAuthExpired, remedyExpired},
	{nats.ErrSecureConnWanted, remedyPlain},
}

// remedy returns what helps against err, or "" if nothing specific is known.
func remedy(err error) string {
	for _, r := range remedies {
		if errors.Is(err, r.native) {
			return r.remedy
		}
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return remedyAuthority
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return remedyName
	}
	if _, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		return remedyInvalid
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return remedyNoTLS
	}
	remote, ok := errors.AsType[*net.OpError](err)
	switch {
	case ok && remote.Op == "remote error":
		return remedyOfAlert(remote.Err)
	case errors.Is(err, nats.ErrTLS) && (ok || errors.Is(err, io.EOF)): // hung up after the handshake
		return remedyClient
	}
	return ""
}

// alerts are what a server may report about the handshake (RFC 8446, 6.2).
var alerts = []struct {
	code   tls.AlertError
	remedy string
}{
	{40, remedyVersion}, // handshake failure
	{70, remedyVersion}, // protocol version
	{71, remedyVersion}, // insufficient security
	{42, remedyClient},  // bad certificate
	{43, remedyClient},  // unsupported certificate
	{44, remedyClient},  // certificate revoked
	{45, remedyClient},  // certificate expired
	{46, remedyClient},  // certificate unknown
	{48, remedyClient},  // unknown authority
	{116, remedyClient}, // certificate required
}

// remedyOfAlert compares texts, because crypto/tls has an unexported type for
// an alert.
func remedyOfAlert(err error) string {
	for _, a := range alerts {
		if err.Error() == a.code.Error() {
			return a.remedy
		}
	}
	return ""
}

// connectFailure adds the remedy to a dialing error.
func connectFailure(err error) error {
	helps := remedy(err)
	if helps == "" {
		return failure("connect", "", err)
	}
	e := failure("connect", "", &ConnectError{Remedy: helps, Err: err})
	e.Retryable = false
	if e.Kind == nil {
		e.Kind = broker.ErrUnavailable
	}
	return e
}
