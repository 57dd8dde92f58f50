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

// ConnectError is a connection that was refused by one side for how it was to be
// made. It comes within a [*broker.Error] of the kind [broker.ErrDenied] for
// credentials, and [broker.ErrUnavailable] for TLS; trying again does not help.
type ConnectError struct {
	Remedy string // what helps
	Err    error  // the native error
}

// Error shows the native error and what helps.
func (e *ConnectError) Error() string { return e.Err.Error() + ": " + e.Remedy }

// Unwrap gives the native error.
func (e *ConnectError) Unwrap() error { return e.Err }

const (
	remedyCredentials = "check the credentials: nats.UserInfo, nats.Token, nats.UserCredentials, nats.Nkey, or those in the URL"
	remedyExpired     = "renew the credentials, and check the clock"
	remedyPlain       = "the server offers no TLS: leave out nats.Secure and tls://, or give the server a certificate"
	remedyNoTLS       = "what answers there does not speak TLS at once: leave out nats.TLSHandshakeFirst, or check the port"
	remedyAuthority   = "give the authority that has signed the server's certificate, by nats.RootCAs"
	remedyName        = "connect by a name that the server's certificate has, or set that name by nats.Secure and tls.Config.ServerName"
	remedyInvalid     = "give the server a certificate that is valid, and check the clock"
	remedyClient      = "the server asks for a certificate of the client that it trusts: nats.ClientCert"
	remedyVersion     = "server and client have no TLS version or cipher in common: see tls.Config given to nats.Secure"
)

// remedies are against errors that are values.
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

// remedy is what helps, "" where nothing special does.
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

// alerts are what a server may say of the handshake (RFC 8446, 6.2).
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

// remedyOfAlert compares texts: crypto/tls has a type of its own for an alert,
// which nobody else sees.
func remedyOfAlert(err error) string {
	for _, a := range alerts {
		if err.Error() == a.code.Error() {
			return a.remedy
		}
	}
	return ""
}

// connectFailure adds the remedy to what dialing failed with.
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
