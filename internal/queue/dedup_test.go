package queue_test

import (
	"testing"

	"github.com/candidmq/candidmq/internal/queue"
)

func TestDedup(t *testing.T) {
	tell(t, fifoQueue(), []story{
		{name: "inside the window, to its end", text: `
			send a1 id=x
			sleep 4m59s
			send a2 id=x dup=a1
			sleep 1s
			send a3 id=x
			receive 10 = a1 a3`},
		{name: "a duplicate does not prolong the window", text: `
			send a1 id=x
			sleep 3m
			send a2 id=x dup=a1
			sleep 2m
			send a3 id=x
			send a4 id=x dup=a3`},
		{name: "after receive and delete", text: `
			send a1 id=x
			receive 1 = a1
			send a2 id=x dup=a1
			delete a1
			send a3 id=x dup=a1
			receive 1 =`},
		{name: "scope queue: another group is a duplicate", text: `
			send a1 id=x
			send b1 id=x dup=a1
			send b2 id=y`},
		{name: "scope group: it is not", config: func(c *queue.Config) { c.DedupScope = queue.DedupPerGroup }, text: `
			send a1 id=x
			send b1 id=x
			send b2 id=x dup=b1
			receive 10 = a1 b1`},
		{name: "purge forgets", text: `
			send a1 id=x
			purge
			send a2 id=x
			receive 10 = a2`},
		{name: "no id, no dedup", text: `
			send a1
			send a2
			receive 10 = a1 a2`},
		{name: "no window, no dedup", config: func(c *queue.Config) { c.DedupWindow = 0 }, text: `
			send a1 id=x
			send a2 id=x
			receive 10 = a1 a2`},
		{name: "each queue its own", text: `
			send a1 id=x
			dlq send a2 id=x
			dlq receive 10 = a2`},
	})
}
