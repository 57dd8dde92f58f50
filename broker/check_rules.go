package broker

import (
	"cmp"
	"fmt"
	"slices"
)

// inspection is what a rule judges.
type inspection struct {
	s Semantics
	h Health
	u Usage
}

// rule is one entry of the checklist. A code may have several.
type rule struct {
	code     string
	severity Severity              // of what is known to be wrong
	bears    func(inspection) bool // whether it has a bearing on the use; nil: always
	judge    func(inspection) verdict
	remedy   string
}

// rules in the order in which findings of one severity are shown.
var rules = slices.Concat(receiveRules, deadLetterRules, publishRules, requestRules, storageRules)

// verdict is what a rule says: nothing if there is no cause.
type verdict struct {
	cause  string
	milder bool // one step below the rule's severity
}

func (v verdict) severity(r rule) Severity {
	if v.milder {
		return max(r.severity, SeverityWarning) - 1
	}
	return r.severity
}

var fine verdict

func wrong(format string, args ...any) verdict {
	return verdict{cause: fmt.Sprintf(format, args...)}
}

// unknown is the verdict on something that a rule must know and does not.
func unknown(what string, f fact) verdict {
	return verdict{cause: what + " is unknown: " + cmp.Or(f.from(), "it was not read"), milder: true}
}

// isKnown reports whether f is known to be v.
func isKnown[T comparable](f Fact[T], v T) bool { return f.State == StateKnown && f.V == v }

// isZero reports whether f is known to be nothing: none, or 0.
func isZero[T comparable](f Fact[T]) bool {
	var zero T
	return f.State == StateNone || isKnown(f, zero)
}

// say is a fact in words with its source, such as "30s (VisibilityTimeout)".
func say(f fact) string { return f.String() + source(f) }

// source is where a fact was read, such as " (VisibilityTimeout)".
func source(f fact) string {
	if f.from() == "" {
		return ""
	}
	return " (" + f.from() + ")"
}

// The uses that a rule may concern.

func (c inspection) publishes() bool { return c.u.Publishes && !isZero(c.s.Publish.Offered) }
func (c inspection) receives() bool  { return c.u.Receives && !isZero(c.s.Receive.Offered) }
func (c inspection) requests() bool  { return c.u.Requests }

// leases: messages are received under a lease, so that they may come again.
func (c inspection) leases() bool {
	return c.receives() && !isKnown(c.s.Receive.Guarantee, GuaranteeAtMostOnce)
}

// stores: messages are there to be kept.
func (c inspection) stores() bool {
	return (c.publishes() || c.receives()) && c.s.Durability.State != StateNone
}

// relies: messages are there to be kept, and one that is lost does harm.
func (c inspection) relies() bool { return c.stores() && !c.u.LossOK }
