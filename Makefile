# `make quickstart` and `make test` are all one needs on a fresh machine. A second run installs nothing unless
# pyproject.toml or constraints.txt changed.
#
#   PYTHON=python3.12     the Python that .venv is made with (3.11 to 3.13)
#   VENV=.venv            where it is made
#   TORCH_INDEX=URL       package index to take torch from, e.g. one with CPU-only builds; the rest is from the usual one
#   PYTEST_ARGS='-x -n 0' more arguments for pytest; -n 0 runs all in one process

IN_RANGE := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	$$p -c '$(IN_RANGE)' >/dev/null 2>&1 && { echo $$p; exit; }; done)
VENV ?= .venv
TORCH_INDEX ?=
PYTEST_ARGS ?=

PARALLEL := -n auto --dist loadfile --no-loadscope-reorder
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help install quickstart test test-all benchmark lint format docs clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

install: $(VENV)/.installed-test $(VENV)/.installed-lint ## install all that test and lint need

quickstart: $(VENV)/.installed-core ## install, then train and measure QAM on a point maze
	@$(BIN)/qam-train

test: $(VENV)/.installed-test ## install, then run the fast tests (four minutes on two cores)
	@$(BIN)/python -m pytest $(PARALLEL) -m 'not slow' $(PYTEST_ARGS)

test-all: $(VENV)/.installed-test ## install, then run every test, notebook and benchmark (twelve to twenty minutes on two cores)
	@$(BIN)/python -m pytest $(PARALLEL) tests notebooks benchmarks $(PYTEST_ARGS)

benchmark: $(VENV)/.installed-test ## install, then time the hot parts; leave the machine alone meanwhile
	@$(BIN)/python -m pytest benchmarks --benchmark-enable --benchmark-sort=name $(PYTEST_ARGS)

lint: $(VENV)/.installed-lint ## install, then check style, types and who imports whom
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(VENV)/.installed-lint ## rewrite the code in the project's style
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(VENV)/.installed-docs ## install, then build the documentation's site in build/docs/ and check its links
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@$(BIN)/python scripts/site/check_site.py build/docs

clean: ## remove .venv, builds and caches; keeps runs/
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n '$(PYTHON)' || { echo 'no Python 3.11 to 3.13 found: install one, or name it with PYTHON=...'; exit 1; }
	@$(PYTHON) -c '$(IN_RANGE)' || { echo 'got $(PYTHON), expected Python 3.11 to 3.13: name another with PYTHON=...'; exit 1; }
	@echo 'making $(VENV) with $(PYTHON)'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# The interpreter is order-only: it is a link, and its date does not show what is installed.
$(VENV)/.installed-core: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'installing qam_torch (the first time: a few minutes)'
	@$(if $(TORCH_INDEX),$(PIP) --no-deps --index-url $(TORCH_INDEX) torch,:)
	@$(PIP) --editable '.[report]'
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 13))'; then \
		$(PIP) --no-deps --no-warn-conflicts ogbench dm-control; fi # why: see pyproject.toml
	@touch $@

$(VENV)/.installed-%: $(VENV)/.installed-core
	@echo 'installing the $* tools'
	@$(PIP) --editable '.[$*]'
	@touch $@
