// Package sqsaudit judges a run of publishers and consumers on an SQS endpoint
// that misbehaves: nothing lost, every duplicate accounted for, no group out of
// order. It is for tests.
//
// The judge believes what it can see for itself. An [Audit] is told of three
// things while the run lasts:
//
//   - every try of every call, as it went over the wire, by a client that
//     [Audit.Watch] stands in front of;
//   - every message of the endpoint's own log, by [Audit.Event], where the
//     endpoint keeps one;
//   - what the test itself did: what it published, when its handlers ran, which
//     messages it took and let go on purpose.
//
// Afterwards [Audit.Judge] goes through every message that was stored. It must
// have ended by a delete, after a handler had succeeded; each receive but the
// first must have a cause that is in evidence (see [Cause]); on a FIFO queue no
// handler may have begun before the earlier messages of its group had ended.
//
// The broker under test is never asked: what it counts or reports plays no part.
package sqsaudit
