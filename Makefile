# `make demo` and `make test` set themselves up; everything else assumes nothing more than they do.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: help demo test unit interop e2e check lint format proto bench peers lock image clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/.installed: requirements-dev.lock pyproject.toml
	@echo "setting up $(VENV) (once, about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(VENV)/.installed ## back up, destroy and restore a volume through the real plugin; ARGS=--keep keeps the repository
	@$(BIN)/velero-py demo $(ARGS)

test: check unit interop ## set up and run every test this machine's peers allow (REQUIRE_PEERS=1: a missing peer fails)
	@echo "tiers run: check, unit, interop. Not run: e2e on the real Velero server, which is young: make e2e"

unit: $(VENV)/.installed
	$(BIN)/pytest tests/unit --cov --cov-report=term:skip-covered --cov-fail-under=85 $(ARGS)

interop: $(VENV)/.installed peers
	$(BIN)/pytest tests/interop $(ARGS)

e2e: $(VENV)/.installed peers ## backup, disaster and restore on the real Velero server; not part of test yet
	$(BIN)/pytest tests/e2e $(ARGS)

check: $(VENV)/.installed lint ## formatting, lint, layer contracts and types
	$(BIN)/lint-imports
	$(BIN)/mypy

lint: $(VENV)/.installed ## formatting and lint alone
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: $(VENV)/.installed ## rewrite the sources in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proto: $(VENV)/.installed ## regenerate velero_py_plugin/_pb from proto/
	$(BIN)/python -m proto.generate

bench: $(VENV)/.installed peers ## speed and memory, side by side with kopia
	$(BIN)/python -m tests.bench $(ARGS)

peers: ## build the real peers (kopia, Velero, Kubernetes' control plane) where Go is present
	@tests/peers/build.sh

lock: $(VENV)/.installed ## resolve the dependencies of pyproject.toml anew into the two lock files
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-header --no-annotate --all-extras -c requirements.lock pyproject.toml -o requirements-dev.lock

image: ## build the image of controller and movers (needs a container engine)
	docker build --tag velero-py:dev .

clean: ## remove everything that was generated
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
