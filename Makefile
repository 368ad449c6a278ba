# Each target does its own set-up: Python 3.11 or newer with venv, git and make are all a machine needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 4
MINUTES ?= 30
# What runs the tests; `make coverage` puts `coverage run` in its place.
RUN ?= $(BIN)/python
# Servers and clients that write as other programs do; nothing of attachd needs them.
WRITERS := .venv-writers

# A test that waits for a process may fail beside three others on a busy machine: it is run once more, alone,
# and its first failure stays in the output.
alone = { echo "Once more, alone: what failed beside others"; $(1) -q --last-failed --last-failed-no-failures none; }

.DEFAULT_GOAL := help
.PHONY: help demo test slow check fault soak writers bench format lint types layers coverage report lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## Run the main job against the local simulator, to the end
	@$(BIN)/attachd demo

test: $(STAMP) ## Run the quick tests
	@$(RUN) -m pytest -q -n $(WORKERS) -m "not slow" || $(call alone,$(RUN) -m pytest -m "not slow")

slow: $(STAMP) ## Run the tests with real services and many processes, all but those of `make fault`
	@$(RUN) -m pytest -q -n $(WORKERS) --dist loadgroup -m "slow and not fault" || \
	  $(call alone,$(RUN) -m pytest -m "slow and not fault")

check: $(STAMP) lint types layers coverage ## Format, lint, types, layers, budgets, branch coverage

fault: $(STAMP) ## Try to break the promise: kills, faults, hostile files; a table at the end (15 minutes at most)
	@figures=$$(mktemp) && trap 'rm -f "$$figures"' EXIT && \
	  ATTACHD_FAULT=1 ATTACHD_FIGURES="$$figures" $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal \
	  tests/crash tests/faults tests/hostile tests/machine tests/ledger/machine \
	  tests/service/test_gates.py tests/service/test_outages.py

soak: $(STAMP) ## Do everything at once for MINUTES (30): drops, faults, reloads, restarts; memory and descriptors
	@$(BIN)/python benchmarks/soak.py --minutes $(MINUTES)

writers: $(STAMP) $(WRITERS)/.installed ## Write files in every way there is and print what became of them (2 minutes)
	@ATTACHD_WRITERS="$(WRITERS)/bin/python" $(BIN)/python -m pytest -q -n 0 tests/writers

bench: $(STAMP) ## Measure scans, ledger, latency and two destinations against their bounds (15 minutes)
	@failed=; for each in scan first_scan ledger latency two_destinations; do echo "benchmarks/$$each.py:"; \
	  $(BIN)/python benchmarks/$$each.py || failed="$$failed $$each"; done; \
	  test -z "$$failed" || { echo "Beyond its bound:$$failed" >&2; exit 1; }

format: $(STAMP) ## Put the code into shape
	@$(BIN)/ruff format daemon tests benchmarks
	@$(BIN)/ruff check --fix daemon tests benchmarks

lint: $(STAMP) ## Check format and lint rules
	@$(BIN)/ruff format --check daemon tests benchmarks
	@$(BIN)/ruff check daemon tests benchmarks

types: $(STAMP) ## Check types, strictly
	@$(BIN)/mypy

layers: $(STAMP) ## Check that imports go downward only
	@$(BIN)/lint-imports

coverage: $(STAMP) ## Run quick and slow tests, and look at their branch coverage
	@rm -f .coverage .coverage.*
	@$(MAKE) --no-print-directory RUN="$(BIN)/coverage run" test slow report

report: $(STAMP) ## Hold the branch coverage of what has run against its bounds
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report --fail-under=95
	@$(BIN)/coverage report --include='*/core/*,*/ledger/*' --fail-under=99

lock: ## Pin every dependency with its hashes (needs uv)
	@uv lock -q --upgrade
	@uv export -q --frozen --no-emit-project --all-extras --group dev -o requirements.lock
	@sed -i '/^#/d' requirements.lock
	@rm -f uv.lock

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "attachd needs Python 3.11 or newer: set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo "Python's venv is missing: on Debian, apt-get install python3-venv" >&2; exit 1; }
	@echo "Setting up $(VENV) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(WRITERS)/.installed: tests/writers/requirements.lock
	@$(PYTHON) -m venv --clear $(WRITERS)
	@$(WRITERS)/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r $<
	@touch $@

clean: ## Remove what the targets made
	@rm -rf $(VENV) $(WRITERS) .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
