package broker

import (
	"fmt"
	"log/slog"
	"strings"
)

// Severity is how bad a [Finding] is. A higher one is worse.
type Severity uint8

// Values of Severity.
const (
	SeverityInfo    Severity = iota // worth knowing
	SeverityWarning                 // does harm under some conditions, or an error cannot be ruled out
	SeverityError                   // does harm in the current use, or has done harm
)

var severityNames = [...]string{"info", "warning", "error"}

// String returns the severity's word.
func (s Severity) String() string {
	if int(s) < len(severityNames) {
		return severityNames[s]
	}
	return fmt.Sprintf("Severity(%d)", uint8(s))
}

// MarshalText writes the severity's word, in JSON too.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Finding is one result of [Check] about a destination.
type Finding struct {
	Code        string   `json:"code"` // stable, such as "no-dead-letter"; Check lists them
	Severity    Severity `json:"severity"`
	Destination string   `json:"destination"` // as the caller named it
	Cause       string   `json:"cause"`       // the problem, its source and its effect
	Remedy      string   `json:"remedy"`      // what to do about it
}

// String returns the finding on one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s %s %s: %s; %s", f.Severity, f.Code, quote(f.Destination), f.Cause, f.Remedy)
}

// LogValue groups the finding's fields.
func (f Finding) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("code", f.Code),
		slog.String("severity", f.Severity.String()),
		slog.String("destination", f.Destination),
		slog.String("cause", f.Cause),
		slog.String("remedy", f.Remedy),
	)
}

// Findings are what [Check] returns: errors first, then warnings, then
// information. Those of several destinations may be appended to each other.
type Findings []Finding

// Columns of the table that String makes.
const (
	tableWidth  = 100
	tableIndent = 30
)

// String returns a table at most 100 columns wide, with a heading for each
// destination, or "no findings".
func (fs Findings) String() string {
	if len(fs) == 0 {
		return "no findings\n"
	}
	var b strings.Builder
	for i, f := range fs {
		if i == 0 || fs[i-1].Destination != f.Destination {
			b.WriteString(f.Destination + "\n")
		}
		lines := wrap(f.Cause, tableWidth-tableIndent)
		for _, line := range wrap(f.Remedy, tableWidth-tableIndent-2) {
			lines = append(lines, "> "+line)
		}
		left := fmt.Sprintf("  %-7s  %-17s  ", f.Severity, f.Code)
		for _, line := range lines {
			fmt.Fprintf(&b, "%-*s%s\n", tableIndent, left, line)
			left = ""
		}
	}
	return b.String()
}

// LogValue is a list with a line for each finding.
func (fs Findings) LogValue() slog.Value {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return slog.AnyValue(lines)
}

// wrap breaks text between words into lines of at most width runes, and within
// a word that is longer, such as an ARN.
func wrap(text string, width int) []string {
	var lines []string
	room := 0
	for word := range strings.FieldsSeq(text) {
		letters := []rune(word)
		for ; len(letters) > width; letters = letters[width:] {
			lines, room = append(lines, string(letters[:width])), 0
		}
		if n := len(letters) + 1; n <= room {
			lines[len(lines)-1] += " " + string(letters)
			room -= n
			continue
		}
		lines, room = append(lines, string(letters)), width-len(letters)
	}
	return lines
}
