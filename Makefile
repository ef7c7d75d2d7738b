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
