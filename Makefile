# What a newcomer types: `make demo` and `make test`. Every target makes its own environment in .venv first.
#
# PyPI's torch brings gigabytes of CUDA on Linux. Where no NVIDIA card would use them, point pip to PyTorch's index of
# CPU wheels before the first make (PIP_EXTRA_INDEX_URL in the environment); constraints.txt names the version for both.

PYTHON ?= $(or $(shell command -v python3.11),python3)
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test style types contracts units slow bench format wheel clean

demo: $(READY)  ## phantoms, training without labels, segmentation, a picture: a few minutes on two cores
	$(BIN)/cytoshift demo -o demo

test: style types contracts units  ## what has to pass before a change is kept; `make -k test` shows all that fails

style: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/mypy

contracts: $(READY)
	$(BIN)/lint-imports --no-logo

units: $(READY)
	$(BIN)/pytest

slow: $(READY)  ## the tests that train: minutes each
	$(BIN)/pytest -m slow

bench: $(READY)  ## speed, on this machine
	$(BIN)/pytest benchmarks --benchmark-only --benchmark-columns=min,median,max
	$(BIN)/python benchmarks/bench_synth.py

format: $(READY)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

wheel: $(READY)
	rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation

clean:
	rm -rf .venv build dist demo

$(READY): pyproject.toml constraints.txt
	@echo "Making .venv and filling it: minutes and about 2 GB, once."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
