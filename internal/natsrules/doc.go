// Package natsrules is what core NATS takes and refuses, as code. natsbroker
// checks by it before it sends anything and the in-memory broker plays by it,
// so that both refuse the same with the same errors.
package natsrules

// Backend is how errors of this package name the backend, on both brokers.
const Backend = "nats"
