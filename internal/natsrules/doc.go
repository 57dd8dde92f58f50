// Package natsrules is what core NATS and JetStream take and refuse, as code. natsbroker
// checks by it before it sends anything and the in-memory broker plays by it,
// so that both refuse the same with the same errors.
package natsrules

// Backend is how errors of this package name the backend, on both brokers.
const Backend = "nats"
