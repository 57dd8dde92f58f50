package queue_test

import (
	"testing"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

// What SQS is by default.
func standardQueue() queue.Config {
	return queue.Config{
		Visibility: 30 * time.Second, Retention: 4 * 24 * time.Hour, MaxLease: 12 * time.Hour,
		MaxInFlight: 120_000,
	}
}

func fifoQueue() queue.Config {
	c := standardQueue()
	c.FIFO, c.DedupWindow = true, 5*time.Minute
	return c
}

func with(c queue.Config, change func(*queue.Config)) queue.Config {
	change(&c)
	return c
}

type story struct {
	name, text string
	config     func(*queue.Config)
}

func tell(t *testing.T, base queue.Config, stories []story) {
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			c := base
			if s.config != nil {
				s.config(&c)
			}
			script(t, c, base, s.text)
		})
	}
}

func TestStandard(t *testing.T) {
	tell(t, standardQueue(), []story{
		{name: "in send order, up to the limit", text: `
			send a1
			send b1
			send a2
			receive 2 = a1 b1
			receive 10 = a2
			receive 10 =
			holds 0 3 0`},
		{name: "a group neither orders nor blocks", text: `
			send a1
			receive 1 = a1
			send a2
			receive 1 = a2
			release a1
			receive 1 = a1`},
		{name: "a lease ends on time, and the message goes to the back", text: `
			send a1
			receive 1 = a1
			send a2
			sleep 29999ms
			holds 1 1 0
			sleep 1ms
			holds 2 0 0
			receive 10 = a2 a1`},
		{name: "leases that end together come back in send order", text: `
			send a1
			send a2
			send a3
			receive 10 = a1 a2 a3
			sleep 30s
			receive 10 = a1 a2 a3`},
		{name: "a receive may name its lease", text: `
			send a1
			receive 1 lease=5s = a1
			sleep 5s
			receive 1 lease=0s = a1
			receive 1 = a1`},
		{name: "delete is idempotent", text: `
			send a1
			receive 1 = a1
			delete a1
			delete a1
			holds 0 0 0
			sleep 30s
			receive 1 =`},
		{name: "an expired receipt deletes", text: `
			send a1
			receive 1 = a1
			sleep 30s
			delete a1
			receive 1 =`},
		{name: "an older receipt deletes", text: `
			send a1
			receive 1 = a1
			sleep 30s
			receive 1 = a1
			delete a1#1
			holds 0 0 0
			delete a1#2`},
		{name: "extend counts from now", text: `
			send a1
			receive 1 = a1
			sleep 20s
			extend a1 30s
			sleep 29s
			receive 1 =
			sleep 1s
			receive 1 = a1`},
		{name: "an extension may shorten", text: `
			send a1
			receive 1 = a1
			extend a1 1s
			sleep 1s
			receive 1 = a1`},
		{name: "a negative extension is the queue's lease", text: `
			send a1
			receive 1 lease=1h = a1
			extend a1 -1s
			sleep 30s
			receive 1 = a1`},
		{name: "extend does not stick", text: `
			send a1
			receive 1 = a1
			extend a1 1h
			sleep 1h
			receive 1 = a1
			sleep 30s
			receive 1 = a1`},
		{name: "extend takes back what expired and nobody received", text: `
			send a1
			receive 1 = a1
			sleep 31s
			extend a1 10s
			receive 1 =
			sleep 10s
			receive 1 = a1`},
		{name: "release twice, then receive once", text: `
			send a1
			receive 1 = a1
			release a1
			release a1
			holds 1 0 0
			receive 10 = a1`},
		{name: "a superseded receipt has no power over the lease", text: `
			send a1
			receive 1 = a1
			release a1
			receive 1 = a1
			extend a1#1 1h ! expired
			release a1#1 ! expired
			reject a1#1 ! expired
			delete a1#2
			extend a1#2 1h ! gone
			release a1#2 ! gone
			reject a1#2 ! gone`},
		{name: "twelve hours in all", text: `
			send a1
			receive 1 = a1
			extend a1 12h
			sleep 6h
			extend a1 6h
			extend a1 21601s ! too-long
			extend a1 6h
			sleep 5h59m59s
			receive 1 =
			sleep 1s
			receive 1 = a1
			extend a1 12h`},
		{name: "a receive asks for no more than twelve hours", text: `
			send a1
			receive 1 lease=43201s = ! too-long
			receive 1 lease=43200s = a1`},
		{name: "no limit on the lease", config: func(c *queue.Config) { c.MaxLease = 0 }, text: `
			send a1
			receive 1 lease=100h = a1
			sleep 50h
			extend a1 1000h
			holds 0 1 0
			sleep 46h
			holds 0 0 0`}, // retention
		{name: "delay: the message's own wins", config: func(c *queue.Config) { c.Delay = 10 * time.Second }, text: `
			send a1
			send a2 delay=15m
			send a3 delay=0s
			holds 1 0 2
			receive 10 lease=1h = a3
			sleep 9999ms
			receive 10 =
			sleep 1ms
			receive 10 lease=1h = a1
			sleep 14m49s
			receive 10 =
			sleep 1s
			receive 10 = a2`},
		{name: "what became visible first comes first", text: `
			send a1 delay=2s
			send a2 delay=1s
			sleep 3s
			send a3
			receive 10 = a2 a1 a3`},
		{name: "retention ends every state", config: func(c *queue.Config) { c.Retention = time.Minute; c.Visibility = time.Hour }, text: `
			send a1
			receive 1 = a1
			sleep 1s
			send a2
			send a3 delay=1h
			holds 1 1 1
			sleep 58999ms
			holds 1 1 1
			sleep 1ms
			holds 1 0 1
			extend a1 1s ! gone
			delete a1
			sleep 1s
			holds 0 0 0`},
		{name: "too many in flight: an error", config: func(c *queue.Config) { c.MaxInFlight = 2 }, text: `
			send a1
			send a2
			send a3
			receive 10 = a1 a2
			receive 1 = ! limit
			delete a1
			receive 10 = a3
			sleep 30s
			receive 10 = a2 a3`},
		{name: "purge", text: `
			send a1
			send a2
			send a3 delay=1h
			receive 1 = a1
			purge
			holds 0 0 0
			delete a1
			extend a1 1s ! gone
			send a4
			receive 10 = a4`},
	})
}

