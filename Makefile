# The commands of this repository; `make` alone lists them.

.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 30s
BENCH ?= .
PKG ?= ./...

# The real box scores, where they lie beside the clone; tests that need them are skipped by name elsewhere.
ifneq ($(wildcard ../shared/data/nba),)
export HEADWAY_NBA_DATA ?= $(abspath ../shared/data/nba)
endif

.PHONY: help
help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# No -trimpath: it would compile DuckDB's and SQLite's packages a second time beside those of the tests.
.PHONY: build
build: ## Build bin/headway
	go build -ldflags '-X main.version=$(VERSION)' -o bin/headway ./cmd/headway

.PHONY: demo
demo: build ## Run the main job on generated data, or on DATA=dir with real box scores
	bin/headway demo $(if $(DATA),--data '$(DATA)')

.PHONY: test
test: ## Test every package once, with the race detector where there are goroutines; PKG=./internal/x/... for a part
	@tools/test $(PKG)

.PHONY: lint
lint: bin/tools/golangci-lint ## Lint; every rule and every exception is explained in .golangci.yml
	bin/tools/golangci-lint config verify
	bin/tools/golangci-lint run $(PKG)

.PHONY: fix
fix: bin/tools/golangci-lint ## Format, and mend what the linter can mend by itself
	bin/tools/golangci-lint run --fix $(PKG)

.PHONY: bench
bench: ## Run the benchmarks of bench/; BENCH=regexp for some of them
	go test -run '^$$' -bench '$(BENCH)' -benchmem -timeout 30m ./bench/...

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME (30s)
	@tools/fuzz $(FUZZTIME) $(PKG)

.PHONY: cover
cover: ## Write cover.html
	go test -timeout 20m -coverprofile=cover.out $(PKG)
	go tool cover -html=cover.out -o cover.html
	@go tool cover -func=cover.out | tail -n 1

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin cover.out cover.html

# The linter's version is pinned in a module of its own, so that what it needs never meets what Headway needs.
bin/tools/golangci-lint: tools/go.mod tools/go.sum
	go build -C tools -o ../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
