PYTHON ?= $(shell command -v python3.12 >/dev/null 2>&1 && python3.12 -c '' 2>/dev/null && echo python3.12 || echo python3)
BIN := .venv/bin
# One more than processors: many tests wait for services, disks and clocks. Those of `make test-fast` compute.
PROCESSORS := $(shell nproc 2>/dev/null || echo 2)
WORKERS ?= $(shell expr $(PROCESSORS) + 1)
COUNT ?= 1000
# uv does not read pip's configuration: hand the machine's index on to it.
INDEX = url=$${PIP_INDEX_URL:-$$($(BIN)/pip config get global.index-url 2>/dev/null)}; [ -z "$$url" ] || export UV_DEFAULT_INDEX=$$url;
INSTALL = $(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --no-deps
COMPILE = $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header --no-emit-index-url --no-emit-find-links
FAST := tests/unit -m "not slow and not mindspore and not service and not program" -n $(PROCESSORS)

.PHONY: run test test-fast test-changed coverage check simulate bench up down setup dev lock

run: setup            ## the main job: data → training → boards
	$(BIN)/atlasflow run

test: dev             ## every test
	$(BIN)/python -m tests.prepare
	$(BIN)/pytest -n $(WORKERS)

test-fast: dev        ## unit tests without services, browsers and other programs
	$(BIN)/pytest $(FAST)

test-changed: dev     ## the tests that the changes since origin/main can affect
	$(BIN)/python -m tests.changed

coverage: dev         ## every test, with branch coverage
	$(BIN)/python -m tests.prepare
	$(BIN)/pytest -n $(WORKERS) --cov --cov-report=term --cov-report=html

check: dev            ## style, types, import directions, the Python of boards
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vermin --target=3.6- --no-tips --violations infra/board/agent models/preprocess.py models/parity.py

simulate: dev         ## schedules of crashes, losses and delays: make simulate COUNT=10000
	$(BIN)/python -m tests.simulation --count $(COUNT) --workers $(WORKERS)

bench: dev .venv/bench/installed   ## measurements, against named peers
	$(BIN)/python -m tests.bench

up: setup             ## start the local services
	$(BIN)/atlasflow up

down: setup           ## stop the local services
	$(BIN)/atlasflow down

setup: .venv/installed       ## what `make run` needs

dev: .venv/dev-installed     ## everything: tests, the demo, tuning, tracking

lock: .venv/uv        ## newer versions within the bounds of pyproject.toml: make lock UPGRADE=--upgrade
	@$(INDEX) set -x; $(COMPILE) $(UPGRADE) pyproject.toml --extra server --output-file requirements.lock
	@$(INDEX) set -x; $(COMPILE) $(UPGRADE) pyproject.toml --all-extras --output-file requirements-dev.lock
	@$(INDEX) set -x; $(COMPILE) $(UPGRADE) --group setup --output-file requirements-setup.lock

.venv/uv: requirements-setup.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' \
	  || { echo "Python 3.11 or 3.12 is needed; name one with make PYTHON=…"; exit 2; }
	$(PYTHON) -m venv .venv || { echo "On Debian: apt install python3-venv"; exit 2; }
	$(BIN)/pip install --quiet --require-hashes --no-deps -r requirements-setup.lock
	touch $@

.venv/installed: requirements.lock pyproject.toml .venv/uv
	@# The lock names everything; a search for dependencies would find newer ones than it holds.
	@$(INDEX) set -x; $(INSTALL) -r requirements.lock
	$(BIN)/uv pip check --quiet --python $(BIN)/python
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

.venv/dev-installed: requirements-dev.lock .venv/installed
	@$(INDEX) set -x; $(INSTALL) -r requirements-dev.lock
	touch $@

.venv/bench/installed: requirements-bench.lock .venv/installed
	$(PYTHON) -m venv .venv/bench
	@$(INDEX) set -x; $(BIN)/uv pip install --quiet --python .venv/bench/bin/python --require-hashes --no-deps -r requirements-bench.lock
	.venv/bench/bin/pip install --quiet torch==2.13.0  # outside the lock: which build fits is the machine's matter
	touch $@
