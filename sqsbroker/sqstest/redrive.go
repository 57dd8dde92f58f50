package sqstest

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// redrivePolicy is what RedrivePolicy says.
type redrivePolicy struct {
	DeadLetterTargetARN string       `json:"deadLetterTargetArn"`
	MaxReceiveCount     receiveCount `json:"maxReceiveCount"`
}

// receiveCount is written as a number or as a string [recorded in both forms].
type receiveCount int

func (n *receiveCount) UnmarshalJSON(b []byte) error {
	i, err := strconv.Atoi(strings.Trim(string(b), `"`))
	*n = receiveCount(i)
	return err
}

// redriveAllowPolicy is what RedriveAllowPolicy says.
type redriveAllowPolicy struct {
	RedrivePermission string   `json:"redrivePermission"`
	SourceQueueARNs   []string `json:"sourceQueueArns"`
}

// maxReceiveCount is the largest one that AWS takes [facts: AWS MDAA docs].
const maxReceiveCount = 1000

// setRedrive checks the policy by itself; whether its target exists and agrees
// is known to the [Handler] only.
func setRedrive(s *settings, value string) error {
	if value == "" {
		s.redrive, s.redriveText = nil, ""
		return nil
	}
	var p redrivePolicy
	if err := json.Unmarshal([]byte(value), &p); err != nil {
		return invalidValue(value, "RedrivePolicy", "Redrive policy is not a valid JSON map.")
	}
	switch {
	case p.DeadLetterTargetARN == "":
		return invalidValue(value, "RedrivePolicy", "Redrive policy does not contain mandatory attribute: deadLetterTargetArn.")
	case !strings.Contains(value, `"maxReceiveCount"`):
		return invalidValue(value, "RedrivePolicy", "Redrive policy does not contain mandatory attribute: maxReceiveCount.")
	case p.MaxReceiveCount < 1, p.MaxReceiveCount > maxReceiveCount:
		return invalidValue(value, "RedrivePolicy", "Invalid value for maxReceiveCount: "+
			strconv.Itoa(int(p.MaxReceiveCount))+", valid values are from 1 to 1000 both inclusive.")
	}
	s.redrive, s.redriveText = &p, value
	return nil
}

func setRedriveAllow(s *settings, value string) error {
	if value == "" {
		s.allow, s.allowText = nil, ""
		return nil
	}
	var p redriveAllowPolicy
	if err := json.Unmarshal([]byte(value), &p); err != nil {
		return invalidValue(value, "RedriveAllowPolicy", "Redrive allow policy is not a valid JSON map.")
	}
	n := len(p.SourceQueueARNs)
	switch p.RedrivePermission {
	case "allowAll", "denyAll":
		if n > 0 {
			return invalidValue(value, "RedriveAllowPolicy", "sourceQueueArns is allowed with redrivePermission byQueue only.")
		}
	case "byQueue":
		if n < 1 || n > 10 {
			return invalidValue(value, "RedriveAllowPolicy", "With byQueue, 1 to 10 sourceQueueArns are required.")
		}
	default:
		return invalidValue(value, "RedriveAllowPolicy", "redrivePermission must be one of allowAll, denyAll, byQueue.")
	}
	s.allow, s.allowText = &p, value
	return nil
}

// permits says whether a dead-letter queue with policy p takes messages of the
// queue with that ARN; without a policy it does [API CreateQueue].
func (p *redriveAllowPolicy) permits(sourceARN string) bool {
	if p == nil || p.RedrivePermission == "allowAll" {
		return true
	}
	return slices.Contains(p.SourceQueueARNs, sourceARN)
}

// target finds the dead-letter queue that s names, and refuses one that SQS
// refuses [DG sqs-dead-letter-queues]. The caller holds h.mu.
func (h *Handler) target(source address, s *settings) (*sqsQueue, error) {
	if s.redrive == nil {
		return nil, nil //nolint:nilnil // no dead-letter queue is asked for
	}
	a, ok := h.parseARN(s.redrive.DeadLetterTargetARN)
	if !ok {
		return nil, invalidValue(s.redriveText, "RedrivePolicy", "Invalid value for deadLetterTargetArn.")
	}
	d := h.queues[a]
	switch {
	case d == nil:
		return nil, invalidValue(s.redriveText, "RedrivePolicy", "Dead letter target does not exist.")
	case d.settings.fifo != s.fifo:
		return nil, invalidValue(s.redriveText, "RedrivePolicy",
			"Dead-letter queue must be same type of queue as the source.")
	case !d.settings.allow.permits(h.arn(source)):
		return nil, invalidValue(s.redriveText, "RedrivePolicy",
			"The dead-letter queue's RedriveAllowPolicy does not permit this source queue.")
	}
	return d, nil
}

// sourcesOf are the addresses of the queues whose dead-letter queue d is. The
// caller holds h.mu.
func (h *Handler) sourcesOf(d *sqsQueue) []address {
	arn := h.arn(d.addr)
	var found []address
	for a, q := range h.queues {
		if r := q.settings.redrive; r != nil && r.DeadLetterTargetARN == arn {
			found = append(found, a)
		}
	}
	return found
}

func (h *Handler) listDeadLetterSourceQueues(c *call, in *listSourcesIn) (*listSourcesOut, error) {
	d, err := h.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	var urls []string
	for _, a := range h.sourcesOf(d) {
		urls = append(urls, h.urlOf(c, a))
	}
	urls, token, err := page(urls, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &listSourcesOut{QueueURLs: append([]string{}, urls...), NextToken: token}, nil
}
