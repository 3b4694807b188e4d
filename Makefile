# `make help` says what there is. Each environment is made once, and again when its lock file changes.

PYTHON ?= python3
VENV ?= .venv
BENCH_VENV ?= .venv-bench
ARGS ?=
TRIALS ?=
WORKERS ?= 2
export PYTHON

BIN := $(VENV)/bin
BENCH_BIN := $(BENCH_VENV)/bin
# No byte code in advance: Python compiles what it imports, which is a third of the waiting.
PIP_FLAGS := --quiet --disable-pip-version-check --no-input --no-compile
# One test process per core is enough: numerical libraries shall not start threads of their own.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

.PHONY: help
help: ## say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make demo TRIALS=80, make demo ARGS=...   options for the demo"
	@echo "  make test ARGS='-k store', WORKERS=8      options for pytest"
	@echo "  PYTHON=python3.13                         another Python (then: make clean first)"

# --- environments -----------------------------------------------------------------------------------------

$(VENV)/.made:
	@echo "luthier: making $(VENV)"
	@tools/venv.sh $(VENV)
	@touch $@

$(BENCH_VENV)/.made:
	@echo "luthier: making $(BENCH_VENV)"
	@tools/venv.sh $(BENCH_VENV)
	@touch $@

# The package itself goes in last, editable; pyproject.toml is listed for its entry points.
%/.demo: requirements/demo.lock pyproject.toml %/.made
	@echo "luthier: installing requirements/demo.lock"
	@$*/bin/python -m pip install $(PIP_FLAGS) --require-hashes -r requirements/demo.lock
	@$*/bin/python -m pip install $(PIP_FLAGS) --no-deps --no-build-isolation -e .
	@touch $@

%/.dev: requirements/dev.lock pyproject.toml %/.made
	@echo "luthier: installing requirements/dev.lock"
	@$*/bin/python -m pip install $(PIP_FLAGS) --require-hashes -r requirements/dev.lock
	@$*/bin/python -m pip install $(PIP_FLAGS) --no-deps --no-build-isolation -e .
	@touch $@

%/.bench: requirements/bench.lock pyproject.toml %/.made
	@echo "luthier: installing requirements/bench.lock"
	@$*/bin/python -m pip install $(PIP_FLAGS) --require-hashes -r requirements/bench.lock
	@$*/bin/python -m pip install $(PIP_FLAGS) --no-deps --no-build-isolation -e .
	@touch $@

.PRECIOUS: %/.made %/.demo %/.dev %/.bench

.PHONY: system
system:
	@tools/system_packages.sh

# --- what one does with them ------------------------------------------------------------------------------

.PHONY: demo
demo: $(VENV)/.demo ## tune a model, from nothing (TRIALS=, ARGS=)
	@$(BIN)/luthier run examples/demo.toml $(if $(TRIALS),--trials $(TRIALS)) $(ARGS)

.PHONY: test
test: $(VENV)/.dev system ## all tests, with a real PostgreSQL (ARGS=, WORKERS=)
	$(ONE_THREAD) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

.PHONY: check
check: $(VENV)/.dev ## format, lint, types, floors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy src/luthier $(wildcard tests/typing)
	$(BIN)/lint-imports

.PHONY: chaos
chaos: $(VENV)/.dev system ## kill things at random moments (ARGS=)
	$(ONE_THREAD) $(BIN)/python -m pytest -m chaos $(ARGS)

.PHONY: bench
bench: $(BENCH_VENV)/.bench ## every benchmarks/*.py, beside Optuna (ARGS=)
	@set -e; for script in benchmarks/[!_]*.py; do \
	    echo "== $$script"; $(ONE_THREAD) $(BENCH_BIN)/python "$$script" $(ARGS); \
	done

.PHONY: lock
lock: ## write requirements/*.lock anew from pyproject.toml (ARGS=--upgrade)
	tools/lock.sh $(ARGS)

.PHONY: clean
clean: ## remove environments and caches
	rm -rf $(VENV) $(BENCH_VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
	find . -path ./.git -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
