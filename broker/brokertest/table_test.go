package brokertest_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/candidmq/candidmq/broker/brokertest"
)

//go:generate go test -count=1 -run ^Test(JetStream)?Conformance$ ../../memory ../../natsbroker ../../sqsbroker -update-conformance
//go:generate go test -count=1 -run ^TestTable$ . -update-conformance

var update = flag.Bool("update-conformance", false, "write the table of conformance")

const table = "TABLE.md"

// TestTable sees that the table is what the backends' tests have seen.
func TestTable(t *testing.T) {
	files, err := filepath.Glob("testdata/*.tsv")
	if err != nil || len(files) == 0 {
		t.Fatalf("no columns: %v", err)
	}
	var columns []brokertest.Column
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		c, err := brokertest.ParseColumn(string(text))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		columns = append(columns, c)
	}
	got := document(columns)
	if *update {
		if err := os.WriteFile(table, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(table)
	if err != nil || string(want) != got {
		t.Errorf("%s is not current (%v): go generate ./broker/brokertest", table, err)
	}
}

func document(columns []brokertest.Column) string {
	var b strings.Builder
	b.WriteString(`# Conformance

Made by ` + "`go generate ./broker/brokertest`" + ` from what the backends' tests saw, SQS on sqstest and NATS on a server in the
process; a test fails where it is not current.

**seen**: in both directions, as declared, and the opposite where it is not. **one-way**: what happens was seen; that it
cannot happen otherwise was not. **echo**: Describe follows a change made by a second client.

`)
	b.WriteString(brokertest.Table(columns...))
	b.WriteString("\n## Facts that are cited only\n\n")
	cited := brokertest.Unobserved()
	for _, name := range slices.Sorted(maps.Keys(cited)) {
		fmt.Fprintf(&b, "- `%s`: %s\n", name, cited[name])
	}
	b.WriteString("\n## What each case proves\n\n| case | rule | facts |\n|---|---|---|\n")
	for _, c := range brokertest.Cases() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", c.Name, strings.ReplaceAll(c.Rule, "|", `\|`), strings.Join(c.Fields, ", "))
	}
	return b.String()
}

func TestColumnIsReadAsWritten(t *testing.T) {
	c := brokertest.NewColumn(brokertest.Harness{Name: "some"}, []brokertest.Result{
		{Case: "publish/arrives", Proof: brokertest.Seen}, {Case: "roles/as-declared", Skipped: "a reason"},
	})
	got, err := brokertest.ParseColumn(c.String())
	if err != nil || got.Name != c.Name || !maps.Equal(got.Cells, c.Cells) {
		t.Errorf("got %v, %v; want %v", got, err, c)
	}
	if _, err := brokertest.ParseColumn("nothing\n"); err == nil {
		t.Error("no error for what is no column")
	}
	text := brokertest.Table(c)
	for _, want := range []string{"| `publish/arrives` | seen |", "| `roles/as-declared` | – (1) |", "1. a reason", "| `publish/copies-bytes` | not run |"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in the table", want)
		}
	}
}
