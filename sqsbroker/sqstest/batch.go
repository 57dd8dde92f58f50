package sqstest

import (
	"net/http"
	"regexp"
)

// maxEntries is the largest batch [API SendMessageBatch and its like].
const maxEntries = 10

var entryName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// checkEntries makes the checks that all batches share; they fail the whole
// call [API; recorded].
func checkEntries[E any](entries []E, id func(*E) string) error {
	if len(entries) == 0 {
		return senderFault("EmptyBatchRequest", prefix+"EmptyBatchRequest",
			"There should be at least one entry in the request.")
	}
	if n := len(entries); n > maxEntries {
		return senderFault("TooManyEntriesInBatchRequest", prefix+"TooManyEntriesInBatchRequest",
			"Maximum number of entries per request are %d. You have sent %d.", maxEntries, n)
	}
	seen := make(map[string]bool, len(entries))
	for i := range entries {
		name := id(&entries[i])
		if !entryName.MatchString(name) {
			return senderFault("InvalidBatchEntryId", prefix+"InvalidBatchEntryId",
				"A batch entry id can only contain alphanumeric characters, hyphens and underscores. "+
					"It can be at most 80 letters long.")
		}
		if seen[name] {
			return senderFault("BatchEntryIdsNotDistinct", prefix+"BatchEntryIdsNotDistinct", "Id %s repeated.", name)
		}
		seen[name] = true
	}
	return nil
}

// newFault reports one entry that failed, under the code of the query protocol
// as the real service does [recorded: InvalidParameterValue].
func newFault(id string, err error) entryFault {
	e := wireError(err)
	return entryFault{ID: id, Code: e.Code, Message: e.Message, SenderFault: e.Status < http.StatusInternalServerError}
}

// each runs a batch whose entries succeed or fail one by one.
func each[E any](entries []E, id func(*E) string, do func(*E) error) *batchOut[entryID] {
	out := &batchOut[entryID]{}
	for i := range entries {
		name := id(&entries[i])
		if err := do(&entries[i]); err != nil {
			out.Failed = append(out.Failed, newFault(name, err))
			continue
		}
		out.Successful = append(out.Successful, entryID{name})
	}
	return out
}
