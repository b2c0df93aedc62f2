# The two commands: `make demo` and `make test`. Each sets up .venv once, and then runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# What the tests need and innerloop does not.
TESTED_WITH := beartype hypothesis pytest pytest-randomly pytest-xdist tensorboardX
# The tests compile much and run little, and XLA's older emitters compile in half the time. They are
# asked for here, where constraints.txt says which XLA it is: a flag that XLA does not know ends it.
PYTEST = XLA_FLAGS="--xla_cpu_use_fusion_emitters=false $$XLA_FLAGS" $(BIN)/python -m pytest -n 2 \
  --dist worksteal --randomly-seed=$(ORDER)
# The seed of the tests' order. `make test ORDER=default` draws one, to find tests that lean on others.
ORDER ?= 1

.PHONY: demo demo-fewshot test test-extras test-all test-processors test-versions mutations coverage bench lint docs \
  docs-serve dist clean
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed
	@$(BIN)/innerloop demo

demo-fewshot: $(VENV)/.installed
	@$(BIN)/innerloop fewshot demo

test: $(VENV)/.installed-dev
	@$(PYTEST)

# What needs PyTorch, Keras, the hub's library and other frameworks, which it installs: a gigabyte.
test-extras: $(VENV)/.installed-extras
	@$(PYTEST) tests/frameworks tests/test_hub.py tests/rules/test_flax.py tests/test_docs.py \
	  tests/test_docstrings.py tests/test_site.py

# The slow tests too, in an order of their own.
test-all: ORDER := default
test-all: $(VENV)/.installed-dev
	@$(PYTEST) -m "slow or not slow"

# The tests as older x86 processors run them, and on one device and on four: an hour on two cores.
test-processors: $(VENV)/.installed-dev
	@for isa in SSE4_2 AVX2 AVX512; do for devices in 1 4; do \
	  echo "Instructions up to $$isa, $$devices device(s):"; \
	  (export XLA_FLAGS="--xla_cpu_max_isa=$$isa $$XLA_FLAGS" INNERLOOP_TEST_DEVICES=$$devices; \
	   $(PYTEST) -o cache_dir=.pytest_cache/$$isa) || exit 1; \
	done; done

# The tests of rules and files with the lowest versions that are declared, and with the newest that
# NEWEST_PYTHON can install: a newer JAX may need a newer Python than innerloop does.
VERSIONED := tests/rules tests/runtime tests/fewshot/test_files.py
NEWEST_PYTHON ?= $(PYTHON)
test-versions:
	@for which in lowest newest; do \
	  python=$(PYTHON); constraints="-c constraints-lowest.txt"; \
	  if [ $$which = newest ]; then python=$(NEWEST_PYTHON); constraints=; fi; \
	  echo "With the $$which versions for $$($$python --version):"; \
	  $$python -m venv .venv-$$which && \
	  .venv-$$which/bin/python -m pip --disable-pip-version-check --quiet install --upgrade \
	    --upgrade-strategy eager $$constraints -e . $(TESTED_WITH) && \
	  .venv-$$which/bin/python -m pytest -o cache_dir=.pytest_cache/$$which $(VERSIONED) || exit 1; \
	done

# Lines that are broken on purpose, each of which a test must notice: a quarter of an hour.
mutations: $(VENV)/.installed-dev
	@$(BIN)/python tools/mutations.py

# The tests, and the lines and branches that they reach: at least 90 %.
coverage: $(VENV)/.installed-dev
	@$(PYTEST) --cov --cov-report=term --cov-fail-under=90

# Ours, PyTorch's and the machine's own speed, side by side: a quarter of an hour. Leave the machine alone.
bench: $(VENV)/.installed-bench
	@$(BIN)/python -m pytest -c benchmarks/pytest.ini --rootdir . benchmarks
	@$(BIN)/python benchmarks/growth.py

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/lint-imports
	@$(BIN)/basedpyright --level error

# The site in build/site: tutorials are run, and every warning is an error. The one for PyTorch runs where
# PyTorch is installed: `make docs DOCS=docs,torch` installs it, a gigabyte or more.
DOCS ?= docs
docs: $(VENV)/.installed-$(DOCS)
	@$(BIN)/mkdocs build --quiet

# The site on 127.0.0.1:8000, renewed when a page changes.
docs-serve: $(VENV)/.installed-$(DOCS)
	@$(BIN)/mkdocs serve

# A wheel and a source distribution in dist/, checked: their metadata, and that the wheel installs.
dist: $(VENV)/.installed-dist
	@rm -rf dist
	@$(BIN)/python -m build --outdir dist
	@$(BIN)/twine check --strict dist/*
	@$(PYTHON) -m venv build/dist-venv --clear
	@build/dist-venv/bin/python -m pip --disable-pip-version-check --quiet install -c constraints.txt dist/*.whl
	@cd build && dist-venv/bin/innerloop list > dist-list.txt && grep --quiet lstm-quadratic dist-list.txt

clean:
	@rm -rf $(VENV) .venv-lowest .venv-newest build dist src/*.egg-info

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "innerloop needs Python 3.11 or later; say which: make PYTHON=python3.12 demo"; exit 1; }
	@echo "Setting up $(VENV), once …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(BIN)/python pyproject.toml constraints.txt
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/.installed-$(DOCS): $(VENV)/.installed
	@$(PIP) install -c constraints.txt -e '.[$(DOCS)]'
	@touch $@

$(VENV)/.installed-dist: $(VENV)/.installed
	@$(PIP) install -c constraints.txt -e '.[dist]'
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-dev
	@$(PIP) install -c constraints.txt -e '.[bench]'
	@touch $@

$(VENV)/.installed-extras: $(VENV)/.installed-dev
	@$(PIP) install -c constraints.txt -e '.[frameworks]'
	@touch $@
