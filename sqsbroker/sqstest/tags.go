package sqstest

import (
	"maps"
	"unicode/utf8"
)

const (
	maxTags     = 50  // [DG sqs-queue-tags]
	maxTagKey   = 128 // characters
	maxTagValue = 256
)

// checkTags checks tags that are to be added to those that a queue has.
func checkTags(has, add map[string]string) error {
	n := len(has)
	for _, key := range sortedKeys(add) {
		if _, replaced := has[key]; !replaced {
			n++
		}
		switch {
		case key == "" || utf8.RuneCountInString(key) > maxTagKey:
			return invalidParameter("Tag keys must be between 1 and 128 characters in length.")
		case utf8.RuneCountInString(add[key]) > maxTagValue:
			return invalidParameter("Tag values must be between 0 and 256 characters in length.")
		}
	}
	if n > maxTags {
		return invalidParameter("Too many tags added for queue: %d, the limit is %d.", n, maxTags)
	}
	return nil
}

func (h *Handler) tagQueue(c *call, in *tagIn) (*nothing, error) {
	q, err := h.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	if len(in.Tags) == 0 {
		return nil, missingParameter("Tags")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := checkTags(q.tags, in.Tags); err != nil {
		return nil, err
	}
	if q.tags == nil {
		q.tags = make(map[string]string)
	}
	maps.Copy(q.tags, in.Tags)
	return &nothing{}, nil
}

func (h *Handler) untagQueue(c *call, in *untagIn) (*nothing, error) {
	q, err := h.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	if len(in.TagKeys) == 0 {
		return nil, missingParameter("TagKeys")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, key := range in.TagKeys {
		delete(q.tags, key)
	}
	return &nothing{}, nil
}

func (h *Handler) listQueueTags(c *call, in *queueURL) (*tagsOut, error) {
	q, err := h.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	return &tagsOut{Tags: maps.Clone(q.tags)}, nil
}
