# Marquee. `make help` lists what there is.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
PIP := $(BIN)/pip install --quiet --disable-pip-version-check
# Whatever is installed is what these hashes are of. But torch, whose build differs by index: by version only, and last,
# so that of its own requirements nothing is fetched that the lock does not name.
LOCK := UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-package torch

.DEFAULT_GOAL := help
.PHONY: help run install install-dev test test-data test-faults evaluate bench screenshots lint format lock

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

run: $(VENV)/.installed ## from a fresh clone to a served page on http://127.0.0.1:8000
	@$(BIN)/python -m backend serve

install: $(VENV)/.installed ## what the service needs, into .venv

install-dev: $(VENV)/.installed-dev

test: $(VENV)/.installed-dev ## the whole test suite
	$(BIN)/python -m pytest -n 2 tests

test-data: $(VENV)/.installed-dev ## tests on the real data (MARQUEE_DATA, default ../shared/data)
	$(BIN)/python -m pytest -m data tests

test-faults: $(VENV)/.installed-dev ## what it survives, into docs/reliability.md
	rm -rf .ledger
	$(BIN)/python -m pytest -m '' --ledger .ledger tests
	$(BIN)/python -m tests.faults.report .ledger

evaluate: $(VENV)/.installed-dev ## how good the answers are, into docs/quality.md (ML=DIR FILMS=FILE)
	$(BIN)/python -m backend.evaluation --movielens $(ML) --films $(FILMS)

bench: $(VENV)/.installed-dev ## how fast it is, into docs/benchmarks.md (FILMS=FILE INSTALLATION=DIR ONLY="NAME …")
	$(BIN)/python -m benchmarks $(if $(FILMS),--films $(FILMS)) $(if $(INSTALLATION),--installation $(INSTALLATION)) $(if $(ONLY),--only $(ONLY))

screenshots: $(VENV)/.installed-dev ## the pictures of README.md, into docs/images (needs Chromium)
	$(BIN)/python -m tests.web.screenshots

lint: $(VENV)/.installed-dev ## ruff and mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev ## let ruff tidy the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/.installed-dev ## requirements.lock, requirements-dev.lock and docs/dependencies.md anew, from the requirements
	$(LOCK) requirements.txt --output-file requirements.lock
	$(LOCK) requirements-dev.txt --constraint requirements.lock --output-file requirements-dev.lock
	$(PIP) --require-hashes --no-deps -r requirements-dev.lock
	$(BIN)/python -m tools.dependencies

$(VENV)/.installed: requirements.lock
	@echo "Installing into $(VENV): about 400 MB to download, once."
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15) and "Marquee needs Python 3.11 to 3.14: make run PYTHON=/path/to/python3.11")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) --require-hashes --no-deps -r requirements.lock
	$(PIP) --retries 0 --timeout 10 --extra-index-url $(TORCH_INDEX) $$(grep ^torch== requirements.txt)
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.lock
	$(PIP) --require-hashes --no-deps -r requirements-dev.lock
	@touch $@