// The recordings of the real service that facts-sqs.md section 9 tells of, and
// what follows from its rule.
func TestFIFO(t *testing.T) {
	tell(t, fifoQueue(), []story{
		{name: "as many of one group as there are, then the next group", text: `
			send a1
			send b1
			send a2
			send c1
			send b2
			receive 4 = a1 a2 b1 b2
			receive 10 = c1`},
		{name: "a group waits for what is in flight", text: `
			send a1
			send a2
			send b1
			receive 1 = a1
			receive 10 = b1
			send a3
			receive 10 =
			delete a1
			receive 10 = a2 a3`},
		{name: "a partial delete is not enough", text: `
			send a1
			send a2
			send a3
			receive 2 = a1 a2
			delete a1
			receive 10 =
			delete a2
			receive 10 = a3`},
		{name: "deleting the later one is not enough either", text: `
			send a1
			send a2
			send a3
			receive 2 = a1 a2
			delete a2
			receive 10 =
			release a1
			receive 10 = a1 a3`},
		{name: "release the head while the tail is in flight", text: `
			send a1
			send a2
			send a3
			receive 2 = a1 a2
			release a1
			receive 10 = a1
			receive 10 =
			delete a1
			receive 10 =
			delete a2
			receive 10 = a3`},
		{name: "release the tail while the head is in flight", text: `
			send a1
			send a2
			receive 2 = a1 a2
			release a2
			receive 10 =
			delete a1
			receive 10 = a2`},
		{name: "release all, last to first", text: `
			send a1
			send a2
			send a3
			receive 10 = a1 a2 a3
			release a3
			release a2
			receive 10 =
			release a1
			receive 10 = a1 a2 a3`},
		{name: "extend the head: nothing comes", text: `
			send a1
			send a2
			send a3
			receive 10 = a1 a2 a3
			extend a1 60s
			sleep 30s
			holds 2 1 0
			receive 10 =
			sleep 30s
			receive 10 = a1 a2 a3`},
		{name: "extend the second: the first comes", text: `
			send a1
			send a2
			send a3
			receive 10 = a1 a2 a3
			extend a2 60s
			sleep 30s
			receive 10 = a1`},
		{name: "extend the last: the earlier ones come", text: `
			send a1
			send a2
			send a3
			receive 10 = a1 a2 a3
			extend a3 60s
			sleep 30s
			receive 10 = a1 a2
			delete a1
			delete a2
			receive 10 =
			sleep 30s
			receive 10 = a3`},
		{name: "groups by the age of their first message", text: `
			send a1
			send b1
			send a2
			receive 1 = a1
			delete a1
			receive 1 = b1
			receive 1 = a2`},
		{name: "a released head is the oldest again", text: `
			send a1
			send b1
			send c1
			receive 1 = a1
			receive 1 = b1
			release b1
			release a1
			receive 10 = a1 b1 c1`},
		{name: "an expired receipt is of no use", text: `
			send a1
			receive 1 = a1
			sleep 30s
			delete a1 ! expired
			extend a1 10s ! expired
			release a1 ! expired
			reject a1 ! expired
			receive 1 = a1
			delete a1#1 ! expired
			delete a1
			delete a1
			delete a1#1
			extend a1 10s ! gone`},
		{name: "after an extension its end counts", text: `
			send a1
			receive 1 = a1
			extend a1 60s
			sleep 59s
			delete a1
			holds 0 0 0`},
		{name: "a released receipt is of no use", text: `
			send a1
			receive 1 = a1
			release a1
			delete a1 ! expired
			receive 1 = a1`},
		{name: "twelve hours in all", text: `
			send a1
			receive 1 = a1
			sleep 10s
			extend a1 12h ! too-long
			extend a1 11h59m50s
			sleep 11h59m50s
			delete a1 ! expired
			receive 1 = a1`},
		{name: "a delayed message holds its group", config: func(c *queue.Config) { c.Delay = 10 * time.Second }, text: `
			send a1
			send a2 delay=0s
			send b1 delay=0s
			receive 10 = b1
			holds 1 1 1
			sleep 10s
			receive 10 = a1 a2`},
		{name: "retention of the head frees the group", config: func(c *queue.Config) { c.Retention = time.Minute; c.Visibility = time.Hour }, text: `
			send a1
			sleep 1s
			send a2
			receive 1 = a1
			sleep 58s
			receive 1 =
			sleep 1s
			receive 1 = a2`},
		{name: "retention of a ready head", config: func(c *queue.Config) { c.Retention = time.Minute }, text: `
			send a1
			send b1
			sleep 1s
			send a2
			sleep 59s
			holds 1 0 0
			receive 10 = a2`},
		{name: "too many in flight: just none", config: func(c *queue.Config) { c.MaxInFlight = 1 }, text: `
			send a1
			send a2
			send b1
			receive 10 = a1
			receive 10 =
			delete a1
			receive 10 = a2
			release a2
			receive 1 = a2`},
		{name: "a group that ran empty is made anew", text: `
			send a1
			receive 1 = a1
			delete a1
			send a2
			receive 1 = a2
			send a3
			receive 1 =
			delete a2
			receive 1 = a3`},
		{name: "purge frees the groups", text: `
			send a1
			send a2
			receive 1 = a1
			purge
			send a3
			receive 10 = a3
			delete a1`},
	})
}

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
