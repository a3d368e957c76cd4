# Everything about this project is one of these targets; `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
# The commit that `make test-upgrade` rolls forward from: the last one before the folders and names of today.
UPGRADE_FROM := 46a4c39
VENV := .venv
BIN := $(VENV)/bin
TASK ?= Make a small landing page for a tea shop called Three Leaves, and check it
MODEL ?=
# Tests wait for processes more than they compute, so three at a time suit even two cores.
WORKERS ?= 3
# LiteLLM would ask the net for prices while it is imported.
export LITELLM_LOCAL_MODEL_COST_MAP := True
INSTALL := scripts/install_lock.sh $(PYTHON) $(VENV)
INSTALLED_BY := bootstrap.lock pyproject.toml scripts/install_lock.sh
UV := $(VENV)/uv/bin/uv
UV_COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.PHONY: help setup run up test test-brokers test-templates test-upgrade check figures format dist bench compare graphs soak chaos coverage lock clean

help: ## list the targets
	@while IFS= read -r line; do \
		[[ $$line =~ ^([a-z-]+):.*\ ##\ (.*) ]] && printf '  make %-14s %s\n' "$${BASH_REMATCH[@]:1}"; done <Makefile; true

setup: $(VENV)/.ready ## make .venv with everything that Baud needs
# Where the tests' packages are, they stay: the lock of all holds each of the other's at the same version.
$(VENV)/.ready: $(INSTALLED_BY) requirements.lock
	$(INSTALL) $(if $(wildcard $(VENV)/.ready-dev),requirements-dev.lock,requirements.lock)
	@touch $@ $(wildcard $(VENV)/.ready-dev)

$(VENV)/.ready-dev: $(INSTALLED_BY) requirements-dev.lock
	$(INSTALL) requirements-dev.lock
	@touch $(VENV)/.ready $@

run: setup ## start a stack, run TASK with MODEL, and stream it
	$(BIN)/baud run $(if $(MODEL),--model "$(MODEL)") "$(TASK)"

up: setup ## start Redis, gateway and modem and keep them running
	$(BIN)/baud up

test: $(VENV)/.ready-dev ## run all tests that need nothing but wheels (WORKERS=3 side by side, ARGS=… for pytest)
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-brokers: $(VENV)/.ready-dev ## run what concerns the broker on RabbitMQ (apt-get install rabbitmq-server)
	BAUD_TEST_BROKER=rabbitmq $(BIN)/python -m pytest tests/e2e tests/brokers -m brokers $(ARGS)

test-templates: $(VENV)/.ready-dev ## run what needs node, npm with its registry, and git
	$(BIN)/python -m pytest tests/templates $(ARGS)

test-upgrade: $(VENV)/.ready-dev ## roll another commit to this one under load, and back, on one Redis (REF=… SEED=…)
	UPGRADE_REF=$(or $(REF),$(UPGRADE_FROM)) UPGRADE_SEED=$(SEED) $(BIN)/python -m pytest tests/upgrade -s $(ARGS)

check: $(VENV)/.ready-dev ## lint, format, types, import rule, own checks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m tests.checks

figures: $(VENV)/.ready-dev ## measure the aims of the source, with the lines of another commit beside them (REF=commit)
	@$(BIN)/python -m tests.checks.figures $(or $(REF),46a4c39)

format: $(VENV)/.ready-dev ## put the code into the house format, and make the synchronous client from the asynchronous one
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python scripts/make_sync_client.py

dist: setup ## build baud and baud-client into dist/, each as wheel and sdist
	$(BIN)/python -m hatchling build --directory dist
	cd distributions/client && $(abspath $(BIN))/python -m hatchling build --directory $(abspath dist)

bench: $(VENV)/.ready-dev ## measure, each figure beside its baseline
	set -o pipefail; $(BIN)/python -m benchmarks | tee $(VENV)/bench.log

compare: $(VENV)/.ready-dev ## measure another commit and this one in turns (REF=commit NAME=benchmark ROUNDS=5)
	$(BIN)/python -m benchmarks.compare "$(REF)" "$(NAME)" $(or $(ROUNDS),5)

graphs: $(VENV)/.ready-dev ## draw docs/performance anew out of the last make bench
	$(BIN)/python -m benchmarks.graphs $(wildcard $(VENV)/bench.log)

soak: $(VENV)/.ready-dev ## clients come and go for MINUTES=20 through two gateways: nothing lost, memory flat (SEED=…)
	MINUTES=$(or $(MINUTES),20) SOAK_SEED=$(SEED) $(BIN)/python -m benchmarks.soak

chaos: $(VENV)/.ready-dev ## kill, stop and cut off whatever runs, and check that nothing is lost (RUNS=500 SEED=…)
	CHAOS_RUNS=$(or $(RUNS),500) CHAOS_THREADS=$(or $(THREADS),10) CHAOS_SEED=$(SEED) $(BIN)/python -m pytest tests/chaos -m chaos -s

coverage: $(VENV)/.ready-dev ## run the suite and show which branches it leaves out
	$(BIN)/python -m pytest --cov --cov-report=term-missing:skip-covered

lock: $(VENV)/.ready-dev ## make all lock files anew, with hashes and without index addresses
	$(UV_COMPILE) --upgrade --extra build pyproject.toml -o requirements.lock
	$(UV_COMPILE) --upgrade --extra build --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock
	echo uv | $(UV_COMPILE) --upgrade - -o bootstrap.lock

clean: ## remove the virtual environment and what tools left behind
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
