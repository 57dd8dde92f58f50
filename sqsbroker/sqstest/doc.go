// Package sqstest is an Amazon SQS endpoint in the process, for tests: real AWS
// clients talk to it over HTTP, and it answers as the service does.
//
//	srv := sqstest.NewServer(nil)
//	defer srv.Close()
//	client := srv.Client() // a *sqs.Client of aws-sdk-go-v2
//
// Inside a testing/synctest bubble, [NewMemoryServer] does the same without a
// network: there a 5-minute deduplication window, a 12-hour visibility timeout
// and 14 days of retention take milliseconds. Where there is no bubble, a
// [ManualClock] does that for [NewServer]. [NewHandler] is the endpoint alone, to
// be mounted anywhere.
//
// # What it is true to
//
// The judges are AWS's API Reference and Developer Guide, and answers recorded
// from the real service. The file RULES.md lists every rule with its source and
// its test; the tests of this package run them all. Where the judges are silent
// or disagree, the stricter reading was taken, and the code says so: a client
// that passes here should not be surprised there.
//
// Implemented are all 23 actions of the API, in the protocol AWS JSON 1.0, which
// SDKs speak since the end of 2023: errors with their names and with the codes of
// the older protocol, digests, sizes, both kinds of queue, dead-letter queues and
// move tasks, attribute filters, receive attempts.
//
// # What it is not
//
//   - The older query protocol is answered with status 400 and an error in its own
//     form that says so.
//   - Signatures, policies and permissions are stored or skipped, never enforced;
//     nobody is throttled, and nothing is encrypted.
//   - Changes hold at once; AWS takes up to 60 seconds for attributes and for the
//     deletion of a queue, and up to 15 minutes for a retention.
//   - The approximate counts are exact.
//   - A Standard queue is as orderly as can be, delivers once per visibility
//     timeout, and answers short polls in full. Real ones do not promise that:
//     [Options.WorstCase] has everything happen that they may do.
//   - Fair queues carry the tenant and do not rank by it. A FIFO queue finds
//     available groups behind any backlog, not only within the first 120,000
//     messages.
//   - Number attributes come back as they were sent; AWS's documentation says that
//     it strips zeroes.
//   - Names in requests are matched without regard to case.
//   - A region other than [Options.Region] does not exist. SNS, CloudWatch and IAM
//     are not there.
//
// # Looking and counting
//
// [Handler.Calls] counts requests by action, as the bill does. [Handler.Stats] and
// [Handler.Messages] look into a queue without receiving. [Handler.Observe] tells
// of everything that happens to a message. [Options.Wrap] is where a test puts
// itself before the endpoint; [Faults] is one that makes it misbehave.
//
// # Concurrency and cost
//
// Everything may be called concurrently. A server has one goroutine of its own,
// and net/http's for each connection; Close joins them. A waiting poll costs
// nothing while it waits. Sending, receiving and settling cost O(log n) or less
// in the messages that a queue holds; it holds them in memory.
package sqstest
