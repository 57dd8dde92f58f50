// Package sqsrules is the contract of Amazon SQS as code: what a queue takes
// and refuses, its limits, and what it promises. sqsbroker checks by it before
// it sends anything and the in-memory broker plays by it, so that both refuse
// the same with the same errors.
//
// Sources are named where a rule stands: DG is the Amazon SQS Developer Guide,
// API the Amazon SQS API Reference.
package sqsrules

// Backend is how errors of this package name the backend, on both brokers.
const Backend = "sqs"
