PYTHON ?= $(shell command -v python3.12 >/dev/null 2>&1 && python3.12 -c '' 2>/dev/null && echo python3.12 || echo python3)
BIN := .venv/bin

.PHONY: run test up down lint bench setup

run: setup            ## the main job: data → training → boards
	$(BIN)/atlasflow run

test: setup           ## every test
	$(BIN)/python -m tests.prepare
	$(BIN)/pytest

up: setup             ## start the local services
	$(BIN)/atlasflow up

down: setup           ## stop the local services
	$(BIN)/atlasflow down

lint: setup           ## style, types, import directions
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: setup .venv/bench/installed   ## measurements, against named peers
	$(BIN)/python -m tests.bench

.venv/bench/installed: requirements-bench.lock .venv/installed
	$(PYTHON) -m venv .venv/bench
	.venv/bench/bin/pip install --quiet --require-hashes --no-deps -r requirements-bench.lock
	.venv/bench/bin/pip install --quiet torch==2.13.0  # outside the lock: which build fits is the machine's matter
	touch $@

setup: .venv/installed

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
	  || { echo "Python 3.11 or 3.12 is needed; name one with make PYTHON=…"; exit 2; }
	$(PYTHON) -m venv .venv || { echo "On Debian: apt install python3-venv"; exit 2; }
	@# The lock names everything; pip looking for dependencies would ask for newer ones than it holds.
	$(BIN)/pip install --quiet --require-hashes --no-deps -r requirements.lock
	$(BIN)/pip check --quiet
	$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .
	touch $@
