# The two commands of the README are `make run` and `make test`; everything that they need goes into .venv.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test test-prefect2 test-prefect3 check format lock clean

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
INSTALL := -m pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r
ITSELF := -m pip install --quiet --disable-pip-version-check --no-compile --no-deps --no-build-isolation --editable .
# All processors compile, where pip takes one; not the packages' tests. Some files are templates and no Python: they fail.
COMPILE := -m compileall -qq -j 0 -x '/tests?/' .venv/lib src || true

help:  ## Say what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

# A stamp per requirement file: set-up is done once, and again when the lock changes.
.venv/run.stamp: requirements/pip.txt requirements/run.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "no Python >= 3.11 with venv found: install one, or say make PYTHON=/path/to/python3" >&2; exit 2; }
	@echo "setting up .venv with $$($(PYTHON) --version) ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python $(INSTALL) requirements/pip.txt  # an older one, as Python's own, takes twice as long
	@$(BIN)/python $(INSTALL) requirements/run.txt
	@$(BIN)/python $(ITSELF)
	@$(BIN)/python $(COMPILE)
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements/dev.txt
	@$(BIN)/python $(INSTALL) requirements/dev.txt
	@$(BIN)/python $(COMPILE)
	@touch $@

run: .venv/run.stamp  ## Train and evaluate a detector on a synthetic day of traffic
	@test -d .demo/synthetic-day || $(BIN)/cybersec-mlops simulate .demo/synthetic-day
	@$(BIN)/cybersec-mlops run .demo/synthetic-day --dataset synthetic-day || test $$? -eq 5  # 5: not better than before

# The other Prefect: not compiled, since a part of it is imported once. Its own warnings are no errors of ours.
.venv-prefect2/stamp: .venv/run.stamp requirements/prefect2.txt
	@echo "setting up .venv-prefect2: the core flows run on Prefect 2.20 too ..."
	@test -x .venv-prefect2/bin/python || $(PYTHON) -m venv .venv-prefect2
	@.venv-prefect2/bin/python $(INSTALL) requirements/pip.txt
	@.venv-prefect2/bin/python $(INSTALL) requirements/prefect2.txt
	@.venv-prefect2/bin/python $(ITSELF)
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

lock:  ## Resolve the requirements again (needs uv)
	requirements/lock.sh

clean:  ## Remove what make made
	rm -rf .venv .venv-prefect2
