package sqstest

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fault names a kind of misbehaviour, as [Faults.Hits] counts them.
type Fault string

// Faults that can be injected.
const (
	FaultThrottle     Fault = "throttle"      // HTTP 400 ThrottlingException, nothing done
	FaultServerError  Fault = "server-error"  // HTTP 500 InternalFailure, nothing done
	FaultRefusal      Fault = "refusal"       // the plan's Refusal, nothing done
	FaultDropRequest  Fault = "drop-request"  // the connection closes, nothing done
	FaultDropResponse Fault = "drop-response" // the request is carried out, then the connection closes
	FaultEntry        Fault = "entry"         // one entry of a batch fails, with SenderFault false
	FaultLatency      Fault = "latency"       // the request waited
)

// FaultPlan says what goes wrong and how often. Chances are from 0 to 1, of each
// request, or of each entry of a batch.
type FaultPlan struct {
	Throttle     float64
	ServerError  float64
	Refuse       float64
	DropRequest  float64
	DropResponse float64
	Entry        float64
	// Refusal is what Refuse answers: any error of the service, such as
	//
	//	Error{Name: "KmsDisabled", Code: "KMS.DisabledException", Status: 400}
	//
	// of an encrypted queue, which this endpoint has none of.
	Refusal Error
	// Latency is added to every request.
	Latency time.Duration
	// Only limits the faults to these actions, such as "ReceiveMessage"; all
	// if empty.
	Only []string
}

// Faults makes an endpoint misbehave as a network and a busy service do. Give
// its Wrap to [Options]. Duplicates and reordering are [Options].WorstCase. It is
// safe for concurrent use.
type Faults struct {
	mu   sync.Mutex
	plan FaultPlan
	rand *rand.Rand
	hits map[Fault]int
}

// NewFaults makes a Faults with a plan. The same seed and requests in the same
// order give the same faults.
func NewFaults(seed uint64, plan FaultPlan) *Faults {
	return &Faults{
		plan: plan, hits: map[Fault]int{},
		rand: rand.New(rand.NewPCG(seed, seed)), //nolint:gosec // repeatable on purpose
	}
}

// Set changes the plan; the zero FaultPlan ends all faults.
func (f *Faults) Set(plan FaultPlan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan = plan
}

// Hits counts the faults that were injected so far. A test that counts on faults
// should fail if there were none.
func (f *Faults) Hits() map[Fault]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.hits)
}

// planFor is the plan for an action.
func (f *Faults) planFor(action string) FaultPlan {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.plan.Only) > 0 && !slices.Contains(f.plan.Only, action) {
		return FaultPlan{}
	}
	return f.plan
}

// strikes decides by chance, and counts a hit.
func (f *Faults) strikes(fault Fault, chance float64) bool {
	if chance <= 0 {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rand.Float64() >= chance {
		return false
	}
	f.hits[fault]++
	return true
}

// Wrap puts the faults around an endpoint; it is for Options.Wrap.
func (f *Faults) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		action := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), target)
		plan := f.planFor(action)
		if plan.Latency > 0 && f.strikes(FaultLatency, 1) && !waited(r, plan.Latency) {
			return
		}
		switch {
		case f.strikes(FaultThrottle, plan.Throttle):
			writeError(w, &Error{
				Name: "ThrottlingException", Code: "ThrottlingException", Status: http.StatusBadRequest, Message: "Rate exceeded",
			})
		case f.strikes(FaultServerError, plan.ServerError):
			writeError(w, &Error{
				Name: "InternalFailure", Code: "InternalFailure",
				Status: http.StatusInternalServerError, Message: "The request processing has failed.",
			})
		case f.strikes(FaultRefusal, plan.Refuse):
			writeError(w, &plan.Refusal)
		case f.strikes(FaultDropRequest, plan.DropRequest):
			panic(http.ErrAbortHandler) // closes the connection
		case f.strikes(FaultDropResponse, plan.DropResponse):
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case plan.Entry > 0 && strings.HasSuffix(action, "Batch"):
			f.partly(next, w, r, plan.Entry)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// waited waits, and reports false if the client gave up meanwhile.
func waited(r *http.Request, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// partly carries out a batch without the entries that fail, and puts those into
// the answer.
func (f *Faults) partly(next http.Handler, w http.ResponseWriter, r *http.Request, chance float64) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	pass := func(body []byte, w http.ResponseWriter) {
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.ContentLength = int64(len(body))
		next.ServeHTTP(w, r)
	}
	var in map[string]json.RawMessage
	var entries []json.RawMessage
	if json.Unmarshal(body, &in) != nil || json.Unmarshal(in["Entries"], &entries) != nil {
		pass(body, w) // malformed: the endpoint's own error
		return
	}
	kept, failed := f.split(entries, chance)
	if len(failed) == 0 {
		pass(body, w)
		return
	}
	out := batchOut[json.RawMessage]{Failed: failed}
	if len(kept) > 0 {
		in["Entries"] = mustJSON(kept)
		answer := httptest.NewRecorder()
		pass(mustJSON(in), answer)
		var rest batchOut[json.RawMessage]
		if answer.Code != http.StatusOK || json.Unmarshal(answer.Body.Bytes(), &rest) != nil {
			maps.Copy(w.Header(), answer.Header())
			w.WriteHeader(answer.Code)
			_, _ = w.Write(answer.Body.Bytes()) // the client may be gone
			return
		}
		out.Successful = rest.Successful
		out.Failed = append(out.Failed, rest.Failed...)
	}
	writeJSON(w, http.StatusOK, out)
}

// split takes out the entries that fail.
func (f *Faults) split(entries []json.RawMessage, chance float64) (kept []json.RawMessage, failed []entryFault) {
	for _, entry := range entries {
		var id struct {
			ID string `json:"Id"`
		}
		if json.Unmarshal(entry, &id) == nil && f.strikes(FaultEntry, chance) {
			failed = append(failed, entryFault{ID: id.ID, Code: "InternalError", Message: "injected by a test"})
			continue
		}
		kept = append(kept, entry)
	}
	return kept, failed
}

func mustJSON(v any) []byte {
	body, err := json.Marshal(v)
	if err != nil { // what was read from JSON
		panic(err)
	}
	return body
}
