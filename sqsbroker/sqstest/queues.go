package sqstest

import (
	"cmp"
	"encoding/base64"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

// address is a queue's name within its account.
type address struct{ account, name string }

// sqsQueue is what SQS knows of a queue and the engine does not. Everything but
// the first three fields is guarded by [Handler.mu].
type sqsQueue struct {
	id     uint64 // never used again, so that handles of a dropped queue stay invalid
	engine string // the engine's name for it
	addr   address

	settings          settings
	tags              map[string]string
	attempts          attempts
	tasks             []*moveTask
	created, modified time.Time
	purged            time.Time
}

var queueName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

const (
	fifoSuffix  = ".fifo"
	maxNameSize = 80 // the suffix counts [DG quotas-fifo]
	// recent is how long a deleted queue's name is taken and a purge forbids
	// another one [API DeleteQueue, PurgeQueue].
	recent = 60 * time.Second
)

func (h *Handler) createQueue(c *call, in *createQueueIn) (*queueURL, error) {
	s, err := newSettings(in)
	if err != nil {
		return nil, err
	}
	a := address{c.account, in.QueueName}
	h.mu.Lock()
	defer h.mu.Unlock()
	if q := h.queues[a]; q != nil {
		if err := q.sameAs(in.Attributes); err != nil {
			return nil, err
		}
		return &queueURL{h.urlOf(c, a)}, nil
	}
	if h.clock.Now().Before(h.deleted[a].Add(recent)) {
		return nil, senderFault("QueueDeletedRecently", prefix+"QueueDeletedRecently",
			"You must wait 60 seconds after deleting a queue before you can create another with the same name.")
	}
	if err := h.add(a, s, in.Tags); err != nil {
		return nil, err
	}
	return &queueURL{h.urlOf(c, a)}, nil
}

// newSettings checks what a queue is to be created with.
func newSettings(in *createQueueIn) (settings, error) {
	base, isFIFO := strings.CutSuffix(in.QueueName, fifoSuffix)
	if in.QueueName == "" {
		return settings{}, missingParameter("QueueName")
	}
	if !queueName.MatchString(base) || len(in.QueueName) > maxNameSize {
		return settings{}, invalidParameter("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	wantFIFO := in.Attributes["FifoQueue"] == "true"
	switch {
	case wantFIFO && !isFIFO:
		return settings{}, invalidParameter("The name of a FIFO queue can only include alphanumeric characters, " +
			"hyphens, or underscores, must end with .fifo suffix and be 1 to 80 in length.")
	case isFIFO && !wantFIFO: // a point is legal in no other name
		return settings{}, invalidParameter("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	if err := checkTags(nil, in.Tags); err != nil {
		return settings{}, err
	}
	return defaultSettings(isFIFO).with(in.Attributes)
}

// sameAs compares the attributes that a second CreateQueue names with those
// that the queue has.
func (q *sqsQueue) sameAs(attributes map[string]string) error {
	has := q.settings.show()
	for _, name := range sortedKeys(attributes) {
		if attributes[name] != has[name] {
			return senderFault("QueueNameExists", "QueueAlreadyExists",
				"A queue already exists with the same name and a different value for attribute %s", name)
		}
	}
	return nil
}

// add makes a queue. The caller holds h.mu.
func (h *Handler) add(a address, s settings, tags map[string]string) error {
	d, err := h.target(a, &s)
	if err != nil {
		return err
	}
	h.lastID++
	now := h.clock.Now()
	q := &sqsQueue{
		id: h.lastID, engine: strconv.FormatUint(h.lastID, 36), addr: a,
		settings: s, tags: maps.Clone(tags), created: now, modified: now,
	}
	var config queue.Config
	s.apply(&config, h.opts.MaxInFlight, d.engineName())
	h.names.Store(q.engine, a.name)
	if err := h.engine.Create(q.engine, config); err != nil {
		return engineError(err)
	}
	h.queues[a], h.byEngine[q.engine] = q, a
	delete(h.deleted, a)
	return nil
}

// engineName is "" for no queue.
func (q *sqsQueue) engineName() string {
	if q == nil {
		return ""
	}
	return q.engine
}

func (h *Handler) deleteQueue(c *call, in *queueURL) (*nothing, error) {
	q, err := h.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.queues[q.addr] != q {
		return nil, noQueue()
	}
	q.endTasks()
	delete(h.queues, q.addr)
	h.deleted[q.addr] = h.clock.Now()
	if err := h.engine.Drop(q.engine); err != nil {
		return nil, engineError(err)
	}
	return &nothing{}, nil
}

func (h *Handler) purgeQueue(c *call, in *queueURL) (*nothing, error) {
	q, err := h.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.clock.Now()
	if !q.purged.IsZero() && now.Before(q.purged.Add(recent)) {
		e := senderFault("PurgeQueueInProgress", prefix+"PurgeQueueInProgress",
			"Only one PurgeQueue operation on %s is allowed every 60 seconds.", q.addr.name)
		e.Status = 403
		return nil, e
	}
	if err := h.engine.Purge(q.engine); err != nil {
		return nil, engineError(err)
	}
	q.purged = now
	return &nothing{}, nil
}

func (h *Handler) getQueueURL(c *call, in *getQueueURLIn) (*queueURL, error) {
	if in.QueueName == "" {
		return nil, missingParameter("QueueName")
	}
	a := address{cmp.Or(in.QueueOwnerAWSAccountID, c.account), in.QueueName}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if h.queues[a] == nil {
		return nil, noQueue()
	}
	return &queueURL{h.urlOf(c, a)}, nil
}

// maxPage is the largest page of a listing [API ListQueues].
const maxPage = 1000

func (h *Handler) listQueues(c *call, in *listQueuesIn) (*listQueuesOut, error) {
	h.mu.RLock()
	var names []string
	for a := range h.queues {
		if a.account == c.account && strings.HasPrefix(a.name, in.QueueNamePrefix) {
			names = append(names, a.name)
		}
	}
	h.mu.RUnlock()
	names, token, err := page(names, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	out := &listQueuesOut{NextToken: token}
	for _, n := range names {
		out.QueueURLs = append(out.QueueURLs, h.urlOf(c, address{c.account, n}))
	}
	return out, nil
}

// page is one page of names, in their order, from after the one that the token
// says. Without MaxResults there is no token: the first 1,000 are all that comes
// [API ListQueues].
func page(names []string, limit *int, token string) (part []string, next string, err error) {
	slices.Sort(names)
	if token != "" {
		last, err := base64.StdEncoding.DecodeString(token)
		if err != nil {
			return nil, "", invalidParameter("Invalid NextToken value.")
		}
		from, found := slices.BinarySearch(names, string(last))
		if found {
			from++
		}
		names = names[from:]
	}
	n := maxPage
	if limit != nil {
		n = *limit
		if n < 1 || n > maxPage {
			return nil, "", invalidValue(n, "MaxResults", "Must be an integer from 1 to 1000.")
		}
	}
	if len(names) <= n {
		return names, "", nil
	}
	if limit != nil {
		next = base64.StdEncoding.EncodeToString([]byte(names[n-1]))
	}
	return names[:n], next, nil
}

func (h *Handler) setQueueAttributes(c *call, in *setAttributesIn) (*nothing, error) {
	q, err := h.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	if in.Attributes == nil {
		return nil, missingParameter("Attributes")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s, err := q.settings.with(in.Attributes)
	if err != nil {
		return nil, err
	}
	if err := h.change(q, s, in.Attributes); err != nil {
		return nil, err
	}
	q.modified = h.clock.Now()
	return &nothing{}, nil
}

// change gives q other settings. The dead-letter target is looked up when it is
// named only: its deletion later does not stop other changes. The caller holds
// h.mu.
func (h *Handler) change(q *sqsQueue, s settings, set map[string]string) error {
	_, named := set["RedrivePolicy"]
	var d *sqsQueue
	if named {
		var err error
		if d, err = h.target(q.addr, &s); err != nil {
			return err
		}
	}
	err := h.engine.Update(q.engine, func(c *queue.Config) {
		deadLetter := c.DeadLetter
		if named {
			deadLetter = d.engineName()
		}
		s.apply(c, h.opts.MaxInFlight, deadLetter)
	})
	if err != nil {
		return engineError(err)
	}
	q.settings = s
	return nil
}

func (h *Handler) getQueueAttributes(c *call, in *getAttributesIn) (*getAttributesOut, error) {
	q, err := h.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	all, err := h.attributesOf(q)
	if err != nil {
		return nil, err
	}
	out := &getAttributesOut{Attributes: make(map[string]string)}
	for _, name := range in.AttributeNames {
		switch value, has := all[name]; {
		case name == "All":
			return &getAttributesOut{all}, nil
		case has:
			out.Attributes[name] = value
		case setters[name] == nil && name != "FifoQueue":
			return nil, unknownAttribute(name)
		}
	}
	return out, nil
}

// attributesOf are all attributes that a queue has at the moment.
func (h *Handler) attributesOf(q *sqsQueue) (map[string]string, error) {
	stats, err := h.engine.Stats(q.engine)
	if err != nil {
		return nil, engineError(err)
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	m := q.settings.show()
	values := []string{
		strconv.Itoa(stats.Ready), strconv.Itoa(stats.Delayed), strconv.Itoa(stats.InFlight),
		strconv.FormatInt(q.created.Unix(), 10), strconv.FormatInt(q.modified.Unix(), 10), h.arn(q.addr),
	}
	for i, name := range readOnly {
		m[name] = values[i]
	}
	return m, nil
}

// find is the queue with that URL, of which only the path matters: the host is
// another one behind a port mapping. The bare name of one of the caller's queues
// does as well [seen on the real service, and not documented].
func (h *Handler) find(c *call, url string) (*sqsQueue, error) {
	if url == "" {
		return nil, missingParameter("QueueUrl")
	}
	a := address{c.account, url}
	if strings.Contains(url, "/") {
		var ok bool
		if a, ok = parseURL(url); !ok {
			return nil, senderFault("InvalidAddress", "InvalidAddress", "The address %s is not valid for this endpoint.", url)
		}
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	q := h.queues[a]
	if q == nil {
		return nil, noQueue()
	}
	return q, nil
}

// settingsOf are the present settings of q.
func (h *Handler) settingsOf(q *sqsQueue) settings {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return q.settings
}

func (h *Handler) urlOf(c *call, a address) string { return c.baseURL + "/" + a.account + "/" + a.name }

// parseURL reads the address off the last two elements of a queue's URL.
func parseURL(url string) (a address, ok bool) {
	rest, name, ok := cutLast(url)
	if !ok {
		return a, false
	}
	_, account, ok := cutLast(rest)
	return address{account, name}, ok
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

func (h *Handler) arn(a address) string {
	return "arn:aws:sqs:" + h.opts.Region + ":" + a.account + ":" + a.name
}

// parseARN reads a queue's address off its ARN.
func (h *Handler) parseARN(arn string) (a address, ok bool) {
	part := strings.Split(arn, ":")
	if len(part) != 6 || part[0] != "arn" || part[2] != "sqs" || part[3] != h.opts.Region {
		return a, false
	}
	return address{part[4], part[5]}, true
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
