# Vedette. Two commands matter: `make demo` and `make test`. Both set up what they need.
SHELL := /bin/bash
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Tools that look at what is locked and built; apart from what is looked at.
AUDIT := build/audit

.PHONY: setup system demo test lint format bench faults soak sbom audit schema lock clean help
.DEFAULT_GOAL := help

help: ## show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) system ## virtual environment from the hashed lock files, and what pip cannot give

$(STAMP): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Vedette needs Python 3.11 or newer; $$($(PYTHON) --version) found. Say which with: make PYTHON=python3.11 …"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

system:
	@sh scripts/system-packages.sh

demo: setup ## one command: a conveyor belt as a camera, real detection, alerts as they happen, a verdict
	$(BIN)/python -m vedette demo

test: setup ## everything CI checks: format, lint, types, import arrows, tests
	@$(MAKE) --no-print-directory lint
	@$(BIN)/python -m tests.groups

lint: $(STAMP) ## ruff, mypy --strict, import-linter
	$(BIN)/ruff format --check src components infra lambdas tests bench examples
	$(BIN)/ruff check src components infra lambdas tests bench examples
	$(BIN)/mypy
	PYTHONPATH=components $(BIN)/lint-imports --no-cache

format: $(STAMP) ## rewrite the code in the project's style
	$(BIN)/ruff format src components infra lambdas tests bench examples
	$(BIN)/ruff check --fix src components infra lambdas tests bench examples

bench: setup ## every measurement, beside floors and peers, and bench/REPORT.md (more than an hour on a quiet machine)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bench.txt
	$(BIN)/python -m bench

faults: setup ## the slow suite: outages, power cuts, kills, damage; writes docs/scorecard.md. All of it as root, with gcc, ip and tc. VEDETTE_FAULTS=quick for minutes
	@$(MAKE) --no-print-directory $(AUDIT) || echo "pip-audit could not be installed: known weaknesses (X12-known) are not measured."
	@rm -rf build/scorecard
	@status=0; \
	$(BIN)/python -m pytest -m faults --override-ini=addopts="-ra --strict-markers --strict-config" --timeout=1800 tests || status=1; \
	$(BIN)/python -m tests.faults.report || status=1; \
	exit $$status

soak: setup ## eight cameras for an hour with faults at random: nothing lost, nothing grows. MINUTES, CAMERAS, SEED
	$(BIN)/python -m bench.soak --minutes $(or $(MINUTES),60) --cameras $(or $(CAMERAS),8) --seed $(or $(SEED),7) --keep

sbom: setup $(AUDIT) ## bills of materials of devices (PLATFORM=linux/arm64) and of the account's functions, in build/sbom
	@rm -rf build/sbom
	$(BIN)/python -m vedette build $(if $(PLATFORM),--platform $(PLATFORM)) --out build/sbom/components
	cp build/sbom/components/sbom.cdx.json build/sbom/device.cdx.json
	$(BIN)/python -m vedette sbom --functions --output build/sbom/functions.cdx.json
	$(AUDIT)/bin/python scripts/check_sbom.py build/sbom/device.cdx.json build/sbom/functions.cdx.json

audit: setup $(AUDIT) ## known weaknesses of what requirements/ locks; says so where the data cannot be reached
	$(BIN)/python -m tests.faults.security.audit

$(AUDIT): requirements/audit.txt
	@rm -rf $@ && $(PYTHON) -m venv $@
	@$@/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/audit.txt || { rm -rf $@; exit 1; }
	@touch $@

schema: $(STAMP) ## write the published JSON Schemas and the tables of docs/manifest.md and docs/devices.md anew
	$(BIN)/python -m vedette schema export src/vedette/contracts/schema
	$(BIN)/python -m vedette schema tables --write docs/manifest.md
	$(BIN)/python -m vedette schema devices --write docs/devices.md

lock: ## resolve the dependencies, with hashes and without naming a registry; UPGRADE=--upgrade for newer versions
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --extra edge --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header $(UPGRADE) -o requirements/edge.txt
	$(BIN)/uv pip compile pyproject.toml --extra edge --extra cloud --extra dev -c requirements/edge.txt --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header $(UPGRADE) -o requirements/dev.txt
	$(BIN)/uv pip compile requirements/lambdas.in -c requirements/dev.txt --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header $(UPGRADE) -o requirements/lambdas.txt
	$(BIN)/uv pip compile requirements/gpu.in --no-deps --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header $(UPGRADE) -o requirements/gpu.txt
	$(BIN)/uv pip compile requirements/bench.in -c requirements/dev.txt --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header $(UPGRADE) -o requirements/bench.txt
	$(BIN)/uv pip compile requirements/installer.in --no-deps --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header $(UPGRADE) -o requirements/installer.txt
	$(BIN)/uv pip compile requirements/audit.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header $(UPGRADE) -o requirements/audit.txt

clean: ## remove what was built
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
