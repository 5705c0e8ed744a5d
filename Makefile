# Bare make lists the targets. "make demo" and "make test" install what they
# need and the machine lacks.
SHELL := /bin/sh
GO ?= go
TOOL := $(GO) tool -modfile=tools/go.mod
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME ?= 10s
BENCHTIME ?= 1s
SOAK ?= 30s

# Packages tested at once: they wait for brokers, so one more than there are processors.
TEST_P = -p $(shell expr $$(nproc) + 1)

# The packages that run goroutines of their own, tested under the race detector.
RACE := ./pool ./waiter ./broker ./router ./amqp/... ./wasmhost/... ./oslo/osloroute ./rpc ./transport ./app ./app/shadow ./app/record ./app/recording ./app/deadletters ./app/top ./admin ./telemetry/... ./config

# What compiles large or many modules, some ten times slower under the race detector,
# and has nothing else for it to see.
RACE_SKIP := ^(TestCheckWithoutHome|TestPlanGolden|TestHostWithoutCacheDirectory|TestFuelIsTheSameEverywhere|TestGoGuestFailures|TestRouteInGo|TestGoGuestBehavesTheSame|TestSpecificationSuite|TestSharingMakesNoDifferenceToGo|FuzzLoops|FuzzPrograms)$$

.DEFAULT_GOAL := help
.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/router
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/router ./cmd/router

.PHONY: demo
demo: build ## build, show the router at work
	@bin/router demo

.PHONY: deps
deps: ## install what the tests need
	@scripts/deps.sh test

.PHONY: test
test: deps ## install what is missing, run every test
	$(GO) test $(TEST_P) -timeout 20m ./...
	@$(MAKE) --no-print-directory race

.PHONY: race
race: deps ## test what runs concurrently under the race detector
	CGO_ENABLED=1 $(GO) test $(TEST_P) -race -short -vet off -timeout 15m -skip '$(RACE_SKIP)' $(RACE)

.PHONY: short
short: ## test without the long end-to-end runs
	$(GO) test -short ./...

.PHONY: vet
vet: ## run go vet
	$(GO) vet ./...

.PHONY: lint
lint: ## run golangci-lint
	$(TOOL) golangci-lint run --timeout 15m ./...

.PHONY: fmt
fmt: ## format every Go file
	$(TOOL) gofumpt -w .

.PHONY: fmt-check
fmt-check: ## fail if a Go file is not formatted
	@scripts/check-format.sh

.PHONY: fuzz
fuzz: ## run every fuzz target of FUZZ (./...) for FUZZTIME (10s)
	@scripts/fuzz.sh $(FUZZTIME) $(FUZZ)

.PHONY: matrix
matrix: deps ## play the fault matrix three times, table into docs/GUARANTEES.md
	$(GO) run ./e2e/matrix/report $(MATRIX)

.PHONY: defences
defences: deps ## take each defence of docs/SECURITY.md out, see its test fail
	@$(GO) run ./e2e/defences $(DEFENCES)

.PHONY: soak
soak: deps ## random faults on a paced load of SOAK (30s, 1h, 1000000)
	@mkdir -p dist/soak
	ROUTER_E2E_SOAK=$(SOAK) ROUTER_E2E_REPORTS=$(CURDIR)/dist/soak $(GO) test -count=1 -timeout 12h -v -run '^TestF25' ./e2e/matrix

.PHONY: bench
bench: ## run every Go benchmark
	$(GO) test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

.PHONY: yardstick
yardstick: deps ## measure filter calls beside raw wazero and the Extism SDK
	cd wasmhost/yardstick && $(GO) vet . && $(GO) run . $(YARDSTICK)

.PHONY: wasm
wasm: deps ## build the filter modules from their sources
	filters/build.sh

.PHONY: vuln
vuln: ## look for known vulnerabilities in what is built
	@scripts/vuln.sh

.PHONY: sbom
sbom: build ## write what bin/router is made of to dist/router.cdx.json
	@scripts/sbom.sh bin/router dist/router.cdx.json

.PHONY: twice
twice: build ## build again elsewhere, fail if the result differs
	@scripts/reproducible.sh bin/router

.PHONY: gen
gen: ## write the generated files anew
	$(GO) run ./internal/gen

.PHONY: ci
ci: deps ## everything that must pass before a change is merged
	.ci/run

.PHONY: clean
clean: ## remove what was built
	rm -rf bin dist
