package brokertest

import "github.com/candidmq/candidmq/broker"

func roleCases() []Case {
	return []Case{{
		Name: "roles/as-declared",
		Rule: "A backend has the roles that it declares, and its type has no others.",
		run:  rolesAsDeclared,
	}}
}

func rolesAsDeclared(e *env) {
	checkRole[broker.Requester](e, RoleRequester, "Requester")
	checkRole[broker.Responder](e, RoleResponder, "Responder")
	checkRole[broker.Receiver](e, RoleReceiver, "Receiver")
	checkRole[broker.Flusher](e, RoleFlusher, "Flusher")
	checkRole[broker.Pinger](e, RolePinger, "Pinger")
	if r, err := broker.As[broker.Flusher](e.b); err == nil {
		e.must("Flush", r.Flush(e.soon()))
	}
	if r, err := broker.As[broker.Pinger](e.b); err == nil {
		e.must("Ping", r.Ping(e.soon()))
	}
}

// checkRole distinguishes a role that can be found from one that the type has: a
// backend may offer by As what its type does not promise.
func checkRole[T any](e *env, role Role, name string) {
	e.Helper()
	_, static := e.b.(T)
	_, err := broker.As[T](e.b)
	switch declared := e.h.Roles.has(role); {
	case declared && err != nil:
		e.Errorf("%s declared, and As says %v", name, err)
	case !declared && static:
		e.Errorf("%T is a %s, which is not declared", e.b, name)
	case err != nil:
		wantUnsupported(e, "As["+name+"]", err)
	}
}
