package broker_test

import (
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/candidmq/candidmq/broker"
)

func TestSequenceAgreesWithBig(t *testing.T) {
	limit := new(big.Int).Lsh(big.NewInt(1), 128)
	number := rapid.Custom(func(t *rapid.T) *big.Int {
		bits := rapid.IntRange(0, 130).Draw(t, "bits")
		n := new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 17, 17).Draw(t, "bytes"))
		return n.Rsh(n, uint(136-bits))
	})
	rapid.Check(t, func(t *rapid.T) {
		a, b := number.Draw(t, "a"), number.Draw(t, "b")
		p, errA := broker.ParseSequence(a.String())
		q, errB := broker.ParseSequence(b.String())
		if (errA == nil) != (a.Cmp(limit) < 0) || (errB == nil) != (b.Cmp(limit) < 0) {
			t.Fatalf("ParseSequence: %v, %v", errA, errB)
		}
		if errA != nil || errB != nil {
			return
		}
		if p.String() != a.String() || p.Compare(q) != a.Cmp(b) || (p == q) != (a.Cmp(b) == 0) {
			t.Fatalf("%v is shown as %v; Compare(%v) = %d", a, p, b, p.Compare(q))
		}
		if a.IsUint64() && broker.NewSequence(a.Uint64()) != p {
			t.Fatalf("NewSequence(%v) differs", a)
		}
		if n, ok := p.Uint64(); ok != a.IsUint64() || ok && n != a.Uint64() {
			t.Fatalf("%v: Uint64() = %d, %v", a, n, ok)
		}
	})
}

func TestSequence(t *testing.T) {
	var none broker.Sequence
	zero := broker.NewSequence(0)
	if none.Present() || !zero.Present() || none == zero || none.Compare(zero) != -1 || zero.Compare(none) != 1 {
		t.Error("an absent sequence is not position 0, and comes before it")
	}
	if none.String() != "" || zero.String() != "0" {
		t.Errorf("%q, %q", none, zero)
	}
	if _, ok := none.Uint64(); ok {
		t.Error("an absent sequence has a number")
	}
	for _, bad := range []string{"", "-1", "1.5", "x", "340282366920938463463374607431768211456"} {
		if q, err := broker.ParseSequence(bad); err == nil {
			t.Errorf("ParseSequence(%q) = %v", bad, q)
		}
	}
}

func TestOutcomeString(t *testing.T) {
	if got := broker.OutcomeDuplicate.String() + broker.Outcome(99).String(); got != "duplicateOutcome(99)" {
		t.Error(got)
	}
}

func TestFields(t *testing.T) {
	all := broker.FieldReplyTo | broker.FieldKey | broker.FieldTenant | broker.FieldDedupID | broker.FieldDelay | broker.FieldTTL
	m := broker.Message{Subject: "s", Body: []byte("b"), Header: broker.Header{"k": "v"}, ReplyTo: "r", Key: "k", Tenant: "t", DedupID: "d", Delay: 1, TTL: 1}
	if got := m.Fields(); got != all {
		t.Errorf("Fields() = %v, want %v", got, all)
	}
	if got, want := all.String(), "ReplyTo|Key|Tenant|DedupID|Delay|TTL"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	m.Clear(broker.FieldKey | broker.FieldDelay)
	if got := m.Fields(); got != all&^broker.FieldKey&^broker.FieldDelay {
		t.Errorf("after Clear: %v", got)
	}
	m.Clear(all)
	if m.Fields() != 0 || m.Subject == "" || m.Body == nil || m.Header == nil {
		t.Errorf("Clear(all) left %+v", m)
	}
}
