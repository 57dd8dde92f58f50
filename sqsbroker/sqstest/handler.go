package sqstest

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/candidmq/candidmq/internal/queue"
)

// Handler is the endpoint as an [http.Handler]; make one with [NewHandler].
// Its methods may be called concurrently.
type Handler struct {
	opts   Options
	clock  Clock
	engine *queue.Engine

	mu       sync.RWMutex // held while the engine is asked about its queues, never the other way round
	queues   map[address]*sqsQueue
	byEngine map[string]address // by the engine's names, dropped queues too
	deleted  map[address]time.Time
	lastID   uint64
	timers   sync.WaitGroup // of move tasks
	names    sync.Map       // queues' names by the engine's, for observers, who cannot have mu

	callsMu sync.Mutex
	calls   map[string]int
}

// NewHandler makes an endpoint without queues. Whoever mounts it calls Close
// when no more requests come; nil options are zero ones.
func NewHandler(opts *Options) *Handler {
	h := &Handler{
		queues:   make(map[address]*sqsQueue),
		byEngine: make(map[string]address),
		deleted:  make(map[address]time.Time),
		calls:    make(map[string]int),
	}
	if opts != nil {
		h.opts = *opts
	}
	h.opts.setDefaults()
	h.clock = h.opts.Clock
	h.engine = queue.New(h.clock)
	h.engine.PlayWorst(h.opts.WorstCase)
	return h
}

// Close ends waiting receives with a 503 and forgets all queues. It may be
// called again.
func (h *Handler) Close() {
	h.mu.Lock()
	for _, q := range h.queues {
		q.endTasks()
	}
	clear(h.queues)
	h.mu.Unlock()
	h.timers.Wait()
	h.engine.Close()
}

// Calls counts the requests by action, failed ones too: what AWS would charge
// for, but for the rule that each 64 KiB of payload are a request. A request
// for an action that does not exist counts under "".
func (h *Handler) Calls() map[string]int {
	h.callsMu.Lock()
	defer h.callsMu.Unlock()
	return maps.Clone(h.calls)
}

func (h *Handler) count(action string) {
	h.callsMu.Lock()
	defer h.callsMu.Unlock()
	h.calls[action]++
}

const (
	contentType = "application/x-amz-json-1.0"
	target      = "AmazonSQS."
	// maxRequest is more than 1 MiB of payload can take: each byte escaped as
	// \u00XX, and the names around it.
	maxRequest = 8 << 20
	// patience is how long a client may take to send a request's body.
	patience = 30 * time.Second
)

// ServeHTTP answers one request of the SQS API, whatever its path: SDKs post to
// the endpoint, or to the queue's URL.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := newUUID()
	w.Header().Set("x-amzn-RequestId", id)
	if isQuery(r) {
		writeQueryError(w, id)
		return
	}
	out, err := h.serve(w, r)
	if err != nil {
		writeError(w, wireError(err))
		return
	}
	writeJSON(w, http.StatusOK, out)
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) (any, error) {
	name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), target)
	act := actions[name]
	if !ok || act == nil || r.Method != http.MethodPost {
		h.count("")
		return nil, &Error{
			Name: "UnknownOperationException", Code: "InvalidAction", Status: http.StatusBadRequest,
			Message: fmt.Sprintf("sqstest answers a POST with an X-Amz-Target of SQS's JSON protocol, not %s %q.",
				r.Method, r.Header.Get("X-Amz-Target")),
		}
	}
	h.count(name)
	body, err := readBody(w, r)
	if err != nil {
		return nil, err
	}
	c := &call{ctx: r.Context(), account: h.opts.accountOf(accessKey(r)), baseURL: h.baseURL(r)}
	return act(h, c, body)
}

// readBody reads a request's body within patience. The deadline must not outlast
// a body that was read, since it would end a long poll; of one that was not it
// must, or the server would wait for the rest.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(patience)) // not every writer has deadlines
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err == nil {
		_ = rc.SetReadDeadline(time.Time{})
		return body, nil
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &Error{
			Name: "RequestEntityTooLargeException", Code: "RequestEntityTooLarge",
			Status: http.StatusRequestEntityTooLarge, Message: "The request is too large.",
		}
	}
	return nil, serialization("The request ended early: %v", err)
}

// credential finds the access key in a signature of version 4.
var credential = regexp.MustCompile(`Credential=([^/,\s]+)/`)

// accessKey is the caller's; "" for an unsigned request. Signatures are not
// checked.
func accessKey(r *http.Request) string {
	if m := credential.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
		return m[1]
	}
	return ""
}

func (h *Handler) baseURL(r *http.Request) string {
	switch {
	case h.opts.BaseURL != "":
		return h.opts.BaseURL
	case r.TLS != nil:
		return "https://" + r.Host
	default:
		return "http://" + r.Host
	}
}

// isQuery tells a request of the older query protocol.
func isQuery(r *http.Request) bool {
	return r.Header.Get("X-Amz-Target") == "" &&
		(strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") ||
			r.URL.Query().Has("Action"))
}

// writeQueryError tells a client of the query protocol, in its own form, that
// it is not spoken here.
func writeQueryError(w http.ResponseWriter, id string) {
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(http.StatusBadRequest)
	_, _ = fmt.Fprintf(w, `<?xml version="1.0"?><ErrorResponse xmlns="http://queue.amazonaws.com/doc/2012-11-05/">`+
		`<Error><Type>Sender</Type><Code>%sUnsupportedOperation</Code>`+
		`<Message>sqstest speaks the AWS JSON 1.0 protocol only, not the query protocol: use an SDK from 2024 or later.</Message>`+
		`</Error><RequestId>%s</RequestId></ErrorResponse>`, prefix, id) // the client may be gone
}

func writeError(w http.ResponseWriter, e *Error) {
	w.Header().Set("x-amzn-query-error", e.queryHeader())
	writeJSON(w, e.Status, map[string]string{"__type": "com.amazonaws.sqs#" + e.Name, "message": e.Message})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil { // none of our shapes can fail
		panic(err)
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

// newUUID is a random UUID (version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[:8], b[:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:], b[10:])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return string(s[:])
}
