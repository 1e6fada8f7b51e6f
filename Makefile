# The two commands of the README are `make run` and `make test`; everything that they need goes into .venv.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test test-prefect2 test-prefect3 check format lock clean

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
# uv: 4 s where pip takes 60. It reads no settings of pip: a mirror's address and the system's certificates are handed on.
FOR_UV := export UV_CACHE_DIR=.venv/cache UV_SYSTEM_CERTS=1 UV_DEFAULT_INDEX="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$( \
	$(BIN)/python -m pip config get global.index-url 2>/dev/null)}}" PATH="$(CURDIR)/$(BIN):$$PATH";
INSTALL := $(FOR_UV) uv pip install --quiet --python
LOCKED := --require-hashes -r
ITSELF := --no-deps --no-build-isolation --editable .
# What is imported is compiled once, whatever the shell says: compiling everything takes longer than the run itself.
export PYTHONDONTWRITEBYTECODE :=

help:  ## Say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

# A stamp per requirement file: set-up is done once, and again when the lock changes.
.venv/run.stamp: requirements/uv.txt requirements/run.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python >= 3.11 with venv found: install one, or say make PYTHON=/path/to/python3" >&2; exit 2; }
	@echo "setting up .venv with $$($(PYTHON) --version) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check $(LOCKED) requirements/uv.txt
	@$(INSTALL) $(BIN)/python $(LOCKED) requirements/run.txt
	@$(INSTALL) $(BIN)/python $(ITSELF)
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements/dev.txt
	@$(INSTALL) $(BIN)/python $(LOCKED) requirements/dev.txt
	@touch $@

run: .venv/run.stamp  ## Train and evaluate a detector on a synthetic day of traffic
	@test -d .demo/synthetic-day || $(BIN)/cybersec-mlops simulate .demo/synthetic-day
	@$(BIN)/cybersec-mlops run .demo/synthetic-day --dataset synthetic-day || test $$? -eq 5  # 5: not better than before

# The other Prefect. Its own warnings are no errors of ours.
.venv-prefect2/stamp: .venv/run.stamp requirements/prefect2.txt
	@echo "setting up .venv-prefect2: the core flows run on Prefect 2.20 too ..."
	@test -x .venv-prefect2/bin/python || $(PYTHON) -m venv --without-pip .venv-prefect2
	@$(INSTALL) .venv-prefect2/bin/python $(LOCKED) requirements/prefect2.txt
	@$(INSTALL) .venv-prefect2/bin/python $(ITSELF)
	@touch $@

test: .venv/dev.stamp .venv-prefect2/stamp  ## Run every test, real services included
	@$(MAKE) --no-print-directory --jobs 2 test-prefect3 test-prefect2

# Where OpenMP's threads wait they would spin, and others need the processors.
test-prefect2 test-prefect3: export OMP_WAIT_POLICY = passive

# Three workers on two processors: many a test waits for a server.
test-prefect3: .venv/dev.stamp
	$(BIN)/python -m pytest -n 3 --dist loadgroup

test-prefect2: .venv-prefect2/stamp
	.venv-prefect2/bin/python -m pytest -m prefect2 -p no:anyio -o filterwarnings=ignore tests/pipeline

check: .venv/dev.stamp  ## Lint, types, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers auto
	$(BIN)/lint-imports

format: .venv/dev.stamp  ## Put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: .venv/run.stamp  ## Resolve the requirements again
	@$(FOR_UV) requirements/lock.sh

clean:  ## Remove what make made
	rm -rf .venv .venv-prefect2
