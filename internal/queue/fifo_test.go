package queue_test

import (
	"testing"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

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
