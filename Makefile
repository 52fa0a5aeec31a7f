# Each target does its own set-up: the pinned packages go into .venv, once, and again only when a
# lock file or pyproject.toml changes. Written for GNU make 3.81 (macOS) and later.

PYTHON ?= python3
CORES ?= $(shell getconf _NPROCESSORS_ONLN)
# Further arguments: make test PYTEST_ARGS="-k kfac"
PYTEST_ARGS ?=
SNAKEMAKE_ARGS ?=
# make bench BENCH_ARGS=--pipeline
BENCH_ARGS ?=
# The pictures that the README shows.
GALLERY := head_to_head condition_study exponents rate_and_floor contraction one_step_alignment single_index_learning step_size inputs mlp_condition

BIN := .venv/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check
# Shell rules of the workflow find `python` here.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Tests start hundreds of Pythons, which would each compile what they import.
unexport PYTHONDONTWRITEBYTECODE
# Snakemake stops where its cache cannot be made in the home.
ifneq ($(shell mkdir -p "$${XDG_CACHE_HOME:-$$HOME/.cache}/snakemake" 2>/dev/null && echo made), made)
export XDG_CACHE_HOME := $(CURDIR)/.snakemake/cache
endif

.PHONY: help reproduce quick gallery test test-fast test-slow test-browser browser test-slurm lint bench clean

help:
	@echo "make reproduce   every table and figure at full scale, the claims, the page of results, report.html"
	@echo "make quick       the same at a small scale, in about a minute"
	@echo "make gallery     reproduce, and copy the pictures that the README shows"
	@echo "make test        the tests, without the slow ones"
	@echo "make test-fast   of these, mathematics and rules alone: no process is started"
	@echo "make test-slow   the slow tests"
	@echo "make test-browser  the page of results in Chromium; make browser installs it (root on Debian)"
	@echo "make test-slurm  the pipeline on a Slurm of one node, against the same without (root on Debian)"
	@echo "make lint        style, types, import contracts and the workflow's own lint"
	@echo "make bench       times of the engines, their scaling and their floor, in minutes"
	@echo "make clean       remove results, new figures, caches and .venv"
	@echo "CORES=$(CORES) is how many CPUs a workflow may use; PYTHON=$(PYTHON) builds .venv."

SNAKEMAKE = $(BIN)/snakemake --cores $(CORES)

reproduce: .venv/runtime.stamp
	$(SNAKEMAKE) $(SNAKEMAKE_ARGS)
	@if [ ! -e report.html ] || [ -n "$$(find figures workflow/report -maxdepth 1 -type f -newer report.html ! -name '*.pdf')" ]; \
	  then $(BIN)/snakemake --report report.html; fi
	@echo "Results: results/, figures: figures/, verdicts: figures/claims.md, a report: report.html"
	@echo "Open $(CURDIR)/figures/page.html in a browser: claims, data, figures and what was run."

quick: .venv/runtime.stamp
	$(SNAKEMAKE) --config scale=quick $(SNAKEMAKE_ARGS)
	@echo "Results: results/quick/, figures: figures/quick/"
	@echo "Open $(CURDIR)/figures/quick/page.html in a browser: a look that judges nothing."

# The README's pictures are copies of what reproduce drew, and one of the page where a browser is there.
gallery: reproduce
	mkdir -p figures/gallery
	$(BIN)/python scripts/gallery.py $(addprefix figures/,$(addsuffix .png,$(GALLERY))) \
	  --folder figures/gallery --claims results/claims.csv --exponents figures/exponents.csv --about results/about.json \
	  --page figures/page.html --readme README.md
	cp figures/claims.md figures/gallery/

test: .venv/dev.stamp
	$(BIN)/python -m pytest -m "not slow and not browser" -n $(CORES) --dist loadfile --no-loadscope-reorder \
	  $(PYTEST_ARGS)

# Mathematics and rules, without starting a process.
test-fast: .venv/dev.stamp
	$(BIN)/python -m pytest -m "not slow and not browser and not processes" -n $(CORES) --dist loadfile \
	  $(addprefix tests/,data networks methods metrics theory) $(PYTEST_ARGS)

test-slow: .venv/dev.stamp
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS)

test-browser: .venv/browser.stamp
	$(BIN)/python -m pytest -m browser $(PYTEST_ARGS)

# Chromium comes from the system's packages; Playwright alone would fetch a build of its own.
browser: .venv/browser.stamp
	command -v chromium >/dev/null || { apt-get update && apt-get install --yes --no-install-recommends chromium fonts-dejavu-core; }

test-slurm: .venv/slurm.stamp
	tests/slurm/run.sh

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

bench: .venv/runtime.stamp
	$(BIN)/python scripts/bench.py $(BENCH_ARGS)

# An older .venv is updated in place. The build backend is the pinned setuptools, so that the
# editable install fetches nothing.
.venv/runtime.stamp: requirements.lock pyproject.toml
	@command -v "$(PYTHON)" >/dev/null \
	  || { echo "$(PYTHON) was not found: name a Python of version 3.11 or later, as in make PYTHON=python3.11." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "$(PYTHON) is older than 3.11: name a later one, as in make PYTHON=python3.11." >&2; exit 1; }
	@"$(PYTHON)" -c 'import venv, ensurepip' 2>/dev/null \
	  || { echo "$(PYTHON) lacks the venv module: install it (python3-venv on Debian and Ubuntu)." >&2; exit 1; }
	@echo "Installing the pinned packages into .venv (a few minutes, once)."
	@"$(PYTHON)" -m venv .venv
	@$(PIP) install -r requirements.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.venv/dev.stamp: requirements-dev.lock .venv/runtime.stamp
	@echo "Installing the pinned tools for tests and lint into .venv."
	@$(PIP) install --no-deps -r requirements-dev.lock
	@touch $@

.venv/browser.stamp: requirements-browser.lock .venv/dev.stamp
	@echo "Installing what drives a browser in tests into .venv."
	@$(PIP) install --no-deps -r requirements-browser.lock
	@touch $@

.venv/slurm.stamp: requirements-slurm.lock .venv/runtime.stamp
	@echo "Installing Snakemake's executor for Slurm into .venv."
	@$(PIP) install --no-deps -r requirements-slurm.lock
	@touch $@

clean:
	rm -rf .venv .snakemake outputs .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache src/layerwise.egg-info
	find results figures -mindepth 1 ! -name .gitkeep ! -path 'figures/gallery*' -delete
	find src scripts tests workflow -name __pycache__ -type d -prune -exec rm -rf {} +
