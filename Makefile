# Thin: each target is one command that also works without make.
PACKAGES = ./... ./integration/...

.PHONY: test lint run bench fuzz ci

test:
	go test -race -shuffle=on $(PACKAGES)

lint:
	bash .ci/run format vet lint tidy imports

# make run ARGS='-broker nats://127.0.0.1:4222'
run:
	go run ./examples/orders $(ARGS)

bench:
	go test -run '^$$' -bench . -benchmem $(PACKAGES)

# make fuzz FUZZ_TIME=10m
fuzz:
	FUZZ_TIME=$(FUZZ_TIME) bash .ci/run fuzz

ci:
	bash .ci/run
