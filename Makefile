# Every target does its own set-up: `make run` and `make test` need nothing but make and Python 3.11 or newer.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup run test check prove bench mutants build clean

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ratchet-setup
WHEEL_VENV := .venv-wheel
UV_VERSION := 0.13.8
UV := $(BIN)/uv

# What is type-checked; ruff reads the whole repository.
TYPED := engine strategies migrations tests tools
# Tests of one file stay on one worker, so that what a file prepares once is prepared once.
PYTEST_ARGS ?= -n auto --maxprocesses=4 --dist=loadscope
# Options for `make run`, such as ARGS="--forever".
ARGS ?=
# What `make prove` runs, and how many examples of each.
MODELS := tests/core/test_books_model.py tests/core/test_order_life_properties.py
EXAMPLES ?= 10000
# Which mutants `make mutants` makes, such as MUTANTS="engine.core.fsm*"; all of them by default.
MUTANTS ?=

export UV_PYTHON_DOWNLOADS := never

# A pyenv shim may stand on the path and yet not run, so a candidate has to answer, and to answer 3.11 or newer.
PYTHON ?= $(shell for candidate in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	if $$candidate -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; \
	then command -v $$candidate; break; fi; done)

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## Install Ratchet and its tools into .venv

$(STAMP): pyproject.toml uv.lock
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer with its venv module was found: install one (on Debian also python3-venv) or name one, make PYTHON=/path/to/python3." >&2; exit 1; }
	@$(BIN)/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || $(PYTHON) -m venv --clear $(VENV)
	@test "$$($(UV) --version 2>/dev/null | cut -d ' ' -f 2)" = $(UV_VERSION) || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	UV_PROJECT_ENVIRONMENT=$(VENV) $(UV) sync --locked --quiet --python $(BIN)/python
	@touch $@

run: $(STAMP) ## Trade on paper over the built-in market, with a live view
	$(BIN)/ratchet run $(ARGS)

test: $(STAMP) ## Run the tests; WHEEL=dist/x.whl runs them against that installed wheel
ifdef WHEEL
	$(UV) venv --quiet --clear --python $(BIN)/python $(WHEEL_VENV)
	UV_PROJECT_ENVIRONMENT=$(WHEEL_VENV) $(UV) sync --locked --quiet --no-install-project --no-default-groups --group test --python $(WHEEL_VENV)/bin/python
	$(UV) pip install --quiet --python $(WHEEL_VENV)/bin/python $(WHEEL)
	@# PYTHONSAFEPATH keeps the working directory, and so the source, off the path of every process that is started.
	env -u PYTHONPATH PYTHONSAFEPATH=1 RATCHET_TEST_WHEEL=1 $(WHEEL_VENV)/bin/pytest -p no:cacheprovider $(PYTEST_ARGS)
else
	$(BIN)/pytest $(PYTEST_ARGS)
endif

check: $(STAMP) ## Lint, format check, types, architecture and the tidy tests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy $(TYPED)
	$(BIN)/lint-imports
	$(BIN)/pytest --quiet tests/tidy

prove: $(STAMP) ## Run the stateful models with EXAMPLES=10000, as docs/proofs.md states
	RATCHET_EXAMPLES=$(EXAMPLES) $(BIN)/pytest -n 2 --dist=load -p no:cacheprovider $(MODELS)

bench: $(STAMP) ## Measure the speeds that docs/benchmarks.md states
	$(BIN)/python tests/benchmarks/bench.py

mutants: $(STAMP) ## Change the core line by line and count what its tests notice
	$(BIN)/python tools/mutants.py $(MUTANTS)

build: $(STAMP) ## Build the wheel into dist/
	rm -rf dist
	$(UV) build --wheel --quiet --out-dir dist --python $(BIN)/python
	@ls dist/*.whl

clean: ## Remove everything that make made
	rm -rf $(VENV) $(WHEEL_VENV) dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis mutants
