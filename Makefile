# make run            the whole show (first call: virtual environment, packages, model)
# make run ARGS="--plain --mute"
# make setup TORCH=cpu   on Linux without an NVIDIA card: torch's much smaller CPU build, before anything else
# make test lint bench check

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH ?=
# Byte code is made when a module is first imported: making all of it at once would double the set-up time.
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-compile -c constraints.txt
ifeq ($(TORCH),cpu)
PIP += --extra-index-url https://download.pytorch.org/whl/cpu
endif

.PHONY: setup run test lint bench check clean

setup: $(VENV)/.core

run: $(VENV)/.core
	@$(BIN)/python launcher.py $(ARGS)

test: lint
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev
	@$(BIN)/python -m benchmarks $(ARGS)

check: $(VENV)/.core
	@$(BIN)/python launcher.py --check $(ARGS)

clean:
	rm -rf $(VENV) logs .mypy_cache .pytest_cache .ruff_cache *.egg-info

$(BIN)/python:
	@$(PYTHON) -c "import sys; sys.exit('Akane needs Python 3.10 or newer, this is %d.%d: make PYTHON=python3.12 setup' % sys.version_info[:2] if sys.version_info < (3, 10) else 0)"
	@if [ "$(TORCH)" = "" ] && [ "`uname`" = Linux ] && ! command -v nvidia-smi >/dev/null; then \
	    echo "No NVIDIA card here: 'make setup TORCH=cpu' takes a much smaller torch (Ctrl-C, then that)."; fi
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PIP) -e ".[dev]"
	@touch $@
