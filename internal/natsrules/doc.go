// Package natsrules holds the rules of what core NATS and JetStream accept and
// refuse. Package natsbroker checks them before it sends anything and the
// in-memory broker follows them, so that both refuse the same input with the
// same errors.
package natsrules

// Backend is the backend's name in errors of this package, on both brokers.
const Backend = "nats"
