# Everything a contributor runs. `make` alone lists it.

BIN   := .local/bin
VENV  := .local/venv
# The developer's own AWS SAM CLI, else the one of `make tools`.
SAM   := $(shell command -v sam || echo $(VENV)/bin/sam)
TOOL  := go tool -modfile=tools/go.mod
# Processor of the cloud's binaries; see Architecture in template.yaml.
ARCH ?= arm64

export SAM_CLI_TELEMETRY = 0

.DEFAULT_GOAL := help
.PHONY: help run watch test lint build sam invoke dlq replay crash bench tools clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## the whole system on this machine, until Ctrl-C (ARGS="--help" lists its options; HOSTS=docker for sam local invoke)
	@local/preflight.sh run $(ARGS)
	@mkdir -p $(BIN)
	@local/patient.sh "building plaudit and the laptop cloud" go build -o $(BIN)/ ./cmd/plaudit ./local
	@exec $(BIN)/local $(if $(HOSTS),-hosts $(HOSTS)) $(ARGS)

watch: ## the same, and a change in a Go file replaces the functions that contain it
	@$(MAKE) --no-print-directory run ARGS="-watch $(ARGS)"

test: ## everything CI runs: lint, then all tests with the race detector
	@local/preflight.sh test
	@$(MAKE) --no-print-directory lint
	$(TOOL) gotestsum --format pkgname-and-test-fails -- -race -timeout 15m ./...

lint: tools ## formatting, English, vet, staticcheck, known vulnerabilities, the template
	@test -z "$$(gofmt -l .)" || { echo "gofmt would change:"; gofmt -l .; exit 1; }
	@tools/english.sh
	go mod tidy -diff
	go vet ./...
	$(TOOL) staticcheck ./...
	@tools/govulncheck.sh
	$(VENV)/bin/cfn-lint -t template.yaml -r ap-northeast-2
	$(VENV)/bin/sam validate --lint --config-env local

build: ## binaries for the cloud: every function, and the users service for its image
	@mkdir -p .local/build
	CGO_ENABLED=0 GOOS=linux GOARCH=$(ARCH) go build -tags lambda.norpc -trimpath -ldflags "-s -w" -o .local/build/ ./functions/... ./services/...

sam: $(if $(shell command -v sam),,tools) ## build the functions in .aws-sam for sam local invoke (docs/sam-local.md)
	$(SAM) build $(ARGS)

invoke: ## one function alone, while `make run` is on: make invoke F=score-add E=events/score-add/one-entry.201.json (F alone: its schedule, now)
	@$(BIN)/local invoke "$(F)" "$(E)"

dlq: ## the queues, and the messages that could not be handled: make dlq [QUEUE=mail-failed] [REDRIVE=1 sends them again]
	@$(BIN)/plaudit dlq $(if $(QUEUE),--queue "$(QUEUE)") $(if $(filter-out 0,$(REDRIVE)),--redrive) $(ARGS)

replay: ## send events of the bus's archive again: make replay FROM=2026-04-05T12:00:00Z [TO=… RULE=told NAME=…]
	@$(BIN)/plaudit replay $(if $(FROM),--from "$(FROM)") $(if $(TO),--to "$(TO)") $(if $(RULE),--rule "$(RULE)") $(if $(NAME),--name "$(NAME)") $(ARGS)

crash: ## kill every process at every point under load, N times, and compare the audit log with the changes: make crash N=100
	@for i in $$(seq $(or $(N),1)); do echo "crash tests, run $$i"; CRASH_OUTAGE=1m go test -v -count=1 -timeout 30m ./tests/crash || exit 1; done

bench: ## benchmarks; compare their figures within one run only
	go test -run '^$$' -bench . -benchmem ./...

tools: $(VENV)/.done ## install the AWS SAM CLI, the AWS CLI and cfn-lint, pinned, in .local/venv
$(VENV)/.done: tools/requirements.txt
	@mkdir -p .local
	@python3 -m venv $(VENV)
	@local/patient.sh "installing tools/requirements.txt into $(VENV), once" \
		$(VENV)/bin/pip install --quiet --disable-pip-version-check -r tools/requirements.txt
	@touch $@

clean: ## remove what runs and builds keep, all data too, but not the Python tools (stop `make run` first)
	go run ./local -clean
	@if [ -d .local ]; then find .local -mindepth 1 -maxdepth 1 ! -name venv ! -name ministack -exec rm -rf {} +; fi
	rm -rf .aws-sam
