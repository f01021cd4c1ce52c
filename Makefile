# Each target sets up all that it needs from python3 (3.11 or later), git and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
READY := $(VENV)/.ready

.PHONY: demo test lint types fix bench torture lock clean

demo: $(READY)
	$(BIN)/seedbed demo

test: $(READY)
	$(BIN)/ruff check src tests bench
	$(BIN)/ruff format --check src tests bench
	$(BIN)/mypy
	$(BIN)/pytest -n 2 -m "not torture"

lint: $(READY)
	$(BIN)/ruff check src tests bench
	$(BIN)/ruff format --check src tests bench

fix: $(READY)
	$(BIN)/ruff check --fix src tests bench
	$(BIN)/ruff format src tests bench

types: $(READY)
	$(BIN)/mypy

# Speed, as ratios in one run; run it while nothing else uses the machine.
bench: $(READY)
	$(BIN)/python -m bench

# Long proofs: a hundred kills at random moments and what else takes minutes.
torture: $(READY)
	$(BIN)/pytest -m torture -s

# Names, versions and hashes only; no address of any index.
lock: $(VENV)/.uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
		-o requirements.lock --upgrade

clean:
	rm -rf $(VENV) build dist

$(VENV)/.uv:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	touch $@

$(READY): $(VENV)/.uv pyproject.toml requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	$(BIN)/python -m compileall -q src
	touch $@
