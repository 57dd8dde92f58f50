// Package peers compares CandidMQ with the raw clients and with other libraries
// of its kind, in one run on one machine:
//
//	go test -bench . ./integration/peers
//
// All of them move the same body of 128 bytes from the same number of publishers
// to the same number of workers, with the same kind of acknowledgement, on a
// server in the process that each has to itself. The metric of-raw is how fast
// each is beside the raw client or channel; the raw one runs once more at the
// end, to show how far two runs of the same thing lie apart. They are tests
// without -bench: each entry has to move its messages.
//
// The peers are used as their documentation says, and where it leaves a choice,
// as is best for them here:
//
//   - Watermill v1.5.1, with a UUID a message, handlers on its Router, and no
//     logging. In memory its GoChannel, with the buffer that the raw channel
//     has. For NATS watermill-nats v2.1.3, its package nats with headers, whose
//     JetStream support is the one it recommends for production; streams are
//     made beforehand, since AutoProvision, which its example has, asks for the
//     stream before every message. For SQS watermill-aws v1.0.1, as it comes
//     and, as receive10, told to receive ten messages a call.
//   - The Go CDK, gocloud.dev v0.47.0, with Receive and Ack on as many
//     goroutines as there are workers. In memory mempubsub, which is meant for
//     tests: it sleeps 250 ms whenever it finds nothing, so a publisher that is
//     at most 1,000 messages ahead gets 4,000 a second through. For NATS
//     natspubsub v0.46.0 in the second version of its encoding; it does core
//     NATS only. For SQS awssnssqs.
//
// What the rows of CandidMQ are: candidmq is each backend as it comes;
// candidmq-core and candidmq-queue are memory.CoreNATS, which acknowledges
// nothing, and memory.SQS, which does. candidmq-prefetch is a subscription that
// holds more messages than may start, as the others do by themselves: on
// JetStream 500, the default of nats.go's Consume, and on SQS 64, as many as
// there are workers (the Go CDK: up to 3,000).
package peers
