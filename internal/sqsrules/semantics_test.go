package sqsrules

import (
	"strings"
	"testing"

	"github.com/candidmq/candidmq/broker"
)

func TestContract(t *testing.T) {
	standard, fifo := Contract(false, "contract: "), Contract(true, "contract: ")
	if standard.Equal(fifo) {
		t.Fatal("the kinds promise the same")
	}
	if got := standard.Receive.MaxLease; got != broker.Known(MaxLease, "contract: API ChangeMessageVisibility") {
		t.Errorf("got %+v", got)
	}
	if standard.Publish.DedupWindow.State != broker.StateNone || fifo.Publish.DedupWindow.V != DedupWindow {
		t.Error("only a FIFO queue has a dedup window")
	}
	if standard.Publish.RateScope.State != broker.StateUnlimited || fifo.Publish.RateScope.State != broker.StateUnknown {
		t.Error("a standard queue has no limit of messages a second, and a FIFO queue's attributes tell over what it counts")
	}
	for _, s := range []*broker.Semantics{&standard, &fifo} {
		SetMaxMessage(s, 2048, "a")
		SetDeadLetter(s, "dead", 3, "a")
	}
	SetContentDedup(&fifo, true, "a")
	for what, ok := range map[string]bool{
		"size of headers": standard.Publish.MaxHeaderSize.V == 2047,
		"dead letter":     standard.Receive.DeadLetter.V == "dead" && standard.Receive.MaxAttempts.V == 3,
		"content":         !fifo.Publish.IDRequired.V && fifo.Publish.DedupBy.V == broker.DedupByIDOrContent,
	} {
		if !ok {
			t.Errorf("%s is wrong", what)
		}
	}
	SetDeadLetter(&fifo, "", 0, "a")
	if fifo.Receive.DeadLetter.State != broker.StateNone || fifo.Receive.MaxAttempts.State != broker.StateUnlimited {
		t.Error("without a dead-letter queue there is none, and no limit of attempts")
	}
	// What only attributes say is all that is left unknown.
	for line := range strings.SplitSeq(standard.String(), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 || f[1] != "unknown" {
			continue
		}
		switch f[0] {
		case "replicas", "retention", "atRest", "inTransit", "publish.storedBy", "publish.readers", "publish.queueDelay", "receive.lease":
		default:
			t.Errorf("left unknown: %s", line)
		}
	}
}
