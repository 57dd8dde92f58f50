package sqstest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

// settings are the attributes of a queue that can be set.
type settings struct {
	fifo bool

	delay, maxSize, retention, wait, visibility int // seconds, bytes

	contentDedup    bool
	scope, throttle string // DeduplicationScope, FifoThroughputLimit

	policy      string
	redrive     *redrivePolicy
	redriveText string
	allow       *redriveAllowPolicy
	allowText   string

	kmsKey   string
	kmsReuse string // seconds; "" while there is no key
	sse      bool
}

// defaultSettings are those of a queue created without attributes [API
// CreateQueue; recorded].
func defaultSettings(fifo bool) settings {
	s := settings{fifo: fifo, sse: true}
	for _, a := range numbers {
		*a.field(&s) = a.normal
	}
	if fifo {
		s.scope, s.throttle = scopeQueue, throttleQueue
	}
	return s
}

const (
	scopeQueue    = "queue"
	scopeGroup    = "messageGroup"
	throttleQueue = "perQueue"
	throttleGroup = "perMessageGroupId"
)

// number is an attribute that is a whole number within a range [API
// CreateQueue].
type number struct {
	name             string
	min, max, normal int
	field            func(*settings) *int
}

var numbers = []number{
	{"DelaySeconds", 0, 900, 0, func(s *settings) *int { return &s.delay }},
	{"MaximumMessageSize", 1024, maxMessage, maxMessage, func(s *settings) *int { return &s.maxSize }},
	{"MessageRetentionPeriod", 60, 1_209_600, 345_600, func(s *settings) *int { return &s.retention }},
	{"ReceiveMessageWaitTimeSeconds", 0, 20, 0, func(s *settings) *int { return &s.wait }},
	{"VisibilityTimeout", 0, 43_200, 30, func(s *settings) *int { return &s.visibility }},
}

// readOnly are the attributes that a queue tells and that cannot be set.
var readOnly = []string{
	"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesDelayed", "ApproximateNumberOfMessagesNotVisible",
	"CreatedTimestamp", "LastModifiedTimestamp", "QueueArn",
}

// fifoOnly are the attributes that a Standard queue refuses.
var fifoOnly = []string{"ContentBasedDeduplication", "DeduplicationScope", "FifoQueue", "FifoThroughputLimit"}

// setters set one attribute each; an empty value is the default again.
var setters = map[string]func(s *settings, value string) error{
	"ContentBasedDeduplication": func(s *settings, v string) error {
		return setBool(&s.contentDedup, "ContentBasedDeduplication", v)
	},
	"DeduplicationScope": func(s *settings, v string) error {
		return setOneOf(&s.scope, "DeduplicationScope", v, scopeQueue, scopeGroup)
	},
	"FifoThroughputLimit": func(s *settings, v string) error {
		return setOneOf(&s.throttle, "FifoThroughputLimit", v, throttleQueue, throttleGroup)
	},
	"KmsDataKeyReusePeriodSeconds": setKMSReuse,
	"KmsMasterKeyId":               setKMSKey,
	"Policy":                       setPolicy,
	"RedriveAllowPolicy":           setRedriveAllow,
	"RedrivePolicy":                setRedrive,
	"SqsManagedSseEnabled": func(s *settings, v string) error {
		return setBool(&s.sse, "SqsManagedSseEnabled", v)
	},
}

func init() { //nolint:gochecknoinits // the table above cannot range over another
	for _, n := range numbers {
		setters[n.name] = n.set
	}
}

func (n *number) set(s *settings, value string) error {
	if value == "" {
		*n.field(s) = n.normal
		return nil
	}
	i, err := strconv.Atoi(value)
	if err != nil || i < n.min || i > n.max {
		return invalidAttributeValue(n.name)
	}
	*n.field(s) = i
	return nil
}

func setBool(field *bool, name, value string) error {
	switch strings.ToLower(value) {
	case "true":
		*field = true
	case "false", "":
		*field = false
	default:
		return invalidAttributeValue(name)
	}
	return nil
}

// setOneOf sets an attribute with named values, of which the first is the
// default.
func setOneOf(field *string, name, value string, allowed ...string) error {
	if value == "" {
		value = allowed[0]
	}
	if !slices.Contains(allowed, value) {
		return invalidAttributeValue(name)
	}
	*field = value
	return nil
}

func setKMSKey(s *settings, value string) error {
	s.kmsKey = value
	switch {
	case value == "":
		s.kmsReuse = ""
	case s.kmsReuse == "":
		s.kmsReuse = "300" // the default [API CreateQueue]
	}
	if value != "" {
		s.sse = false
	}
	return nil
}

