# SPDX-License-Identifier: Apache-2.0
#
# `make help` lists the targets. Everything that is made or downloaded goes into
# build/ and .local/, which git ignores.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Ports of the quickstart; KEEP=1 leaves its gateway running.
export PORT REST_PORT KEEP

.PHONY: help
help: ## Show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: quickstart
quickstart: ## From a fresh checkout to a query through the gateway (KEEP=1, PORT=, REST_PORT=)
	@bin/lib/quickstart.sh

.PHONY: demo-ha
demo-ha: ## Two gateways, a PySpark program, one gateway killed: the program ends well
	@bin/lib/demo-ha.sh

.PHONY: build
build: gateway plugin ## Build the gateway and the engine plugin into build/

.PHONY: gateway
gateway: ## Build the gateway only (no Java, no Spark)
	@mkdir -p build
	go build -o build/gateway ./cmd/gateway

.PHONY: plugin
plugin: spark ## Build the engine plugin only (needs a JDK and a Spark)
	@bin/lib/plugin.sh

.PHONY: spark
spark: ## Install Spark 4.3 into .local/ unless SPARK_HOME names one
	@bin/lib/spark.sh

.PHONY: clients
clients: ## Install the other Spark Connect clients that the tests use into .local/
	@bin/lib/clients.sh

.PHONY: check
check: ## Format, vet, policy and unit tests; no Java, no Spark, under 90 s
	@bin/lib/check.sh

.PHONY: test
test: ## Build, then run every test that this machine can run; names what it skips and why
	@bin/lib/test.sh

.PHONY: test-long
test-long: ## The same tests with their full counts, and fuzzing; nothing may be skipped
	@ROUNDHOUSE_LONG=1 bin/lib/test.sh

.PHONY: dist
dist: plugin ## Make the tarball for an edge node, dist/roundhouse-<version>-linux-<arch>.tar.gz
	@bin/lib/dist.sh

.PHONY: bench
bench: ## Run the benchmarks
	go test -run '^$$' -bench . -benchmem $$(go list ./... | grep -v /integration-tests/)

.PHONY: gen
gen: ## Generate proto/gen anew from proto/*/
	@bin/lib/gen.sh

.PHONY: clean
clean: ## Remove what was built; downloads in .local/ stay
	rm -rf build dist
