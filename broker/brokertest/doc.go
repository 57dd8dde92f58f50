// Package brokertest is the conformance suite of package broker: it proves that
// a backend keeps the contracts of the roles, and that what its Describe claims
// is what happens.
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
// Every [Case] carries the rule that it checks and the fields of
// broker.Semantics that it proves. A failure says the rule, the fields, and what
// was seen.
//
// # Both directions
//
// A case reads Describe first and then looks: what is declared must be seen,
// and where it is not declared the opposite must be seen. A fire-and-forget
// destination must be seen to lose, a queue without deduplication to keep both
// of two equal messages. A fact may be unknown only where Harness.Unknown says
// why, and a fact that no case can observe is listed by [Unobserved].
//
// # Absence
//
// That something does not happen is proven, not slept for: in virtual time by
// advancing past the bound, on a destination without leases by a later message
// (a fence) that comes first. On a queue in real time it is waited out, with
// two empty long polls at the end; such a proof is only [OneWay].
//
// With Harness.Virtual every case runs in a testing/synctest bubble, where the
// windows of days pass in no time; all that a backend starts must then be made
// in Open. Cases that need such windows are skipped elsewhere, and say so.
package brokertest
