package broker

// CheckRules gives the tests every code of the checklist, with its severity.
func CheckRules() map[string]Severity {
	codes := map[string]Severity{}
	for _, r := range rules {
		codes[r.code] = r.severity
	}
	return codes
}

// UnknownHealth is what Check takes where there is no Health.
var UnknownHealth = unknownHealth
