# SPDX-License-Identifier: Apache-2.0
# `make help` lists the targets. Everything slow is cached outside the checkout, keyed by content.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

CACHE ?= $(if $(MT5_BRIDGE_CACHE),$(MT5_BRIDGE_CACHE),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mt5-bridge)
PYTHON3 ?= python3
VENV := $(CACHE)/venv/$(shell { cat locks/dev.txt; $(PYTHON3) -VV; } | sha256sum | cut -c1-16)
PY := $(VENV)/bin/python
BENCH_VENV := $(CACHE)/venv/bench-$(shell { cat locks/bench.txt; $(PYTHON3) -VV; } | sha256sum | cut -c1-16)
export PYTHONPATH := operator:sidecar:tests
export MT5_BRIDGE_CACHE := $(CACHE)
export PYTHONDONTWRITEBYTECODE := 1

##@ Help
.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Development
.PHONY: venv
venv: $(VENV)/.complete ## Make the Python environment from the lock file (cached)
	@echo $(VENV)

# The marker is written last, so an interrupted install is made again.
$(VENV)/.complete:
	@echo "installing the Python environment (usually 1 min) ..." >&2
	@rm -rf $(VENV) && $(PYTHON3) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/dev.txt
	@touch $@

.PHONY: lock
lock: ## Resolve the dependencies again into locks/ (hashes, no index addresses)
	@$(CURDIR)/locks/update.sh

.PHONY: check
check: venv ## Format, lint, types and layer contracts: what CI checks before the tests
	@$(PY) -m ruff format --check . && $(PY) -m ruff check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports --no-cache

.PHONY: format
format: venv ## Format and mend what ruff can mend by itself
	@$(PY) -m ruff format . && $(PY) -m ruff check --fix .

.PHONY: generate
generate: venv ## Write again what is generated from the code (CRDs, chart copies)
	@$(PY) -m mt5_operator.crd

##@ Tests
.PHONY: test
test: check test-tools ## Everything: checks, then all tiers in one pytest run
	@$(PY) -m pytest tests

.PHONY: test-unit
test-unit: venv ## Unit tests: seconds, no root, no network
	@$(PY) -m pytest tests -m "not service and not cluster and not contract and not e2e"

.PHONY: test-cluster
test-cluster: venv ## Real Redis, nginx and control plane (etcd, API server, KWOK nodes)
	@$(PY) -m cluster binaries
	@$(PY) -m pytest tests -m "service or cluster"

.PHONY: test-contract
test-contract: venv ## The simulator against the real MetaTrader5 wheel
	@$(PY) -m pytest tests -m contract

.PHONY: test-e2e
test-e2e: venv test-tools ## A real node: kubelet, containers, images, the chart (root)
	@$(PY) -m pytest tests -m e2e

.PHONY: test-tools
test-tools: venv ## Build what the tests need: Kubernetes' binaries and our images (cached)
	@$(PY) -m cluster binaries
	@$(PY) -m demo images

.PHONY: bench
bench: $(VENV)/.complete $(BENCH_VENV)/.complete ## All benchmarks against their references (3 min); writes docs/benchmarks.md
	@MT5_BRIDGE_BENCH_PYTHON=$(BENCH_VENV)/bin/python $(PY) -m bench

.PHONY: bench-quick
bench-quick: $(VENV)/.complete $(BENCH_VENV)/.complete ## The short ones; fails when a ratio fell by more than 15 %
	@MT5_BRIDGE_BENCH_PYTHON=$(BENCH_VENV)/bin/python $(PY) -m bench --quick

# FastAPI and uvicorn, which we compare with and never ship.
$(BENCH_VENV)/.complete:
	@echo "installing what the benchmarks compare with (usually 20 s) ..." >&2
	@rm -rf $(BENCH_VENV) && $(PYTHON3) -m venv $(BENCH_VENV)
	@$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/bench.txt
	@touch $@

##@ A local cluster
.PHONY: demo
demo: venv ## A running account on a real local Kubernetes, shown by kubectl and curl
	@$(PY) -m demo up

.PHONY: demo-env
demo-env: venv ## Print the shell lines that point kubectl and curl at the demo
	@$(PY) -m demo env

.PHONY: demo-down
demo-down: venv ## Remove the demo: processes, mounts, interfaces, firewall rules
	@$(PY) -m demo down

.PHONY: cluster
cluster: venv ## Only the local cluster (real node), without MT5 Bridge
	@$(PY) -m cluster up --name dev --node --kwok

.PHONY: cluster-down
cluster-down: venv ## Remove that cluster
	@$(PY) -m cluster down --name dev
