package sqstest_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

// recording is what the real service answered to a test's calls, by label, in
// the form in which LocalStack publishes its recordings (test_sqs.snapshot.json,
// Apache-2.0). The file is not part of this project: SQS_RECORDINGS names it.
type recording struct {
	Content map[string]any `json:"recorded-content"`
}

// TestRecordings provokes the recorded answers anew and compares them: fields,
// codes, messages, digests, attributes. What differs between any two runs, or
// was replaced by a placeholder, is left out.
func TestRecordings(t *testing.T) {
	file := os.Getenv("SQS_RECORDINGS")
	if file == "" {
		t.Skip("set SQS_RECORDINGS to LocalStack's test_sqs.snapshot.json to compare with the real service's answers")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all map[string]recording
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	var same, different int
	var missing []string
	for _, full := range slices.Sorted(maps.Keys(all)) {
		_, name, _ := strings.Cut(full, "::test_") // file::class::test_name
		if len(all[full].Content) == 0 || strings.Contains(name, "[sqs_query") {
			continue // nothing recorded, or the protocol that is not spoken here
		}
		run := scenarios[name]
		if run == nil {
			missing = append(missing, name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := newEnv(t, nil)
				defer e.srv.Close()
				r := &replay{env: e, got: make(map[string]any)}
				run(r)
				s, d := r.compare(all[full].Content)
				same, different = same+s, different+d
			})
		})
	}
	t.Logf("recorded answers: %d agree, %d differ; %d recordings have no scenario: %v", same, different, len(missing), missing)
}

// replay makes a recording's calls.
type replay struct {
	*env
	got map[string]any
}

// call makes a call and keeps its answer under a label, in the recordings' form.
func (r *replay) call(label, action string, in map[string]any) map[string]any {
	r.t.Helper()
	a := r.env.call(action, in)
	out := a.body
	if a.status != 200 {
		kind := "Sender"
		if strings.HasSuffix(a.header.Get("x-amzn-query-error"), "Receiver") {
			kind = "Receiver"
		}
		out = map[string]any{"Error": map[string]any{
			"Code": a.code(), "QueryErrorCode": a.name(), "Message": a.message(), "Type": kind,
		}}
	}
	if label != "" {
		kept := maps.Clone(out)
		kept["ResponseMetadata"] = map[string]any{"HTTPStatusCode": float64(a.status)}
		r.got[label] = kept
	}
	return out
}

// unprovoked are the recorded answers that no call here can get, and why.
var unprovoked = map[string]string{
	"queue-does-not-exist-query": "the query protocol is not spoken",
}

func (r *replay) compare(want map[string]any) (same, different int) {
	for _, label := range slices.Sorted(maps.Keys(want)) {
		if unprovoked[label] != "" {
			continue
		}
		if diff := differ(label, r.got[label], want[label]); diff != "" {
			different++
			r.t.Errorf("%s", diff)
			continue
		}
		same++
	}
	return same, different
}

var placeholder = regexp.MustCompile(`<[a-z-]+(:\d+)?>`)

// differ says where got is not what was recorded; "" if it is.
func differ(at string, got, want any) string {
	switch want := want.(type) {
	case map[string]any:
		return differMap(at, got, want)
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return fmt.Sprintf("%s: got %v, want %d elements", at, got, len(want))
		}
		for i := range want {
			if d := differ(fmt.Sprintf("%s[%d]", at, i), list[i], want[i]); d != "" {
				return d
			}
		}
		return ""
	case string:
		return differString(at, got, want)
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Sprintf("%s: got %v, want %v", at, got, want)
	}
	return ""
}

func differMap(at string, got any, want map[string]any) string {
	if text, ok := got.(string); ok { // bodies and policies that are JSON were recorded as such
		var parsed map[string]any
		if json.Unmarshal([]byte(text), &parsed) == nil {
			got = parsed
		}
	}
	m, ok := got.(map[string]any)
	if !ok {
		return fmt.Sprintf("%s: got %v, want %v", at, got, want)
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		switch name {
		case "message", "HTTPHeaders": // of the recorder's client
		case "timestamp": // an attribute that the recorder took for a time
		default:
			if d := differ(at+"."+name, m[name], want[name]); d != "" {
				return d
			}
		}
	}
	for name := range m {
		if _, ok := want[name]; !ok {
			return fmt.Sprintf("%s: got %s: %v, which was not recorded", at, name, m[name])
		}
	}
	return ""
}

func differString(at string, got any, want string) string {
	text := fmt.Sprint(got)
	switch {
	case want == "timestamp" && text != "", strings.HasPrefix(want, "b'"): // binary values: their digest is compared
		return ""
	case strings.HasPrefix(want, "http"): // another host and account
		text, want = path.Base(text), path.Base(want)
		want = want[strings.LastIndexByte(want, '-')+1:]
		text = text[strings.LastIndexByte(text, '-')+1:]
	case strings.HasSuffix(at, "NextToken"): // opaque
		return ""
	}
	pattern := "^" + placeholder.ReplaceAllString(regexp.QuoteMeta(want), ".+") + "$"
	pattern = strings.ReplaceAll(pattern, "111111111111", `\d{12}`)
	if !regexp.MustCompile(pattern).MatchString(text) {
		return fmt.Sprintf("%s: got %q, want %q", at, text, want)
	}
	return ""
}
