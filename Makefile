# Each target does its own set-up: Python 3.11 or newer with venv, git and make are all a machine needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
WORKERS ?= 4

# A test that waits for a process may fail beside three others on a busy machine: it is run once more, alone,
# and its first failure stays in the output.
alone = { echo "Once more, alone: what failed beside others"; $(1) -q --last-failed --last-failed-no-failures none; }

.DEFAULT_GOAL := help
.PHONY: help demo test check format lint types layers coverage lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## Run the main job against the local simulator, to the end
	@$(BIN)/attachd demo

test: $(STAMP) ## Run the quick tests
	@$(BIN)/python -m pytest -q -n $(WORKERS) -m "not slow" || $(call alone,$(BIN)/python -m pytest -m "not slow")

check: $(STAMP) lint types layers coverage ## Format, lint, types, layers, budgets, branch coverage

format: $(STAMP) ## Put the code into shape
	@$(BIN)/ruff format daemon tests
	@$(BIN)/ruff check --fix daemon tests

lint: $(STAMP) ## Check format and lint rules
	@$(BIN)/ruff format --check daemon tests
	@$(BIN)/ruff check daemon tests

types: $(STAMP) ## Check types, strictly
	@$(BIN)/mypy

layers: $(STAMP) ## Check that imports go downward only
	@$(BIN)/lint-imports

coverage: $(STAMP) ## Run all tests, the slow ones too, with branch coverage
	@rm -f .coverage .coverage.*
	@$(BIN)/coverage run -m pytest -q -n $(WORKERS) || $(call alone,$(BIN)/coverage run -m pytest)
	@$(BIN)/coverage combine -q
	@$(BIN)/coverage report --fail-under=95

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

clean: ## Remove what the targets made
	@rm -rf $(VENV) .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
