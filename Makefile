# make demo   set up and run the main job on a simulated study
# make test   set up and run every test that is not marked slow
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2
CONSTRAINTS ?= -c constraints.txt
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS)

.PHONY: demo test test-all lint types analyses study calibration paper docs check fuzz faults differential audit wheel oldest pictures clean

demo: $(VENV)/.core
	$(BIN)/preflamp-stats demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow"

test-all: $(VENV)/.dev
	$(BIN)/python -m pytest -n $(WORKERS)

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PYTHONPATH=backend $(BIN)/lint-imports --no-cache
	$(BIN)/python .ci/house.py

types: $(VENV)/.dev
	$(BIN)/mypy

# Public data, not shipped; each study says where to get it.
analyses: $(VENV)/.core
	$(BIN)/python analyses/hanna/run.py
	$(BIN)/python analyses/rewardbench_bon/run.py

# The whole way with models: train, score, guide, analyse. SIZE=small invents its authors and needs
# no data; the full size says where to get them; SIZE=real fetches two pretrained models, for hours.
# Stops and goes on at will.
SIZE ?= full

study: $(VENV)/.backend
ifeq ($(SIZE),real)
	$(PIP_INSTALL) -e '.[backend,gguf,dask]'
endif
	$(BIN)/python analyses/acl_titles/run.py --size $(SIZE)

# Hours of simulation; stops and goes on at will.
calibration: $(VENV)/.dev
	mkdir -p out
	$(PIP_INSTALL) -e '.[bench]'
	$(BIN)/python benchmarks/calibration/calibration.py run --out out/calibration.jsonl
	$(BIN)/python benchmarks/calibration/calibration.py report out/calibration.jsonl
	$(BIN)/python benchmarks/calibration/calibration.py worlds --out out/worlds.jsonl
	$(BIN)/python benchmarks/calibration/calibration.py report out/worlds.jsonl --page

# From the results of make study; needs LaTeX, and says so.
paper: $(VENV)/.core
	$(BIN)/python paper/build.py

docs: $(VENV)/.dev
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

check: test lint types docs

# Every night: spoilt inputs, and kills and other faults. Hours on one core; both go on where they
# were stopped.
CASES ?= 20000
TRIALS ?= 200

fuzz: $(VENV)/.dev
	mkdir -p out
	$(BIN)/python benchmarks/robustness/fuzz.py run --cases $(CASES) --workers $(WORKERS) --out out/fuzz.jsonl

faults: $(VENV)/.dev
	mkdir -p out
	$(BIN)/python benchmarks/robustness/faults.py run --trials $(TRIALS) --out out/faults.jsonl

# Every estimate beside somebody else's code, 5,000 random cases of each; R's where it is installed.
differential: $(VENV)/.dev
	$(BIN)/python benchmarks/robustness/differential.py run --workers $(WORKERS)

# Known vulnerabilities of the pinned packages, where the advisory service can be reached.
audit: $(VENV)/bin/python
	test -x $(VENV)/audit/bin/pip-audit || $(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --quiet --disable-pip-version-check 'pip-audit>=2.9,<3'
	$(PYTHON) .ci/audit.py $(VENV)/audit/bin/pip-audit

# Sdist, and from it the wheel, which must work in an environment of its own outside the repository.
wheel: $(VENV)/bin/python
	test -x $(VENV)/build/bin/python || $(PYTHON) -m venv $(VENV)/build
	$(VENV)/build/bin/python -m pip install --quiet --disable-pip-version-check 'build>=1.2,<2' 'twine>=6,<8'
	rm -rf dist
	$(VENV)/build/bin/python -m build --outdir dist . > /dev/null
	$(VENV)/build/bin/python -m twine check --strict dist/*
	$(BIN)/python .ci/smoke.py dist $(CONSTRAINTS)

# The oldest versions that pyproject.toml allows: then make test CONSTRAINTS='-c out/oldest.txt', where nothing is installed yet.
oldest: $(VENV)/bin/python
	mkdir -p out
	test -x $(VENV)/build/bin/python || $(PYTHON) -m venv $(VENV)/build
	$(VENV)/build/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.5,<1'
	$(VENV)/build/bin/uv pip compile --quiet --python $(BIN)/python --resolution lowest-direct --extra dev --extra backend \
		--no-annotate --output-file out/oldest.txt pyproject.toml

# Those of the README, from the demo; needs Chromium.
pictures: $(VENV)/.dev
	$(BIN)/preflamp-stats demo
	$(BIN)/python docs/pictures.py preflamp-demo/analysis

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(f"preflamp-stats needs Python 3.11 or newer, this is {v[0]}.{v[1]}: try make PYTHON=python3.12") if v < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP_INSTALL) -e .
	touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP_INSTALL) -e '.[dev,backend]'
	touch $@ $(VENV)/.core

$(VENV)/.backend: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP_INSTALL) -e '.[backend]'
	touch $@ $(VENV)/.core

clean:
	rm -rf $(VENV) dist docs/_build .pytest_cache .hypothesis .mypy_cache .ruff_cache