func setKMSReuse(s *settings, value string) error {
	if value == "" {
		s.kmsReuse = ""
		return nil
	}
	i, err := strconv.Atoi(value)
	if err != nil || i < 60 || i > 86_400 { // [API CreateQueue]
		return invalidAttributeValue("KmsDataKeyReusePeriodSeconds")
	}
	s.kmsReuse = value
	return nil
}

func setPolicy(s *settings, value string) error {
	if value != "" && !json.Valid([]byte(value)) {
		return invalidAttributeValue("Policy")
	}
	s.policy = value
	return nil
}

// with is s with attributes set; all of them are checked before any is.
func (s settings) with(attributes map[string]string) (settings, error) {
	// KmsMasterKeyId comes before SqsManagedSseEnabled in this order, as it
	// must: a key turns the other encryption off.
	for _, name := range sortedKeys(attributes) {
		value := attributes[name]
		if name == "FifoQueue" {
			if err := s.keepKind(value); err != nil {
				return s, err
			}
			continue
		}
		if err := s.allows(name); err != nil {
			return s, err
		}
		if err := setters[name](&s, value); err != nil {
			return s, err
		}
	}
	err := s.agree(attributes)
	return s, err
}

// allows says whether the queue's kind has an attribute of that name.
func (s *settings) allows(name string) error {
	switch {
	case setters[name] == nil:
		return unknownAttribute(name)
	case s.fifo || !slices.Contains(fifoOnly, name):
		return nil
	case name == "DeduplicationScope", name == "FifoThroughputLimit":
		return invalidAttributeName("You can specify the %s only when FifoQueue is set to true.", name)
	default:
		return unknownAttribute(name)
	}
}

// keepKind refuses a FifoQueue attribute that does not say what the queue is.
// On a Standard queue the attribute does not exist, whatever its value
// [recorded: CreateQueue and SetQueueAttributes on a Standard queue].
func (s *settings) keepKind(value string) error {
	switch {
	case !s.fifo:
		return unknownAttribute("FifoQueue")
	case value != "true":
		return senderFault("InvalidAttributeValue", "InvalidAttributeValue",
			"Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.")
	default:
		return nil
	}
}

// agree checks what attributes say together.
func (s *settings) agree(set map[string]string) error {
	if s.throttle == throttleGroup && s.scope != scopeGroup {
		return senderFault("InvalidAttributeValue", "InvalidAttributeValue",
			"Invalid value for the parameter FifoThroughputLimit. Reason: perMessageGroupId is allowed only when "+
				"DeduplicationScope is messageGroup.")
	}
	if set["KmsMasterKeyId"] != "" && strings.EqualFold(set["SqsManagedSseEnabled"], "true") ||
		s.kmsKey != "" && s.sse {
		return invalidAttributeName("You can use one type of server-side encryption (SSE) at one time. " +
			"You can either enable KMS SSE or SQS SSE.")
	}
	return nil
}

// show lists the settings as GetQueueAttributes tells them.
func (s *settings) show() map[string]string {
	m := map[string]string{"SqsManagedSseEnabled": strconv.FormatBool(s.sse)}
	for _, n := range numbers {
		m[n.name] = strconv.Itoa(*n.field(s))
	}
	if s.fifo {
		m["FifoQueue"] = "true"
		m["ContentBasedDeduplication"] = strconv.FormatBool(s.contentDedup)
		m["DeduplicationScope"] = s.scope
		m["FifoThroughputLimit"] = s.throttle
	}
	for name, value := range map[string]string{
		"Policy": s.policy, "RedrivePolicy": s.redriveText, "RedriveAllowPolicy": s.allowText,
		"KmsMasterKeyId": s.kmsKey, "KmsDataKeyReusePeriodSeconds": s.kmsReuse,
	} {
		if value != "" {
			m[name] = value
		}
	}
	return m
}

const (
	dedupWindow = 5 * time.Minute // [API SendMessage]
	maxLease    = 12 * time.Hour  // [API ChangeMessageVisibility]
)

// apply writes the settings into the engine's configuration of the queue.
func (s *settings) apply(c *queue.Config, maxInFlight int, deadLetter string) {
	*c = queue.Config{
		FIFO:        s.fifo,
		Visibility:  seconds(s.visibility),
		Delay:       seconds(s.delay),
		Retention:   seconds(s.retention),
		MaxLease:    maxLease,
		MaxInFlight: maxInFlight,
	}
	if s.fifo {
		c.DedupWindow = dedupWindow
	}
	if s.scope == scopeGroup {
		c.DedupScope = queue.DedupPerGroup
	}
	if s.redrive != nil {
		c.MaxReceives, c.DeadLetter = int(s.redrive.MaxReceiveCount), deadLetter
	}
}

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }
