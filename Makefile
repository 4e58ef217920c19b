# One entry point for people and CI. Each target does its own set-up: `make demo` on a fresh checkout works.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
IMAGE_PYTHON ?= 3.11
STAMP := $(VENV)/.installed-for-$(shell cksum < pyproject.toml | cut -d' ' -f1)
# The hash seed is fixed, so that a simulation repeats exactly. Compiled code is kept even where the environment asks for
# none: without it each worker compiles every test again, and each daemon that a test starts the whole agent.
TESTED := PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(CURDIR)/build/pycache

.DEFAULT_GOAL := help
.PHONY: help install demo test compose-test machine-test wheels check bench faults crashes fuzz-api fuzz coverage format clean

help: ## Show this list
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(STAMP) ## Create .venv and install everything into it

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=…" >&2; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
		echo "python's venv module is missing: on Debian and Ubuntu, apt install python3-venv" >&2; exit 2; }
	@echo "Installing into $(VENV) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@rm -f $(VENV)/.installed-for-*
	@touch $@

demo: $(STAMP) ## One cloud, two edge nodes, an app, a cut link: all on loopback (KEEP=1 leaves it running)
	@$(BIN)/python -m examples.demo $(if $(KEEP),--keep)

test: $(STAMP) ## Every test, real processes and kubectl included
	@$(TESTED) $(BIN)/pytest -n 2 --dist worksteal -q

compose-test: $(STAMP) build/base-image.tar wheels ## The images and docker-compose.yml on a Docker Engine of our own, as root
	@AIOKUBEEDGE_BASE_IMAGE=$(CURDIR)/build/base-image.tar $(BIN)/pytest tests/e2e/test_compose.py tests/e2e/test_packaging.py -q --timeout 600

machine-test: $(STAMP) build/machine/root.img ## A device that is a whole machine: cgroup v2, systemd, power cuts, as root (CUTS=20 SEED=1)
	@AIOKUBEEDGE_MACHINE=$(CURDIR)/build/machine AIOKUBEEDGE_CUTS=$(CUTS) AIOKUBEEDGE_SEED=$(SEED) \
		$(BIN)/pytest tests/machines -q -rP --no-header

build/machine/root.img: .ci/machine-image tests/machines/guest.py pyproject.toml | $(STAMP)
	@rm -rf build/machine && mkdir -p build/machine
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --dest build/machine/wheels --python-version $(IMAGE_PYTHON) \
		--only-binary :all: setuptools wheel '.[cloud,edge]' hypothesis looptime pytest pytest-asyncio pytest-timeout
	@.ci/machine-image build/machine build/machine/wheels

build/base-image.tar: .ci/base-image
	@rm -f $@ && .ci/base-image $@

wheels: $(STAMP) ## All that the images need, for a build without a network (PIP_NO_INDEX=1 docker compose build)
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --dest wheels --python-version $(IMAGE_PYTHON) \
		--only-binary :all: setuptools wheel '.[cloud,docker,edge,kubernetes,otel,snappy]'

check: $(STAMP) ## Format, lint, types, import layers and unit tests: under a minute
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary protocol cloudcore edgecore tests examples benchmarks
	@$(BIN)/lint-imports --config pyproject.toml >.lint-imports.log 2>&1 || { cat .lint-imports.log; exit 1; }
	@$(TESTED) $(BIN)/pytest -n 2 -q -m "not e2e and not slow" --hypothesis-profile=quick

bench: $(STAMP) ## Every benchmark: a table, and JSON under benchmarks/results
	@$(BIN)/python -m benchmarks

faults: $(STAMP) ## The fault lab: real daemons on bad networks, as root (SEEDS=20 FIRST=1 JOBS=2, or MINUTES=180)
	@$(BIN)/python -m tests.faults --first $(or $(FIRST),1) --seeds $(or $(SEEDS),1) --jobs $(or $(JOBS),1) \
		--minutes $(or $(MINUTES),0) --transport $(or $(TRANSPORT),websocket)

crashes: $(STAMP) ## A device that loses power, or has everything killed at once, as root (SEEDS=100 FIRST=1)
	@AIOKUBEEDGE_CRASHES=$(or $(SEEDS),100) AIOKUBEEDGE_SEED=$(or $(FIRST),1) \
		$(BIN)/pytest tests/e2e/test_crashes.py -q -s -p no:cacheprovider

fuzz: $(STAMP) ## Feed every decoder what nobody would send, for a minute (SECONDS=3600 for an hour, SEED=1 to repeat)
	@$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),60) $(if $(SEED),--seed $(SEED))

fuzz-api: $(STAMP) ## Made-up requests for every operation of the API, by the hundred (EXAMPLES=40 SEED=1)
	@AIOKUBEEDGE_FUZZ_EXAMPLES=$(or $(EXAMPLES),40) AIOKUBEEDGE_FUZZ_SEED=$(or $(SEED),1) \
		$(BIN)/pytest tests/e2e/test_fuzz_api.py -q -rP

coverage: $(STAMP) ## Line and branch coverage of the whole suite
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -q -p no:xdist
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --skip-covered --sort=cover

format: $(STAMP) ## Rewrite the code in the house format
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix --quiet .

clean: ## Remove what was built and measured
	rm -rf $(VENV) build dist wheels *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage* .lint-imports.log
