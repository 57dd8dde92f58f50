package natsbroker_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The fast publisher is in a module of its own, which this one does without.
func TestPitfallOfTheFastPublisher(t *testing.T) {
	module, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(module), "github.com/nats-io/nats.go ") || strings.Contains(string(module), "orbit.go") {
		t.Error("go.mod requires orbit.go, or is not this module's")
	}
}

// PITFALLS.md has each of the 44 once, and names tests that there are.
func TestPitfallsAreComplete(t *testing.T) {
	text, err := os.ReadFile("PITFALLS.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, file := range files {
		code, err := os.ReadFile(file) //nolint:gosec // this package's own files
		if err != nil {
			t.Fatal(err)
		}
		source.Write(code)
	}
	for _, name := range regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(text), -1) {
		if !strings.Contains(source.String(), "func "+name[1]+"(") {
			t.Errorf("there is no %s", name[1])
		}
	}
	seen := map[string]int{}
	for _, row := range regexp.MustCompile(`(?m)^\| (\d+) \|`).FindAllStringSubmatch(string(text), -1) {
		seen[row[1]]++
	}
	for n := 1; n <= 44; n++ {
		if seen[strconv.Itoa(n)] != 1 {
			t.Errorf("pitfall %d is there %d times", n, seen[strconv.Itoa(n)])
		}
	}
}
