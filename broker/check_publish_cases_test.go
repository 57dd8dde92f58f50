package broker_test

import (
	"time"

	"github.com/candidmq/candidmq/broker"
)

var publishCases = []checkCase{
	{"not offered to publishers", func(c *checked) { c.S.Publish.Offered = known(false) }, found("error not-offered")},
	{"perhaps offered to publishers", func(c *checked) { c.S.Publish.Offered = dark[bool]() }, found("warning not-offered")},
	{"not offered to publishers, not used", func(c *checked) { c.S.Publish.Offered = known(false); c.U.Publishes = false }, nil},

	{"stored by nothing", func(c *checked) { c.S.Publish.StoredBy = none[string]() }, found("error persistence-cliff")},
	{"stored by nothing, and harmless", func(c *checked) { c.S.Publish.StoredBy = none[string](); c.U.LossOK = true }, nil},
	{"stored by nobody knows what", func(c *checked) { c.S.Publish.StoredBy = dark[string]() }, found("warning persistence-cliff")},
	{"stored by nothing, not used", func(c *checked) { c.S.Publish.StoredBy = none[string](); c.U.Publishes = false }, nil},

	{"discarded unread", func(c *checked) {
		c.S.Publish.WithoutReader = known(false)
		c.S.Publish.Readers = known(0)
	}, found("error unread-discarded")},
	{"kept for a reader", func(c *checked) { c.S.Publish.WithoutReader = known(false) }, nil},
	{"kept without a reader", func(c *checked) { c.S.Publish.Readers = known(0) }, nil},
	{"kept for unknown readers", func(c *checked) {
		c.S.Publish.WithoutReader = known(false)
		c.S.Publish.Readers = dark[int]()
	}, found("warning unread-discarded")},
	{"perhaps kept", func(c *checked) { c.S.Publish.WithoutReader = dark[bool]() }, found("warning unread-discarded")},
	{"discarded unread, and harmless", func(c *checked) {
		c.S.Publish.WithoutReader, c.S.Publish.Readers = known(false), known(0)
		c.U.LossOK = true
	}, nil},
	{"discarded unread, not used", func(c *checked) {
		c.S.Publish.WithoutReader, c.S.Publish.Readers = known(false), known(0)
		c.U.Publishes = false
	}, nil},

	{"no id", func(c *checked) { c.U.SetsID = false }, found("error fifo-no-id")},
	{"no id needed", func(c *checked) { c.U.SetsID = false; c.S.Publish.IDRequired = known(false) }, nil},
	{"id perhaps needed", func(c *checked) { c.U.SetsID = false; c.S.Publish.IDRequired = dark[bool]() }, found("warning fifo-no-id")},
	{"no id, not used", func(c *checked) { c.U.SetsID = false; c.U.Publishes = false }, nil},

	{"retries past the window", func(c *checked) { c.U.PublishRetryFor = 5*time.Minute + 1 }, found("warning retry-past-window")},
	{"retries within the window", func(c *checked) { c.U.PublishRetryFor = 5 * time.Minute }, nil},
	{"retries without a window", func(c *checked) { c.S.Publish.DedupWindow = none[time.Duration]() }, nil},
	{"window unknown", func(c *checked) { c.S.Publish.DedupWindow = dark[time.Duration]() }, found("info retry-past-window")},
	{"window unknown, no retries", func(c *checked) { c.S.Publish.DedupWindow = dark[time.Duration](); c.U.PublishRetryFor = 0 }, nil},
	{"retries past the window, not used", func(c *checked) { c.U.PublishRetryFor = time.Hour; c.U.Publishes = false }, nil},

	{"request without a deadline", func(c *checked) { requester(c); c.U.RequestTimeout = 0 }, found("info request-deadline")},
	{"publish without a deadline", func(c *checked) { c.U.RequestTimeout = 0 }, nil},
	{"request on a stream", func(c *checked) {
		requester(c)
		c.S.Publish.StoredBy, c.S.Publish.RequestReply = known("ORDERS"), known(false)
	}, found("error request-on-stream")},
	{"request on a stream, no more is known", func(c *checked) {
		requester(c)
		c.S.Publish.StoredBy, c.S.Publish.RequestReply = known("ORDERS"), dark[bool]()
	}, found("error request-on-stream")},
	{"respond on a stream", func(c *checked) { c.U = broker.Usage{Responds: true} }, found("error request-on-stream")},
	{"request on a stream without acknowledgements", func(c *checked) {
		requester(c)
		c.S.Publish.StoredBy, c.S.Publish.RequestReply = known("ORDERS"), known(true)
	}, nil},
	{"no requests at all", func(c *checked) { requester(c); c.S.Publish.RequestReply = known(false) }, found("error request-on-stream")},
	{"request perhaps on a stream", func(c *checked) {
		requester(c)
		c.S.Publish.StoredBy, c.S.Publish.RequestReply = dark[string](), dark[bool]()
	}, found("warning request-on-stream")},
	{"no responder", func(c *checked) { requester(c); c.S.Publish.Readers = known(0) }, found("warning no-responder")},
	{"responders unknown", func(c *checked) { requester(c); c.S.Publish.Readers = dark[int]() }, found("info no-responder")},
	{"no other responder", func(c *checked) { requester(c); c.U = broker.Usage{Responds: true}; c.S.Publish.Readers = known(0) }, nil},
}

