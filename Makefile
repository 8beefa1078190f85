# `make` or `make help` lists the verbs.
SHELL := /bin/bash
BIN := .venv/bin

.PHONY: help setup demo test test-slow test-live test-app lint bench lock clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup:  ## Install what is missing: system packages, .venv, test peers (idempotent)
	@tools/setup

demo: setup  ## The whole workflow on this machine, and what it kept of its promises (KEEP=1: leave it running)
	@$(BIN)/python -m demo $(if $(KEEP),--keep)

test: setup  ## Everything but the slow suites, two files at a time
	@$(BIN)/pytest -m "not slow" -n 2 --dist loadfile

test-slow: setup  ## The long crash, fuzz and scale suites
	@$(BIN)/pytest -m slow --timeout 1800

test-live: setup  ## The GitOps scenarios against the cluster of SEATRIAL_LIVE=<kubeconfig>
	@test -r "$(SEATRIAL_LIVE)" || { echo "test-live needs SEATRIAL_LIVE=<kubeconfig> of a cluster to try things in:" \
	  "its user must be cluster-admin, no other Argo CD may run there, and its nodes must be able to pull busybox" >&2; exit 2; }
	@SEATRIAL_LIVE="$(abspath $(SEATRIAL_LIVE))" $(BIN)/pytest tests/scenarios/engine

test-app:  ## The tests of the application in apps/ai-testops, with their coverage (installs PostgreSQL)
	@tools/setup app
	@$(MAKE) -s -C apps/ai-testops test

lint: setup  ## ruff, strict mypy, import contract
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup  ## Measure; writes bench/results/*.json
	@$(BIN)/python bench/api.py
	@$(BIN)/python bench/render.py
	@$(BIN)/python bench/gitops.py
	@$(BIN)/python bench/delivery.py
	@$(BIN)/python bench/node.py

lock:  ## Resolve the dependencies anew into the lock files
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  pyproject.toml -o requirements.lock
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.11 \
	  pyproject.toml --group dev -o requirements-dev.lock

clean:  ## Remove what setup and the tests made
	@rm -rf .venv .peers .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
