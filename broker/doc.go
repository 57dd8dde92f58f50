// Package broker is one small interface for publish, subscribe, request-reply
// and receive-delete.
package broker
