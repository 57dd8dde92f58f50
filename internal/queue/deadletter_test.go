package queue_test

import (
	"testing"

	"github.com/candidmq/candidmq/internal/queue"
)

func TestDeadLetter(t *testing.T) {
	twice := func(c *queue.Config) { c.MaxReceives, c.DeadLetter = 2, "dlq" }
	both := []story{
		{name: "moved at the attempt that is one too many", config: twice, text: `
			send a1
			receive 1 = a1
			sleep 30s
			receive 1 = a1
			release a1
			holds 1 0 0
			dlq holds 0 0 0
			receive 1 =
			holds 0 0 0
			dlq holds 1 0 0
			delete a1
			dlq receive 1 = a1`},
		{name: "the others are received in the same call", config: func(c *queue.Config) { c.MaxReceives, c.DeadLetter = 1, "dlq" }, text: `
			send a1
			receive 1 = a1
			sleep 30s
			send b1
			receive 10 = b1
			dlq receive 10 = a1`},
		{name: "no queue of that name: it stays", config: func(c *queue.Config) { c.MaxReceives, c.DeadLetter = 1, "nowhere" }, text: `
			send a1
			receive 1 = a1
			release a1
			receive 1 = a1
			reject a1 ! no-dead-letter
			delete a1
			holds 0 0 0`},
		{name: "reject moves at once", config: func(c *queue.Config) { c.DeadLetter = "dlq" }, text: `
			send a1
			receive 1 = a1
			reject a1
			holds 0 0 0
			reject a1 ! gone
			dlq receive 1 = a1`},
		{name: "reject without one", text: `
			send a1
			receive 1 = a1
			reject a1 ! no-dead-letter
			delete a1`},
		{name: "behind what became visible there before", config: func(c *queue.Config) { c.DeadLetter = "dlq" }, text: `
			dlq send b1
			dlq receive 1 = b1
			sleep 30s
			send a1
			receive 1 = a1
			reject a1
			dlq receive 10 = b1 a1`},
		{name: "its own dead letter: back of the queue, counted anew", config: func(c *queue.Config) { c.MaxReceives, c.DeadLetter = 1, "q" }, text: `
			send a1
			receive 1 = a1
			release a1
			receive 1 = a1
			release a1
			receive 1 = a1`},
	}
	t.Run("standard", func(t *testing.T) { tell(t, standardQueue(), both) })
	t.Run("fifo", func(t *testing.T) {
		tell(t, fifoQueue(), append(both, []story{
			{name: "the group goes on", config: twice, text: `
				send a1
				send a2
				receive 1 = a1
				release a1
				receive 1 = a1
				release a1
				receive 1 = a2
				dlq receive 1 = a1`},
			{name: "the group goes on within one receive", config: func(c *queue.Config) { c.MaxReceives, c.DeadLetter = 1, "dlq" }, text: `
				send a1
				send a2
				receive 2 = a1 a2
				release a2
				release a1
				send a3
				receive 10 = a3
				dlq receive 10 = a1 a2`},
			{name: "the group's lock holds in the dead-letter queue", config: func(c *queue.Config) { c.DeadLetter = "dlq" }, text: `
				send a1
				send a2
				receive 2 = a1 a2
				reject a1
				dlq receive 10 = a1
				reject a2
				dlq receive 10 =
				dlq delete a1
				dlq receive 10 = a2`},
			{name: "the dead-letter queue's dedup is not asked", config: func(c *queue.Config) { c.DeadLetter = "dlq" }, text: `
				dlq send b1 id=x
				send a1 id=x
				receive 1 = a1
				reject a1
				dlq holds 2 0 0`},
		}...))
	})
	t.Run("in turn, each with its own count", func(t *testing.T) {
		script(t, with(standardQueue(), func(c *queue.Config) { c.MaxReceives, c.DeadLetter = 1, "dlq" }),
			with(standardQueue(), func(c *queue.Config) { c.MaxReceives, c.DeadLetter = 2, "q" }), `
			send a1
			receive 1 = a1
			release a1
			receive 1 =
			dlq receive 1 = a1
			dlq release a1
			dlq receive 1 = a1
			dlq release a1
			dlq receive 1 =
			receive 1 = a1`)
	})
}
