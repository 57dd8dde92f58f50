package natsbroker_test

import (
	"time"

	"github.com/candidmq/candidmq/memory"
)

// stories are what random histories come to seldom, one step a line:
//
//	publish SUBJECT [BODY] [id=ID] [header=N] [rollup=sub|all] [last=N] [subject=N]
//	        N bytes of a value, and what is expected of the stream or the subject
//	atomic  the same for each, with + between them
//	receive CONSUMER N
//	delete, release, later, extend, reject N    of the N-th delivery, from 0
//	redrive N, purge
//	wait D
var stories = []struct {
	name     string
	stream   memory.StreamConfig
	consumer memory.ConsumerConfig
	text     string
}{{
	name: "released after its last delivery, it blocks nothing", consumer: memory.ConsumerConfig{MaxDeliver: 2, MaxAckPending: 1},
	text: `publish a first
		publish a second
		receive c0 2
		release 0
		receive c0 2
		release 1
		receive c0 2
		delete 2
		receive c0 1`,
}, {
	name: "a lease that ends for the last time", consumer: memory.ConsumerConfig{MaxDeliver: 2, AckWait: 300 * time.Millisecond},
	text: `publish a
		receive c0 1
		wait 700ms
		receive c0 1
		wait 700ms
		receive c0 1`,
}, {
	name: "the last lease has ended, and nobody asks", consumer: memory.ConsumerConfig{MaxDeliver: 2, AckWait: 300 * time.Millisecond},
	text: `publish a
		receive c0 1
		release 0
		receive c0 1
		wait 700ms`,
}, {
	name: "the only lease has ended", consumer: memory.ConsumerConfig{MaxDeliver: 1, AckWait: 300 * time.Millisecond},
	text: `publish a
		receive c0 1
		wait 700ms`,
}, {
	name: "leases that end are delivered again in order", consumer: memory.ConsumerConfig{AckWait: 300 * time.Millisecond},
	text: `publish a 1
		publish a 2
		publish a 3
		receive c0 3
		wait 700ms
		publish a 4
		receive c0 4`,
}, {
	name: "released, they come in the order of their release", consumer: memory.ConsumerConfig{},
	text: `publish a 1
		publish a 2
		publish a 3
		publish a 4
		receive c0 3
		release 2
		release 0
		receive c0 1
		release 1
		receive c0 4`,
}, {
	name: "a backoff adds to a delay", consumer: memory.ConsumerConfig{BackOff: []time.Duration{time.Hour, 2 * time.Hour}},
	text: `publish a
		receive c0 1
		later 0
		receive c0 1
		later 1
		receive c0 1`,
}, {
	name: "a delay counts as in flight", consumer: memory.ConsumerConfig{MaxAckPending: 1},
	text: `publish a 1
		publish a 2
		receive c0 1
		later 0
		receive c0 2
		delete 1
		receive c0 2`,
}, {
	name: "bytes, to the last", stream: memory.StreamConfig{MaxBytes: 3 * (30 + 4), Discard: memory.DiscardNew},
	text: fill,
}, {
	name: "bytes in memory, to the last", stream: memory.StreamConfig{MaxBytes: 3 * (16 + 4), Discard: memory.DiscardNew, Storage: memory.MemoryStorage},
	text: fill,
}, {
	name: "bytes with headers", stream: memory.StreamConfig{MaxBytes: 30 + 4 + 4 + 12 + 10, Discard: memory.DiscardNew},
	text: `publish a  header=5
		publish a
		purge
		publish a  header=6`,
}, {
	name: "too old bytes go", stream: memory.StreamConfig{MaxBytes: 3 * (30 + 4)},
	text: `publish a
		publish a
		publish a
		receive c1 10
		publish a x
		receive c0 10`,
}, {
	name: "full of one subject", stream: memory.StreamConfig{MaxMsgs: 2, MaxMsgsPerSubject: 1, Discard: memory.DiscardNew},
	text: `publish a 1
		publish b 2
		publish a 3
		publish a.x 4
		receive c0 10`,
}, {
	name: "full of one subject, which refuses", stream: memory.StreamConfig{
		MaxMsgs: 3, MaxMsgsPerSubject: 1, Discard: memory.DiscardNew, DiscardNewPerSubject: true,
	},
	text: `publish a 1
		publish b 2
		publish a 3
		publish a.x 4
		publish a.y 5
		receive c0 10`,
}, {
	name: "interest", stream: memory.StreamConfig{Retention: memory.InterestRetention, MaxMsgs: 2, Discard: memory.DiscardNew},
	text: `publish a 1
		publish a 2
		publish a 3
		receive c0 2
		delete 0
		publish a 4
		receive c1 2
		delete 2
		publish a 5
		receive c0 3
		receive c1 3`,
}, {
	name: "a work queue", stream: memory.StreamConfig{Retention: memory.WorkQueueRetention, MaxMsgs: 2, Discard: memory.DiscardNew},
	text: `publish a 1
		publish a 2
		publish a 3
		receive c0 1
		delete 0
		delete 0
		release 0
		publish a 4 id=x
		receive c0 2
		delete 1
		publish a 5 id=x`,
}, {
	name: "gone while it is in hand", stream: memory.StreamConfig{MaxMsgs: 1},
	text: `publish a 1
		receive c0 1
		publish a 2
		extend 0
		release 0
		delete 0
		receive c0 2
		delete 1`,
}, {
	name: "purged while it is in hand",
	text: `publish a 1
		receive c0 1
		purge
		delete 0
		publish a 2
		receive c0 2`,
}, {
	name: "too old", stream: memory.StreamConfig{MaxAge: 500 * time.Millisecond},
	text: `publish a 1 id=x
		receive c0 1
		wait 1200ms
		receive c0 1
		publish a 2 id=x
		receive c0 2`,
}, {
	name: "dead letters", consumer: memory.ConsumerConfig{DeadLetters: memory.DeadLetters{Subject: "dead", MaxAttempts: 2}},
	text: `publish a 1 id=x header=3
		publish a 2
		receive c0 2
		reject 1
		release 0
		receive c0 2
		release 2
		receive c0 2
		receive dead 2
		release 3
		release 4
		redrive 1
		receive c0 2
		redrive 5
		receive c0 2`,
}, {
	name: "a batch fits, or not at all", stream: memory.StreamConfig{AllowAtomicPublish: true, MaxMsgs: 4, Discard: memory.DiscardNew},
	text: `publish a 0
		atomic a 1 + b 2 + a 3 + b 4
		atomic a 1 + b 2 + a 3
		atomic a 4
		receive c0 10
		receive c1 10`,
}, {
	name: "a batch is not allowed", text: `atomic a 1 + b 2
		publish a 1
		receive c0 10`,
}, {
	name: "a batch is too much for one limit", stream: memory.StreamConfig{AllowAtomicPublish: true, MaxMsgs: 2},
	text: `publish b 0
		atomic a 1 + a 2 + a 3
		receive c0 10`,
}, {
	name: "a batch replaces nothing", stream: memory.StreamConfig{AllowAtomicPublish: true, MaxMsgs: 2, MaxMsgsPerSubject: 1, Discard: memory.DiscardNew},
	text: `publish a 1
		publish b 2
		atomic a 3
		publish a 3
		purge
		atomic a 4 + a 5
		receive c0 10`,
}, {
	name: "a batch is full of one subject", stream: memory.StreamConfig{
		AllowAtomicPublish: true, MaxMsgsPerSubject: 2, Discard: memory.DiscardNew, DiscardNewPerSubject: true,
	},
	text: `publish a 1
		atomic b 2 + a 3 + b 4 + a 5
		atomic b 2 + a 3 + b 4
		receive c0 10`,
}, {
	name: "a batch that the server would miscount", stream: memory.StreamConfig{
		AllowAtomicPublish: true, MaxMsgs: 100, MaxMsgsPerSubject: 2, Discard: memory.DiscardNew, DiscardNewPerSubject: true,
	},
	text: `atomic a 1 + b 2
		atomic b 1 + b 2 + b 3
		atomic b 1 + b 2
		receive c0 10`,
}, {
	name: "the bytes of a batch, to the last", stream: memory.StreamConfig{AllowAtomicPublish: true, MaxBytes: 30 + 4 + 5 + 101, Discard: memory.DiscardNew},
	text: `atomic a x
		atomic a
		purge
		publish a x
		publish a x
		atomic a`,
}, {
	name: "a message of a batch is too large", stream: memory.StreamConfig{AllowAtomicPublish: true, MaxMsgSize: 120},
	text: `atomic a 1 + b  header=20 + a
		atomic a 1 + b  header=5 + a
		atomic a 1 + b  header=66000
		receive c0 10`,
}, {
	name: "headers of a batch are too large", stream: memory.StreamConfig{AllowAtomicPublish: true},
	text: `atomic a 1 + b  header=66000 + a 2
		receive c0 10`,
}, {
	name: "ids in a batch", stream: memory.StreamConfig{AllowAtomicPublish: true},
	text: `publish a 1 id=x
		atomic b 2 + a 3 id=x
		atomic a 4 id=y + b 5 id=y
		atomic a 4 id=y + b 5 id=z
		publish b 6 id=y
		publish a 7 id=last
		atomic b 8 id=q last=4
		receive c0 10`,
}, {
	name: "what a batch may expect", stream: memory.StreamConfig{AllowAtomicPublish: true},
	text: `publish a 1
		atomic a 2 last=1 + b 3
		atomic a 4 last=2 + b 5
		atomic a 4 + b 5 last=3
		atomic a 4 + b 5 last=4
		atomic a 4 subject=2 + b 5 subject=3
		atomic a 6 + a 7 subject=6
		atomic a 6 + a 7 subject=4
		atomic a.x 6 subject=0 + a 7 subject=4
		atomic a.y 6 subject=1
		receive c0 10`,
}, {
	name: "a batch that not all is read of", consumer: memory.ConsumerConfig{FilterSubject: "a"},
	stream: memory.StreamConfig{AllowAtomicPublish: true, Retention: memory.InterestRetention, MaxMsgs: 2, Discard: memory.DiscardNew},
	text: `atomic b 1 + a 2 + b 3
		atomic b 1 + a 2
		publish b 3
		atomic b 4 id=x
		publish b 5 id=x
		receive c0 10
		receive c1 10`,
}, {
	name: "a batch for a work queue", stream: memory.StreamConfig{AllowAtomicPublish: true, Retention: memory.WorkQueueRetention, MaxMsgs: 2, Discard: memory.DiscardNew},
	text: `atomic a 1 + a 2
		atomic a 3
		receive c0 1
		delete 0
		atomic a 3 + a 4
		atomic a 3
		receive c0 5`,
}, {
	name: "a subject is rolled up", stream: memory.StreamConfig{AllowRollup: true},
	text: `publish a 1
		publish b 2
		publish a 3
		receive c0 1
		publish a 4 rollup=sub
		delete 0
		receive c0 10
		receive c1 10
		publish a.x 5 rollup=sub
		receive c0 10`,
}, {
	name: "all is rolled up", stream: memory.StreamConfig{AllowRollup: true},
	text: `publish a 1
		publish b 2
		receive c0 1
		publish b 3 rollup=all
		extend 0
		receive c0 10
		receive c1 10
		publish a 4 rollup=what
		publish b 5 subject=3`,
}, {
	name: "rollups are not allowed", stream: memory.StreamConfig{AllowAtomicPublish: true},
	text: `publish a 1
		publish a 2 rollup=sub
		atomic a 2 rollup=all
		publish a 3 rollup=sub last=7
		receive c0 10`,
}, {
	name: "a rollup makes room of its subject", stream: memory.StreamConfig{
		AllowRollup: true, MaxMsgs: 2, MaxMsgsPerSubject: 1, Discard: memory.DiscardNew, DiscardNewPerSubject: true,
	},
	text: `publish a 1
		publish a 2
		publish a 3 rollup=sub
		publish b 4
		publish a.x 5 rollup=all
		receive c0 10`,
}, {
	name: "a rollup that nobody reads", consumer: memory.ConsumerConfig{FilterSubject: "a"},
	stream: memory.StreamConfig{AllowRollup: true, Retention: memory.InterestRetention},
	text: `publish a 1
		publish b 2 rollup=sub
		publish b 3 rollup=all
		receive c0 10
		publish a 4
		receive c0 10`,
}, {
	name: "rollups in a batch", stream: memory.StreamConfig{AllowRollup: true, AllowAtomicPublish: true},
	text: `publish a 1
		publish b 2
		atomic a 3 + b 4 rollup=all
		atomic a 3 + a 4 rollup=sub
		atomic a 3 + b 4 rollup=sub + b 5
		receive c0 10
		atomic a 6 rollup=all + b 7
		receive c0 10`,
}}

const fill = `publish a
		publish a
		publish a
		publish a
		purge
		publish a xx
		publish a
		publish a
		receive c0 10`
