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
SHIPPED_VENV := $(CACHE)/venv/sidecar-$(shell { cat locks/sidecar.txt; $(PYTHON3) -VV; } | sha256sum | cut -c1-16)
export PYTHONPATH := operator:sidecar:tests
export MT5_BRIDGE_CACHE := $(CACHE)
export PYTHONDONTWRITEBYTECODE := 1

# Debian keeps parts of Python in packages of their own.
as-root = { echo "installing $(1) ..." >&2; apt-get update -q >&2 && apt-get install -qy --no-install-recommends $(1) >&2; } || { echo "please install $(1), then run the same command again" >&2; exit 1; }

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
	@$(PYTHON3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON3=python3.12 ..." >&2; exit 1; }
	@$(PYTHON3) -c 'import ensurepip' 2>/dev/null || $(call as-root,python3-venv)
	@rm -rf $(VENV) && $(PYTHON3) -m venv $(VENV)
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes -r locks/dev.txt
	@touch $@

.PHONY: lock
lock: ## Resolve the dependencies again into locks/ (hashes, no index addresses)
	@$(CURDIR)/locks/update.sh

.PHONY: check
check: $(VENV)/.complete ## Format, lint, types and layer contracts: what CI checks before the tests
	@$(PY) -m ruff format --check . && $(PY) -m ruff check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports --no-cache

.PHONY: format
format: $(VENV)/.complete ## Format and mend what ruff can mend by itself
	@$(PY) -m ruff format . && $(PY) -m ruff check --fix .

.PHONY: generate
generate: $(VENV)/.complete ## Write again what is generated from the code (CRDs, chart copies)
	@$(PY) -m mt5_operator.crd

# What waits for a cluster or a pod leaves a core free most of the time. A file's tests stay together;
# cheap ones go first, so that a broken build is told in seconds.
AT_ONCE := -n 2 --dist loadfile --no-loadscope-reorder

##@ Tests
.PHONY: test
test: check test-tools ## Everything: checks, what may not get slower, then all tiers in one pytest run
	@$(MAKE) --no-print-directory bench-quick
	@$(PY) -m pytest tests $(AT_ONCE)

.PHONY: test-unit
test-unit: $(VENV)/.complete ## Unit tests: minutes, no root, no network
	@$(PY) -m pytest tests -m "not service and not cluster and not contract and not e2e"

.PHONY: test-cluster
test-cluster: $(VENV)/.complete ## Real Redis, nginx and control plane (etcd, API server, KWOK nodes)
	@$(PY) -m cluster binaries
	@$(PY) -m pytest tests -m "service or cluster"

.PHONY: test-contract
test-contract: $(VENV)/.complete ## The simulator against the real MetaTrader5 wheel
	@$(PY) -m pytest tests -m contract

.PHONY: contract-diff
contract-diff: $(VENV)/.complete ## What another wheel changed: WHEEL=5.0.6300, by default the newest
	@$(PY) -m contract.moved $(WHEEL)

KILLS ?= 1000
.PHONY: kills
kills: $(VENV)/.complete ## Worker, terminal and sidecar killed 1,000 times at random (5 min); KILLS=n SEED=n
	@MT5_BRIDGE_KILLS=$(KILLS) $(if $(SEED),MT5_BRIDGE_SEED=$(SEED)) $(PY) -m pytest tests/mt5_agent/test_killing.py

.PHONY: test-e2e
test-e2e: test-tools ## A real node: kubelet, containers, images, the chart (root)
	@$(PY) -m pytest tests -m e2e

# A story makes 200 submits: 5000 of them a million. FIRST=<seed> SEEDS=1 replays one.
.PHONY: simulate
simulate: SEEDS ?= 500
simulate: FIRST ?= 1
simulate: MINUTES ?= 120
simulate: $(VENV)/.complete ## Orders under faults from seeds, judged by the broker's book (SEEDS=5000: a million)
	@nice -n 19 $(PY) tests/mt5_sidecar/orders/simulate.py --first $(FIRST) --seeds $(SEEDS) --minutes $(MINUTES)

# MT5_FUZZ_SEED makes each run another one; what fails prints how to see it again.
FUZZ_EXAMPLES ?= 500

.PHONY: fuzz
fuzz: $(VENV)/.complete ## What CI fuzzes, longer and from another seed each time (FUZZ_EXAMPLES=500: 30 min)
	@MT5_FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) MT5_FUZZ_SEED=$${MT5_FUZZ_SEED:-$$RANDOM} $(PY) -m pytest \
		tests/fuzz tests/mt5_agent/test_nonsense.py tests/mt5_sidecar/streams/test_resuming.py --timeout 3600

