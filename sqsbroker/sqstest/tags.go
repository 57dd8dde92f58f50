package sqstest

import "unicode/utf8"

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
