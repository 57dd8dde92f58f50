// Package brokertest is the conformance suite of package broker: it verifies
// that a backend keeps the contracts of the roles, and that the claims of its
// Describe are true.
//
// # Use
//
// The author of a backend fills in a [Harness] for each kind of destination and
// calls [Run] in a test:
//
//	func TestConformance(t *testing.T) {
//		brokertest.Run(t, brokertest.Harness{
//			Name:        "mybroker",
//			Open:        func(tb testing.TB) broker.Broker { … },
//			Destination: func(tb testing.TB, b broker.Broker, want brokertest.Config) (string, bool) { … },
//			Roles:       brokertest.RoleReceiver,
//		})
//	}
//
// Every [Case] has the rule that it checks and the fields of broker.Semantics
// that it proves. A failure shows the rule, the fields, and what was observed.
//
// # Both directions
//
// A case first reads Describe and then observes: declared behaviour must be
// seen, and where it is not declared the opposite must be seen. A
// fire-and-forget destination must be seen to lose messages, a queue without
// deduplication to keep both of two equal messages. A fact may be unknown only
// where Harness.Unknown gives the reason; facts that no case can observe are
// listed by [Unobserved].
//
// # Absence
//
// The absence of an event is proven, not awaited by sleeping: in virtual time
// by advancing past the bound, on a destination without leases by a later
// message (a fence) that arrives first. On a queue in real time the suite
// waits, and ends with two empty long polls; such a proof is only [OneWay].
//
// With Harness.Virtual every case runs in a testing/synctest bubble, where
// windows of days pass instantly; everything that a backend starts must then be
// created in Open. Elsewhere, cases that need such windows are skipped, with a
// message.
package brokertest
