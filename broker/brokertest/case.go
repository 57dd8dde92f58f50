package brokertest

import (
	"slices"
	"strings"
	"testing"
)

// Proof is how far a case goes.
type Proof string

// Values of Proof.
const (
	Seen   Proof = "seen"    // in both directions: as declared, and otherwise where it is not
	OneWay Proof = "one-way" // the behaviour was seen; that it cannot be otherwise was not
	Echo   Proof = "echo"    // Describe follows a change made by a second client
	Cited  Proof = "cited"   // no case: a constant, and its document
)

// Case is one check of the suite.
type Case struct {
	// Name is the group and the subject of the check, such as
	// "leases/expired-comes-again". Names are stable.
	Name string
	// Rule is the requirement, in a sentence.
	Rule string
	// Fields are the facts that it proves, such as "receive.lease".
	Fields []string
	// Proof is the strength of the proof in virtual time, or without leases.
	Proof Proof

	needs   Role
	virtual bool // it waits for longer than real time allows
	worst   bool // it uses a broker that simulates the worst case of its contract
	absence bool // it rests on an empty queue, which real time shows one-way
	run     func(*env)
}

// Group is the part of the name before the slash.
func (c Case) Group() string {
	group, _, _ := strings.Cut(c.Name, "/")
	return group
}

// ProofOn returns the strength of the case's proof on a backend.
func (c Case) ProofOn(h Harness) Proof {
	if c.absence && !h.Virtual && h.Roles.has(RoleReceiver) {
		return OneWay
	}
	return c.Proof
}

// Run runs the case alone, reporting to tb. It does not create a bubble: where
// h is Virtual, the caller must run it in one. Most callers want the function
// [Run].
func (c Case) Run(tb testing.TB, h Harness) {
	tb.Helper()
	c.runOn(tb, h, &Result{})
}

// Cases returns all cases, in the order in which they run.
func Cases() []Case {
	all := slices.Concat(
		roleCases(), publishCases(), inputCases(), subscribeCases(), requestCases(), receiveCases(),
		leaseCases(), redeliveryCases(), deadLetterCases(), delayCases(), dedupCases(), orderingCases(),
		batchCases(), limitCases(), headerCases(), concurrencyCases(), lifecycleCases(), errorCases(),
		describeCases(), worstCases(),
	)
	for i := range all {
		setDefault(&all[i].Proof, Seen)
	}
	return all
}
