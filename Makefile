# Everything a person or CI does with this checkout. `make help` lists it.

VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.trimtab-installed
# Written by `make image-of-contract`, deliberately; `make lint` refuses a contract that breaks it.
CONTRACT_IMAGE := protos/trimtab.binpb

# Extra arguments of the program behind a target: make run ARGS='--workers 2', make test ARGS='-n 2 -k place'
ARGS ?=
# A machine's own interpreter, by the first of these names that runs and is new enough.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$name && break; done)
BENCHES = $(basename $(notdir $(shell grep -l __main__ tests/bench/*.py)))

.DEFAULT_GOAL := help
.PHONY: help setup stubs compiled run test test-long lint lint-python lint-types lint-imports lint-protos lint-docs \
	format bench demo docs image-of-contract constraints system-deps azurite wheel clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## Set up ---------------------------------------------------------------------------------------------

setup: $(STAMP) stubs compiled ## Make .venv and install everything into it (python3.11+ is enough)

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "trimtab needs python3.11 or newer" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The build requirements come first and isolation is off, so that the constraints bind the generator too.
$(STAMP): pyproject.toml constraints.txt hatch_build.py | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		pip hatchling grpcio-tools mypy-protobuf googleapis-common-protos
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--no-build-isolation --editable '.[dev]'
	@touch $@

stubs: $(STAMP) ## Generate the stubs from protos/ again, if the protos changed
	@$(BIN)/python hatch_build.py

compiled: $(STAMP) stubs ## Compile the hot path, if its sources changed and there is a C compiler
	@$(BIN)/python -m trimtab_service.compiled

system-deps: ## Install the Debian packages that the longer suites use (root)
	apt-get update -q
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
		$$(sed 's/#.*//' deploy/system-packages.txt)

azurite: ## Install Azurite, where npm is: the Blob Storage of tests, which is otherwise a fake of our own
	npm install --no-audit --no-fund --prefix $(VENV)/azurite azurite@3.37.0

## Use ------------------------------------------------------------------------------------------------

run: setup ## Serve on the loopback interface (set up first, if needed)
	$(BIN)/trimtab serve $(ARGS)

demo: setup ## Show the tour: a server, a few questions, their answers
	$(BIN)/python -m tests.support.demo $(ARGS)

## Check ----------------------------------------------------------------------------------------------

# Servers and databases of the tests are each their own, so tests run side by side; more than four only wait for the disk.
test: setup ## Run the suite, but for what takes minutes
	$(BIN)/python -m pytest --numprocesses=auto --maxprocesses=4 $(ARGS)

test-long: setup ## Run what takes minutes
	$(BIN)/python -m pytest -m long --timeout=1800 $(ARGS)

lint: lint-python lint-types lint-imports lint-protos lint-docs ## Check style, types, import rules, the contract, generated pages

lint-python: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check

lint-types: setup
	$(BIN)/mypy

lint-imports: setup
	$(BIN)/lint-imports

lint-protos: setup
	$(BIN)/python -m tools.buf lint
	$(BIN)/python -m tools.buf breaking --against $(CONTRACT_IMAGE)
	$(BIN)/python -m pytest -q tests/contract/test_descriptors.py

lint-docs: setup
	$(BIN)/python -m tools.generate_docs --check

format: setup ## Bring the code into ruff's format and apply its safe fixes
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

bench: setup ## Run every bench in its quick form; the last line of each is one JSON object
	@for name in $(BENCHES); do echo "== $$name"; $(BIN)/python -m tests.bench.$$name --quick $(ARGS) || exit 1; done

## Refresh what is committed but generated --------------------------------------------------------------

docs: setup ## Write the committed files that are made from code (reasons, settings, roles, dashboard)
	$(BIN)/python -m tools.generate_docs

image-of-contract: setup ## Accept today's protos as the contract that later ones must not break
	$(BIN)/python -m tools.buf build -o $(CONTRACT_IMAGE) --exclude-source-info

constraints: setup ## Pin the versions that are installed now
	$(BIN)/python -m tools.pin_constraints > constraints.txt.new
	mv constraints.txt.new constraints.txt

wheel: setup ## Build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation

clean: ## Remove what builds and checks left behind (.venv stays)
	rm -rf build dist clients/python/trimtab/v1 service/trimtab_service/compiled/*.so .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find clients service tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
