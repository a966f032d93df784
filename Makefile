# Every target sets up what it needs; the second run of any is fast.
#   make PYTHON=python3.13 ...   another interpreter than requirements/choose_python finds on the PATH
#   make demo SCENARIO=NAME      another scenario than the demo's own
#   make bench QUICK=1           the benchmark in under five minutes
#   make test WORKERS=4          tests side by side, each worker with a Kafka and a Postgres of its own

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

ENVIRONMENT := .venv
READY := $(ENVIRONMENT)/.ready
BIN := $(ENVIRONMENT)/bin
SOURCES := services tests deploy $(wildcard benchmarks)

# Most of a test is waiting, for a session to end or a broker to start: a worker takes under half a core, and a GB.
# With three, a machine of two cores has moments in which a broker does not answer within its ten seconds.
WORKERS ?= 2

# Pinned by hand, since it makes the pins of everything else.
LOCK_TOOL := pip-tools==7.6.2
# The oldest that is supported: what is pinned for it the newer ones can install too.
LOCK_PYTHON ?= python3.11
COMPILE := build/lock/bin/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

# Looked for once, and only where an environment is made; empty when there is none.
ifeq ($(origin PYTHON),undefined)
PYTHON = $(eval PYTHON := $$(shell requirements/choose_python))$(PYTHON)
endif

.PHONY: help setup demo test lint format bench dashboards screenshots lock stop clean

help: ## Say what there is to make
	@sed -nE 's/^([a-z]+):[^#]*## (.*)/make \1|\2/p' Makefile | while IFS='|' read -r target words; do \
		printf '%-16s %s\n' "$$target" "$$words"; done

setup: $(READY) ## Make .venv, install the pinned packages, fetch Kafka's jars
	@echo "make: $(BIN)/voucher-ledger is ready"

demo: $(READY) ## Play the campaign on a real Kafka and Postgres: tables of what happened
	@$(BIN)/voucher-ledger demo $(if $(SCENARIO),--scenario "$(SCENARIO)")

test: $(READY) ## Prove it: unit, property, contract and integration tests
	@$(BIN)/python -m pytest --numprocesses=$(WORKERS) --dist=loadfile --no-loadscope-reorder --maxfail=10 $(PYTEST_ARGUMENTS)

lint: $(READY) ## Check style, types and who imports whom
	@$(BIN)/ruff check $(SOURCES)
	@$(BIN)/ruff format --check $(SOURCES)
	@$(BIN)/mypy --strict
	@$(BIN)/lint-imports

format: $(READY) ## Let ruff lay out the code and mend what it can
	@$(BIN)/ruff check --fix $(SOURCES)
	@$(BIN)/ruff format $(SOURCES)

bench: $(READY) ## Measure against the peers; writes benchmarks/results.json
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick)

dashboards: $(READY) ## Write deploy/grafana/dashboards anew from the code beside it
	@$(BIN)/python -m deploy.grafana

screenshots: $(READY) ## Play the demo and photograph its live page and report into docs/images (needs Chromium)
	@$(BIN)/python -m deploy.screenshots

lock: ## Pin the dependencies anew, by version and hash (UPGRADE=1 takes the newest)
	@test -x build/lock/bin/pip-compile || { $(LOCK_PYTHON) -m venv --clear build/lock && build/lock/bin/pip install --quiet $(LOCK_TOOL); }
	@CUSTOM_COMPILE_COMMAND="make lock" $(COMPILE) $(if $(UPGRADE),--upgrade) --extra dev --output-file requirements/dev.txt pyproject.toml
	@CUSTOM_COMPILE_COMMAND="make lock" $(COMPILE) --upgrade --constraint requirements/dev.txt --output-file requirements/runtime.txt pyproject.toml

# A cluster is known by the two logs that `dev up` writes side by side; it is stopped without the command line, which may be broken.
stop: ## Stop the development clusters that run below this folder; their data stays
	@find . -path ./$(ENVIRONMENT) -prune -o -name postgres.log -printf '%h\n' | while read -r directory; do \
		if [ -f "$$directory/kafka.log" ] && [ -x $(BIN)/python ]; then \
			$(BIN)/python -m voucher_ledger.dev.commands down --dir "$$directory" || echo "make stop: cannot stop the cluster in $$directory" >&2; \
		fi; done

clean: stop ## Stop the clusters and remove all that was built (clusters' data and Kafka's jars stay)
	@rm -rf $(ENVIRONMENT) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@rm -rf benchmarks/results.json benchmarks/peers/*/target
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamp is written last: a set-up that was cut short is done again from the start.
$(READY): pyproject.toml requirements/dev.txt $(wildcard services/voucher_ledger/dev/kafka/pom.xml)
	@$(call need,$(PYTHON),Python 3.11 or newer with venv,python3 python3-venv)
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "make: $(PYTHON) cannot make virtual environments: install it (Debian: apt-get install python3-venv)" >&2; exit 2; }
	@$(call need,$(shell java -version 2>&1 | awk -F'[".]' '/version/ && $$2 >= 17 { print $$2; exit }'),Java 17 or newer,default-jre-headless)
	@$(call need,$(shell mvn -v 2>&1 | awk '/Apache Maven 3\.[6-9]|Apache Maven [4-9]/ { print "fit"; exit }'),Maven 3.6 or newer,maven)
	@echo "make: setting up $(ENVIRONMENT) with $$("$(PYTHON)" --version) ($(PYTHON))"
	@"$(PYTHON)" -m venv --clear $(ENVIRONMENT)
	@echo "make: installing the pinned packages, about a minute"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@jars="$$($(BIN)/python -m voucher_ledger.dev.prepare)" && echo "make: Kafka's jars are in $$jars"
	@touch $@

# need(what was found, what is needed, its Debian packages): one line and exit 2 when nothing fit was found.
define need
test -n "$(1)" || { echo "make: $(2) is needed and not on the PATH: install it (Debian: apt-get install $(3))" >&2; exit 2; }
endef
