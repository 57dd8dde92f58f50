package sqsbroker

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/candidmq/candidmq/broker"
)

// permissions is the table of the package documentation: by method, what stands
// there.
func permissions(t *testing.T) map[string]string {
	t.Helper()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(doc), "policy actions of its name:\n//\n")
	if !ok {
		t.Fatal("doc.go has no such table")
	}
	table, _, _ = strings.Cut(table, "\n//\n")
	all := map[string]string{}
	for row := range strings.Lines(table) {
		methods, actions, _ := strings.Cut(strings.TrimPrefix(row, "//\t"), "  ")
		for method := range strings.SplitSeq(methods, ",") {
			all[strings.TrimSpace(method)] = strings.TrimSpace(actions)
		}
	}
	return all
}

// Each method makes the calls whose policy actions are documented for it, and no
// others; all may look a queue up.
func TestPermissionsAsDocumented(t *testing.T) {
	documented := permissions(t)
	for _, c := range []struct {
		method string
		of     []string // methods whose permissions it needs
		do     func(t *testing.T, r *rig, d *broker.Delivery) error
	}{
		{"Publish", nil, func(t *testing.T, r *rig, _ *broker.Delivery) error {
			_, err := r.Publish(t.Context(), letters(1)[0])
			return err
		}},
		{"PublishBatch", nil, func(t *testing.T, r *rig, _ *broker.Delivery) error {
			_, err := r.PublishBatch(t.Context(), letters(2))
			return err
		}},
		{"Receive", nil, func(t *testing.T, r *rig, _ *broker.Delivery) error {
			_, err := r.Receive(t.Context(), "jobs", 1, broker.Wait(0))
			return err
		}},
		{"Delete", nil, func(t *testing.T, r *rig, d *broker.Delivery) error { return r.Delete(t.Context(), d) }},
		{"Extend", nil, func(t *testing.T, r *rig, d *broker.Delivery) error { return r.Extend(t.Context(), time.Minute, d) }},
		{"Release", nil, func(t *testing.T, r *rig, d *broker.Delivery) error { return r.Release(t.Context(), 0, d) }},
		{"Reject", nil, func(t *testing.T, r *rig, d *broker.Delivery) error { return r.Reject(t.Context(), "spoilt", d) }},
		{"Subscribe", []string{"Receive", "Delete", "Release", "Extend", "Reject"}, func(t *testing.T, r *rig, _ *broker.Delivery) error {
			r.publish(t, "jobs", "", "slow", "fails", "is rejected")
			sub, err := r.Subscribe(t.Context(), "jobs", func(_ context.Context, d *broker.Delivery) error {
				switch string(d.Body) {
				case "slow":
					time.Sleep(time.Minute)
				case "fails":
					if d.Attempt == 1 {
						return broker.RetryAfter(time.Second, nil)
					}
				case "is rejected":
					return broker.Reject(nil)
				}
				return nil
			}, workers, broker.Concurrency(8))
			if err != nil {
				return err
			}
			r.called() // of publish
			sleep(2 * time.Minute)
			_, err = sub.Drain(t.Context())
			return err
		}},
		{"Describe", nil, func(t *testing.T, r *rig, _ *broker.Delivery) error {
			_, err := r.Describe(t.Context(), "jobs")
			return err
		}},
		{"Health", nil, func(t *testing.T, r *rig, _ *broker.Delivery) error {
			_, err := r.Health(t.Context(), "jobs")
			return err
		}},
		{"EnsureQueue", nil, func(t *testing.T, r *rig, _ *broker.Delivery) error {
			_, err := r.EnsureQueue(t.Context(), "more", QueueOptions{DeadLetter: "dead"})
			return err
		}},
		{"UpdateQueue", []string{"EnsureQueue"}, func(t *testing.T, r *rig, _ *broker.Delivery) error {
			_, err := r.UpdateQueue(t.Context(), "jobs", QueueOptions{Visibility: time.Minute})
			return err
		}},
		{"Redrive", []string{"Receive", "Delete", "Release"}, func(t *testing.T, r *rig, _ *broker.Delivery) error {
			r.publish(t, "dead", "", "a", "b", "c")
			r.called() // of publish
			sleep(time.Second)
			for _, refused := range []string{"SendMessage", "StartMessageMoveTask", ""} {
				r.setFault(func(action string, w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
					switch {
					case action == "SendMessage" && refused == action:
						writeError(w, http.StatusBadRequest, "KmsDisabled") // all are given back
					case action == "StartMessageMoveTask" && refused != "":
						writeError(w, http.StatusBadRequest, "UnsupportedOperation")
					default:
						return false
					}
					return true
				})
				if _, err := r.Redrive(t.Context(), "dead", RedriveOptions{To: "jobs"}); (err != nil) != (refused == "SendMessage") {
					t.Errorf("without %q: %v", refused, err)
				}
			}
			return nil
		}},
		{"Ping", nil, func(t *testing.T, r *rig, _ *broker.Delivery) error { return r.Ping(t.Context()) }},
	} {
		t.Run(c.method, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, r *rig) {
				r.create(t, "dead")
				r.create(t, "jobs", "RedrivePolicy", redriveTo("dead", "9"))
				r.publish(t, "jobs", "", "a")
				d := r.take(t, "jobs", 1)[0]
				r.called()
				if err := c.do(t, r, d); err != nil {
					t.Fatal(err)
				}
				allowed := documented[c.method]
				if allowed == "" {
					t.Fatal("it is not documented")
				}
				for _, method := range c.of {
					if !strings.Contains(allowed, method) {
						t.Errorf("%q does not name %s", allowed, method)
					}
					allowed += " " + documented[method]
				}
				calls := r.called()
				if len(calls) == 0 {
					t.Error("no call was made")
				}
				for action := range calls {
					action = "sqs:" + strings.TrimSuffix(action, "Batch")
					if action != "sqs:GetQueueUrl" && action != "sqs:GetQueueAttributes" && !strings.Contains(allowed, action) {
						t.Errorf("it called %s, which is not in %q", action, allowed)
					}
				}
			})
		})
	}
}
