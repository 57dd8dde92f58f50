package sqstest

import (
	"encoding/json"
	"regexp"
	"slices"
)

// policyDocument is the access policy of a queue, which is stored and shown,
// and never enforced. Statements that are not ours are kept as they are.
type policyDocument struct {
	Version   string
	ID        string `json:"Id"`
	Statement []json.RawMessage
}

// statement is what AddPermission adds to a policy [recorded].
type statement struct {
	Sid       string
	Effect    string
	Principal struct{ AWS any }
	Action    any
	Resource  string
}

var (
	label     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`) // [API AddPermission]
	accountID = regexp.MustCompile(`^[0-9]{12}$`)
)

// grantable are the actions that a permission may name [API AddPermission].
var grantable = []string{
	"*", "ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "GetQueueUrl",
	"ListDeadLetterSourceQueues", "PurgeQueue", "ReceiveMessage", "SendMessage",
}

func (h *Handler) addPermission(c *call, in *addPermissionIn) (*nothing, error) {
	q, err := h.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	if err := in.check(); err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	arn := h.arn(q.addr)
	p := policyDocument{Version: "2008-10-17", ID: arn + "/SQSDefaultPolicy"}
	if err := p.read(q.settings.policy); err != nil {
		return nil, err
	}
	if p.find(in.Label) >= 0 {
		return nil, invalidValue(in.Label, "Label", "Already exists.")
	}
	p.add(in.statement(arn))
	q.settings.policy = p.text()
	return &nothing{}, nil
}

func (in *addPermissionIn) check() error {
	switch {
	case in.Label == "":
		return missingParameter("Label")
	case len(in.AWSAccountIDs) == 0:
		return missingParameter("AWSAccountIds")
	case len(in.Actions) == 0:
		return missingParameter("Actions")
	case !label.MatchString(in.Label):
		return invalidValue(in.Label, "Label", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.")
	}
	for _, a := range in.Actions {
		if !slices.Contains(grantable, a) {
			return invalidValue(a, "ActionName", "Please refer to the appropriate WSDL for a list of valid actions.")
		}
	}
	for _, a := range in.AWSAccountIDs {
		if !accountID.MatchString(a) {
			return invalidValue(a, "PrincipalId", "Unable to verify.")
		}
	}
	return nil
}

func (in *addPermissionIn) statement(arn string) statement {
	st := statement{Sid: in.Label, Effect: "Allow", Resource: arn}
	var who, what []string
	for _, a := range in.AWSAccountIDs {
		who = append(who, "arn:aws:iam::"+a+":root")
	}
	for _, a := range in.Actions {
		what = append(what, "SQS:"+a)
	}
	st.Principal.AWS, st.Action = oneOrMany(who), oneOrMany(what)
	return st
}

// oneOrMany writes a single value bare, as AWS does.
func oneOrMany(s []string) any {
	if len(s) == 1 {
		return s[0]
	}
	return s
}

func (h *Handler) removePermission(c *call, in *removePermissionIn) (*nothing, error) {
	q, err := h.find(c, in.QueueURL)
	if err != nil {
		return nil, err
	}
	if in.Label == "" {
		return nil, missingParameter("Label")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	var p policyDocument
	if err := p.read(q.settings.policy); err != nil {
		return nil, err
	}
	i := p.find(in.Label)
	if i < 0 {
		return nil, invalidValue(in.Label, "Label", "can't find label.")
	}
	p.Statement = slices.Delete(p.Statement, i, i+1)
	q.settings.policy = p.text()
	return &nothing{}, nil
}

// read adds what a policy says; an empty one says nothing.
func (p *policyDocument) read(text string) error {
	if text == "" {
		return nil
	}
	if json.Unmarshal([]byte(text), p) != nil {
		return invalidAttributeValue("Policy")
	}
	return nil
}

// find is the place of the statement with that label, or -1.
func (p *policyDocument) find(sid string) int {
	return slices.IndexFunc(p.Statement, func(raw json.RawMessage) bool {
		var s struct{ Sid string }
		return json.Unmarshal(raw, &s) == nil && s.Sid == sid
	})
}

func (p *policyDocument) add(s statement) {
	raw, err := json.Marshal(s)
	if err != nil { // strings only
		panic(err)
	}
	p.Statement = append(p.Statement, raw)
}

// text is "" for a policy without statements: the queue has none then.
func (p *policyDocument) text() string {
	if len(p.Statement) == 0 {
		return ""
	}
	b, err := json.Marshal(p)
	if err != nil { // the statements are valid JSON
		panic(err)
	}
	return string(b)
}