.PHONY: chaos
chaos: SEEDS ?= 10
chaos: FIRST ?= 0
chaos: $(VENV)/.complete ## Random faults on a real control plane, invariants checked throughout: make chaos SEEDS=20 FIRST=7
	@$(PY) -m cluster binaries
	@MT5_CHAOS_SEEDS=$(SEEDS) MT5_CHAOS_FIRST=$(FIRST) $(PY) -m pytest tests/operator_cluster/test_chaos.py

.PHONY: test-tools
test-tools: $(VENV)/.complete ## Build what the tests need: Kubernetes' binaries and our images (cached)
	@$(PY) -m cluster binaries
	@$(PY) -m demo images

.PHONY: bench
bench: bench-tools ## All benchmarks against their references (5 min); writes docs/benchmarks.md
	@MT5_BRIDGE_BENCH_PYTHON=$(BENCH_VENV)/bin/python MT5_BRIDGE_SHIPPED_PYTHON=$(SHIPPED_VENV)/bin/python $(PY) -m bench

.PHONY: bench-quick
bench-quick: bench-tools ## The short ones (3 min); fails when a ratio fell by 15 % or memory grew past its limit
	@MT5_BRIDGE_BENCH_PYTHON=$(BENCH_VENV)/bin/python MT5_BRIDGE_SHIPPED_PYTHON=$(SHIPPED_VENV)/bin/python $(PY) -m bench --quick

.PHONY: bench-cluster
bench-cluster: test-tools ## P11 and P12 on a real node (root, 10 min); writes docs/benchmarks-cluster.md
	@$(PY) -m bench.on_cluster

.PHONY: soak
soak: MINUTES ?= 30
soak: bench-tools ## R9: does anything grow? (`make soak MINUTES=5`); writes docs/benchmarks-soak.md
	@MT5_BRIDGE_SHIPPED_PYTHON=$(SHIPPED_VENV)/bin/python $(PY) -m bench.soak --minutes $(MINUTES) --keep

.PHONY: bench-operator
bench-operator: $(VENV)/.complete ## The operator at scale on fake nodes: make bench-operator ACCOUNTS=5000 NODES=500
	@$(PY) -m cluster binaries
	@$(PY) -m bench.operator_scale --accounts $(or $(ACCOUNTS),500) --nodes $(or $(NODES),50)

.PHONY: bench-tools
bench-tools: $(VENV)/.complete $(BENCH_VENV)/.complete $(SHIPPED_VENV)/.complete

# FastAPI and uvicorn, which we compare with and never ship; and what the sidecar's image has.
$(BENCH_VENV)/.complete: LOCK := locks/bench.txt
$(SHIPPED_VENV)/.complete: LOCK := locks/sidecar.txt
$(BENCH_VENV)/.complete $(SHIPPED_VENV)/.complete:
	@echo "installing $(LOCK) for the benchmarks (usually 20 s) ..." >&2
	@rm -rf $(@D) && $(PYTHON3) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCK)
	@touch $@

##@ A local cluster
.PHONY: demo
demo: $(VENV)/.complete ## A running account on a real local Kubernetes, shown by kubectl and curl
	@$(PY) -m demo up

.PHONY: demo-env
demo-env: $(VENV)/.complete ## Print the shell lines that point kubectl and curl at the demo
	@$(PY) -m demo env

.PHONY: demo-down
demo-down: $(VENV)/.complete ## Remove the demo: processes, mounts, interfaces, firewall rules
	@$(PY) -m demo down

.PHONY: cluster
cluster: $(VENV)/.complete ## Only the local cluster (real node), without MT5 Bridge
	@$(PY) -m cluster up --name dev --node --kwok

.PHONY: cluster-down
cluster-down: $(VENV)/.complete ## Remove that cluster
	@$(PY) -m cluster down --name dev
