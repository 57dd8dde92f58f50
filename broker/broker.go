package broker

import (
	"context"
	"reflect"
)

// Broker combines the roles that every backend has. Ask for the narrowest role
// that you need ([Publisher], [Requester], [Receiver], …) and pass a backend's
// concrete type: then code that needs more than the backend offers does not
// compile. Use Broker where a backend is chosen at run time, and [As] to find
// the other roles.
type Broker interface {
	Publisher
	Subscriber
	Describer
	// Close drains every subscription within ctx, as [Subscription.Drain] does,
	// and releases the broker's own resources; a connection or client that was
	// passed to it stays open. Close may be called more than once; every call
	// waits until closing is complete. All other methods return [ErrClosed]
	// afterwards.
	Close(ctx context.Context) error
}

// Describer reports what a destination guarantees.
type Describer interface {
	// Describe reads the semantics of a destination, from the live
	// configuration where there is one. A fact that could not be read is
	// StateUnknown, with the reason. A destination that does not exist is
	// [ErrNotFound].
	Describe(ctx context.Context, destination string) (Semantics, error)
}

// Flusher waits until the server has received all published messages.
type Flusher interface {
	// Flush returns when the server has processed everything that this broker
	// published before, or when ctx ends. A ctx without a deadline gets
	// [DefaultRequestTimeout].
	Flush(ctx context.Context) error
}

// Pinger checks the connection, for readiness probes.
type Pinger interface {
	// Ping makes one round trip and returns nil if the backend answered. It
	// fails at once while the connection is known to be down. A ctx without a
	// deadline gets [DefaultRequestTimeout].
	Ping(ctx context.Context) error
}

// As finds the role T in b, a broker or any role of one. It tries b's method
// As(any) bool if there is one, then b itself, then the result of its method
// Unwrap() Broker. The error matches [errors.ErrUnsupported] and names the
// role.
//
//	requester, err := broker.As[broker.Requester](b)
//
// A wrapper that adds behaviour to a role implements As for each role that it
// wraps, so that asking for the role does not bypass it, and Unwrap for the
// others.
func As[T any](b any) (T, error) {
	first := b
	for b != nil {
		var role T
		if a, ok := b.(interface{ As(any) bool }); ok && a.As(&role) {
			return role, nil
		}
		if role, ok := b.(T); ok {
			return role, nil
		}
		u, ok := b.(interface{ Unwrap() Broker })
		if !ok {
			break
		}
		b = u.Unwrap()
	}
	var none T
	return none, &UnsupportedError{
		Backend: backendName(first),
		What:    reflect.TypeFor[T]().String(),
		Why:     "this backend does not have that role",
	}
}

// backendName is the type of b, such as "*sqsbroker.Broker".
func backendName(b any) string {
	if b == nil {
		return "nil broker"
	}
	return reflect.TypeOf(b).String()
}
