# What a newcomer types: `make demo` and `make test`. Every target makes its own environment in .venv first.
#
# PyPI's torch brings gigabytes of CUDA on Linux. Where no NVIDIA card would use them, point pip to PyTorch's index of
# CPU wheels before the first make (PIP_EXTRA_INDEX_URL in the environment); constraints.txt names the version for both.

PYTHON ?= $(or $(shell command -v python3.11),python3)
BIN := .venv/bin
READY := .venv/ready

.PHONY: demo test style types contracts units slow lowest installed docs tutorials bench format wheel clean

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

# Workers take two or four processors, as each holds a gigabyte; who finishes early takes files of the others.
units: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/pytest -n logical --maxprocesses 4 --dist worksteal

slow: $(READY)  ## the tests that train: minutes each; then every verb as people install it
	$(BIN)/pytest -m slow
	$(MAKE) lowest installed

lowest: .venv-lowest/ready  ## what README shows, on the lowest versions that pyproject.toml allows
	room=$$(mktemp -d) && .venv-lowest/bin/python .ci/walk.py $$room/walk && rm -r $$room

installed: wheel  ## every verb from the wheel alone, as a user without a home and with little shared memory
	.ci/installed

docs: .venv/docs  ## the pages, into docs/_build/html; a warning is an error
	$(BIN)/python -m sphinx -q -W --keep-going -b html -d docs/_build/doctrees docs docs/_build/html
	@echo "docs/_build/html/index.html"

# The scripts that the pages show, as they stand: five minutes each; what they draw and print is what the pages show.
TUTORIALS := $(basename $(notdir $(filter-out %/tutorial.sh,$(wildcard docs/tutorials/*.sh))))

tutorials: $(addprefix tutorial-,$(TUTORIALS))  ## or one of them: make tutorial-no-labels-2d

tutorial-%: $(READY)
	rm -rf runs/tutorials/$* && mkdir -p runs/tutorials/$*
	cd runs/tutorials/$* && PATH=$(CURDIR)/$(BIN):$$PATH KEEP=$(CURDIR)/docs/tutorials/made/$* bash $(CURDIR)/docs/tutorials/$*.sh

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
	rm -rf .venv .venv-lowest build dist demo docs/_build docs/generated

$(READY): pyproject.toml constraints.txt
	@echo "Making .venv and filling it: minutes and about 2 GB, once."
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -qq --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

# What is installed there is a copy of the sources.
.venv-lowest/ready: pyproject.toml constraints.txt .ci/lowest.py $(shell find src -name '*.py')
	rm -rf .venv-lowest
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python .ci/lowest.py > .venv-lowest/lowest.txt
	.venv-lowest/bin/pip install -qq --disable-pip-version-check --only-binary :all: -r .venv-lowest/lowest.txt
	.venv-lowest/bin/pip install -qq --disable-pip-version-check --no-deps .
	@touch $@

.venv/docs: $(READY)
	$(BIN)/pip install -qq --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@
