# The commands of sourcebench's checkout. `make help` lists them.
#
# .venv is made by the first target that needs it, and refreshed when pyproject.toml or
# constraints.txt change. `make PYTHON=python3.12 test` chooses the interpreter.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test bench lint clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(INSTALLED)  ## compare a few sources on the embedded tasks: a table, and the page (minutes)
	$(BIN)/sourcebench compare comparison=quick

test: lint  ## lint, types and tests (SOURCEBENCH_DATA=... to include those on real recordings)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

bench: $(INSTALLED)  ## how fast it is, against the reference figures: writes results/benchmarks.md
	BENCH_TABLE=results/benchmarks.md $(BIN)/python -m pytest tests/benchmarks --benchmark-enable --benchmark-only

lint: $(INSTALLED)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:  ## remove the environment and the tools' caches; runs/, cache/ and results/ stay
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last, so that an interrupted installation is taken up again.
$(INSTALLED): pyproject.toml constraints.txt
	@command -v $(PYTHON) > /dev/null || { \
	  echo "make: there is no '$(PYTHON)' here. Install Python 3.11 or newer,"; \
	  echo "      or name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: $$($(PYTHON) --version) is too old; sourcebench needs Python 3.11 or newer."; \
	  echo "      Name a newer one: make PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null || { \
	  echo "make: $$($(PYTHON) --version) has no venv module, which the environment is made with."; \
	  echo "      On Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -e '.[dev]' -c constraints.txt
	@touch $@
