package queue_test

import (
	"testing"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

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