var storageCases = []checkCase{
	{"drops the oldest", func(c *checked) { c.S.WhenFull = known(broker.FullDropsOldest) }, found("error drops-unprocessed")},
	{"drops the oldest of a log", func(c *checked) {
		c.S.WhenFull = known(broker.FullDropsOldest)
		c.S.Receive.Distribution = known(broker.DistributionBoth)
	}, nil},
	{"drops the oldest of either", func(c *checked) {
		c.S.WhenFull = known(broker.FullDropsOldest)
		c.S.Receive.Distribution = dark[broker.Distribution]()
	}, found("warning drops-unprocessed")},
	{"never full", func(c *checked) { c.S.WhenFull = none[broker.Full]() }, nil},
	{"full unknown", func(c *checked) { c.S.WhenFull = dark[broker.Full]() }, found("warning drops-unprocessed")},
	{"drops the oldest, and harmless", func(c *checked) { c.S.WhenFull = known(broker.FullDropsOldest); c.U.LossOK = true }, nil},
	{"drops the oldest of what a responder ignores", func(c *checked) {
		requester(c)
		c.S.WhenFull = known(broker.FullDropsOldest)
		c.S.Receive.Distribution = known(broker.DistributionCompeting)
	}, nil},

	{"away for too long", func(c *checked) { c.U.MaxOutage = 96*time.Hour + 1 }, found("error drops-unprocessed")},
	{"away for as long as possible", func(c *checked) { c.U.MaxOutage = 96 * time.Hour }, nil},
	{"away, kept for ever", func(c *checked) {
		c.S.Retention = noLimit[time.Duration]()
		c.H.DeadLetterKeepsAge = known(false)
	}, nil},
	{"away, retention unknown", func(c *checked) {
		c.S.Retention = dark[time.Duration]()
		c.H.DeadLetterKeepsAge = known(false)
		c.U.MaxAge = time.Hour
	}, found("warning drops-unprocessed")},
	{"retention unknown", func(c *checked) {
		c.S.Retention = dark[time.Duration]()
		c.H.DeadLetterKeepsAge = known(false)
		c.U.MaxOutage = 0
	}, found("warning backlog-old")},
	{"away for too long, and harmless", func(c *checked) { c.U.MaxOutage = 97 * time.Hour; c.U.LossOK = true }, nil},

	{"kept in memory", func(c *checked) { c.S.Durability = known(broker.DurabilityMemory) }, found("warning volatile")},
	{"written later", func(c *checked) { c.S.Durability = known(broker.DurabilityDiskAsync) }, found("warning volatile")},
	{"durability unknown", func(c *checked) { c.S.Durability = dark[broker.Durability]() }, found("info volatile")},
	{"kept in memory, and harmless", func(c *checked) { c.S.Durability = known(broker.DurabilityMemory); c.U.LossOK = true }, nil},
	{"kept in memory, not used", func(c *checked) {
		requester(c)
		c.S.Durability = known(broker.DurabilityMemory)
	}, nil},

	{"one replica", func(c *checked) { c.S.Replicas = known(1) }, found("warning single-replica")},
	{"two replicas", func(c *checked) { c.S.Replicas = known(2) }, nil},
	{"replicas unknown", func(c *checked) { c.S.Replicas = dark[int]() }, found("info single-replica")},
	{"replicas not told", func(c *checked) {
		c.S.Replicas = dark[int]()
		c.S.Durability = known(broker.DurabilityManaged)
	}, nil},
	{"one replica, and harmless", func(c *checked) { c.S.Replicas = known(1); c.U.LossOK = true }, nil},

	{"plaintext", func(c *checked) { c.S.InTransit = none[string]() }, found("warning plaintext")},
	{"plaintext for a requester", func(c *checked) { requester(c); c.S.InTransit = none[string]() }, found("warning plaintext")},
	{"encryption on the way unknown", func(c *checked) { c.S.InTransit = dark[string]() }, found("info plaintext")},
	{"unencrypted", func(c *checked) { c.S.AtRest = none[broker.AtRest]() }, found("warning unencrypted")},
	{"unencrypted for a publisher", func(c *checked) { c.S.AtRest = none[broker.AtRest](); c.U.Receives = false }, found("warning unencrypted")},
	{"unencrypted, where a loss does no harm", func(c *checked) { c.S.AtRest = none[broker.AtRest](); c.U.LossOK = true }, found("warning unencrypted")},
	{"encryption at rest unknown", func(c *checked) { c.S.AtRest = dark[broker.AtRest]() }, found("info unencrypted")},
	{"nothing to encrypt", func(c *checked) { subject(c); c.S.AtRest = dark[broker.AtRest]() }, nil},

	{"just changed", func(c *checked) { c.H.Unchanged = known(time.Minute - 1) }, found("info just-changed")},
	{"changed before", func(c *checked) { c.H.Unchanged = known(time.Minute) }, nil},
	{"changed at an unknown time", func(c *checked) { c.H.Unchanged = dark[time.Duration]() }, nil},
}
