package brokertest

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"
)

// Column is what became of every case on one backend, as the table of all
// backends shows it.
type Column struct {
	Name  string
	Cells map[string]string // by case: a Proof, or why there is none
}

// NewColumn makes the column of a run.
func NewColumn(h Harness, results []Result) Column {
	c := Column{h.Name, map[string]string{}}
	for _, r := range results {
		c.Cells[r.Case] = cmp.Or(string(r.Proof), "– "+r.Skipped)
		if r.Failed {
			c.Cells[r.Case] = "failed"
		}
	}
	return c
}

// String is the column as a file keeps it: a line for each case.
func (c Column) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "backend\t%s\n", c.Name)
	for _, k := range Cases() {
		if cell := c.Cells[k.Name]; cell != "" {
			fmt.Fprintf(&b, "%s\t%s\n", k.Name, cell)
		}
	}
	return b.String()
}

// ParseColumn reads what String wrote.
func ParseColumn(text string) (Column, error) {
	c := Column{Cells: map[string]string{}}
	for line := range strings.Lines(text) {
		key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		switch {
		case !ok:
			return c, fmt.Errorf("brokertest: no column: %q", line)
		case key == "backend":
			c.Name = value
		default:
			c.Cells[key] = value
		}
	}
	return c, nil
}

// CheckColumn compares the column of a complete run with the one that the file
// at path keeps, or writes it there if update is set. Of a run that left cases
// out, by the flag -run or by failing, it checks nothing.
func CheckColumn(t *testing.T, path string, update bool, h Harness, results []Result) {
	t.Helper()
	for _, r := range results {
		if r.Failed {
			return
		}
	}
	if len(results) < len(Cases()) {
		return
	}
	got := NewColumn(h, results).String()
	if update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil { //nolint:gosec // part of the documentation
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path) //nolint:gosec // the caller's own file
	if err != nil || string(want) != got {
		t.Errorf("%s is not current (%v); see the package documentation of brokertest", path, err)
	}
}

// Table is the table of several backends, in Markdown, with the reason below it
// where a case was not run, and the facts that no case observes.
func Table(columns ...Column) string {
	var b strings.Builder
	b.WriteString("| case |")
	for _, c := range columns {
		b.WriteString(" " + c.Name + " |")
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(columns)) + "\n")
	notes := &notes{}
	for _, k := range Cases() {
		fmt.Fprintf(&b, "| `%s` |", k.Name)
		for _, c := range columns {
			b.WriteString(" " + notes.cell(c.Cells[k.Name]) + " |")
		}
		b.WriteString("\n")
	}
	return b.String() + notes.String()
}

// notes are reasons, each with its number.
type notes struct{ all []string }

func (n *notes) cell(text string) string {
	reason, ok := strings.CutPrefix(text, "– ")
	if !ok {
		return cmp.Or(text, "not run")
	}
	for i, known := range n.all {
		if known == reason {
			return fmt.Sprintf("– (%d)", i+1)
		}
	}
	n.all = append(n.all, reason)
	return fmt.Sprintf("– (%d)", len(n.all))
}

// String lists them.
func (n *notes) String() string {
	var b strings.Builder
	b.WriteString("\nNot run, because:\n\n")
	for i, reason := range n.all {
		fmt.Fprintf(&b, "%d. %s\n", i+1, reason)
	}
	return b.String()
}
